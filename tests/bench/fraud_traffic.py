"""Labelled traffic of assists: honest sharing trees, and six ways to fake them, each drawn with wide limits.

Seeded: the same seed gives the same events. `held_out` draws variants of every attack from limits beside those on
which detection was tuned. As a program it writes what it draws as files (`fraud_events` has their form).
"""

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.fraud_people import DAY_S, HOUR_S, Person, Town, hashed

HONEST: Final = "honest"
ATTACKS: Final = ("device_farm", "ring", "burst", "paid_helpers", "slow_drip", "takeover")
PLAY_TTL_S: Final = 3 * DAY_S
START_S: Final = 1_800_000_000


@dataclass(frozen=True, slots=True)
class Opened:
    """A play is opened by a member."""

    at_s: int
    play: str
    member: str
    ttl_s: int = PLAY_TTL_S


@dataclass(frozen=True, slots=True)
class Given:
    """An assist, its signals, and what it truly is."""

    at_s: int
    assist: str
    play: str
    helper: str
    via: str | None
    device: str | None
    network: str | None
    account_age_days: int | None
    channel: str | None
    label: str


class Traffic:
    """Events in the making."""

    def __init__(self, seed: int, people: int, held_out: bool) -> None:
        """Begin with a town of `people` members."""
        self.chance = random.Random(f"traffic-{seed}-{held_out}")
        self.town = Town(seed, people, START_S)
        self.held_out = held_out
        self.opened: list[Opened] = []
        self.given: list[Given] = []
        self.days = self.chance.randint(3, 10)

    def between(self, low: float, high: float, held_low: float, held_high: float) -> float:
        """Draw from the limits that detection was tuned on, or from those held out."""
        return self.chance.uniform(held_low, held_high) if self.held_out else self.chance.uniform(low, high)

    def moment_s(self) -> int:
        """Draw a moment of the story, by day rather than by night."""
        day, hour = self.chance.randrange(self.days), self.chance.choices(range(24), _BY_HOUR)[0]
        return START_S + day * DAY_S + hour * HOUR_S + self.chance.randrange(HOUR_S)

    def open(self, at_s: int, member: str) -> str:
        """Open a play for a member."""
        play = f"p{len(self.opened):06d}"
        self.opened.append(Opened(at_s, play, member))
        return play

    def give(self, at_s: float, play: str, person: Person, via: str | None, label: str, channel: str) -> None:
        """Let a person help, from where they are."""
        device, network = self.town.online(person)
        self.give_from(at_s, play, person, via, label, channel, device, network)

    def give_from(
        self,
        at_s: float,
        play: str,
        person: Person,
        via: str | None,
        label: str,
        channel: str,
        device: str,
        network: str,
    ) -> None:
        """Let an account help from a given device and network."""
        at_s = int(at_s)
        self.given.append(
            Given(
                at_s=at_s,
                assist=f"a{len(self.given):07d}",
                play=play,
                helper=person.member,
                via=via,
                device=hashed(device),
                network=hashed(network),
                account_age_days=max(0, at_s - person.born_s) // DAY_S,
                channel=channel,
                label=label,
            )
        )


_BY_HOUR: Final = (2, 1, 1, 1, 1, 2, 4, 8, 10, 10, 10, 12, 14, 12, 10, 10, 10, 12, 14, 18, 20, 20, 14, 6)


def honest_tree(traffic: Traffic) -> None:
    """One member shares; friends help and share on; most trees stay small, a few grow to hundreds."""
    chance, town = traffic.chance, traffic.town
    root = chance.choice(town.people)
    begun_s = traffic.moment_s()
    play = traffic.open(begun_s, root.member)
    wanted = min(400, max(1, int(chance.paretovariate(0.9))))
    helped = {root.member}
    sharers: list[tuple[Person, float]] = [(root, float(begun_s))]
    hasty = chance.random() < 0.15  # shared in a lively chat
    while sharers and len(helped) <= wanted:
        sharer, at_s = sharers.pop(0)
        for friend in _asked(traffic, sharer):
            if len(helped) > wanted:
                break
            delay_s = chance.lognormvariate(5.0, 1.0) if hasty else chance.lognormvariate(8.0, 1.6)
            then_s = at_s + 5 + delay_s
            if friend.member in helped or then_s >= begun_s + PLAY_TTL_S:
                continue
            helped.add(friend.member)
            if friend.circle > 0 and friend.born_s > then_s:
                continue
            via = sharer.member if chance.random() < 0.9 else None
            traffic.give(then_s, play, friend, via, HONEST, chance.choice(("chat", "chat", "link", "moments")))
            if chance.random() < 0.5 or wanted > 20:
                sharers.append((friend, then_s))


def _asked(traffic: Traffic, sharer: Person) -> list[Person]:
    """Return whom someone shares with: some friends, now and then a whole chat group, and people new to the market."""
    chance, town = traffic.chance, traffic.town
    friends = [town.people[index] for index in sharer.friends]
    asked = [friend for friend in friends if chance.random() < 0.5]
    if chance.random() < 0.05:
        asked += chance.sample(town.people, chance.randint(5, 60))
    fresh = [town.newcomer(traffic.moment_s(), sharer) for friend in asked if chance.random() < town.newcomer_share]
    mixed = asked + fresh
    chance.shuffle(mixed)
    return mixed


def friends_circle(traffic: Traffic) -> None:
    """A few close friends who help each other with whatever they want: honest, and looks like a small ring."""
    chance, town = traffic.chance, traffic.town
    root = chance.choice(town.people)
    circle = [root, *(town.people[index] for index in chance.sample(root.friends, min(len(root.friends), 5)))]
    circle = circle[: chance.randint(3, 6)]
    for member in circle:
        if chance.random() < 0.5:
            continue
        begun_s = traffic.moment_s()
        play = traffic.open(begun_s, member.member)
        others = [other for other in circle if other is not member and chance.random() < 0.8]
        outer = [town.people[index] for index in member.friends if chance.random() < 0.3]
        for helper in {other.member: other for other in [*others, *outer] if other is not member}.values():
            at_s = begun_s + chance.lognormvariate(8.0, 1.4)
            traffic.give(at_s, play, helper, member.member, HONEST, "chat")


def _account(traffic: Traffic, young_share: float) -> Person:
    """Return an account that an attacker made or bought."""
    chance, town = traffic.chance, traffic.town
    town.serial += 1
    age_s = chance.uniform(0, 6 * DAY_S) if chance.random() < young_share else chance.uniform(10, 400) * DAY_S
    return Person(
        member=f"x{town.serial:06d}-{chance.randrange(16**6):06x}",
        born_s=int(START_S + chance.randrange(traffic.days) * DAY_S * (age_s < 7 * DAY_S) - age_s),
        device=f"device-x{town.serial}",
        home=f"net-x{town.serial}",
        carrier=f"carrier-{chance.randrange(4)}",
        at_home_share=0.7,
        circle=-town.serial,
    )


def _beneficiary(traffic: Traffic) -> Person:
    """Return who an attack is for: somebody of the town, or an account of the attacker."""
    chance = traffic.chance
    return chance.choice(traffic.town.people) if chance.random() < 0.6 else _account(traffic, 0.5)


def device_farm(traffic: Traffic) -> None:
    """Many accounts on a few devices behind a few networks, for one play or several."""
    chance = traffic.chance
    devices = int(traffic.between(1, 12, 3, 40))
    per_device = int(traffic.between(6, 30, 3, 9))
    networks = [f"farm-net-{chance.randrange(10**6)}" for _ in range(chance.randint(1, 3))]
    hardware = [f"farm-{chance.randrange(10**9)}" for _ in range(devices)]
    young_share = chance.uniform(0.3, 1.0)
    accounts = [(_account(traffic, young_share), device) for device in hardware for _ in range(per_device)]
    for _ in range(chance.randint(1, 3)):
        begun_s = traffic.moment_s()
        customer = _beneficiary(traffic)
        play = traffic.open(begun_s, customer.member)
        chance.shuffle(accounts)
        length_s = chance.uniform(0.2, 30) * HOUR_S
        for account, device in accounts[: int(len(accounts) * chance.uniform(0.5, 1.0))]:
            via = customer.member if chance.random() < 0.5 else None
            at_s = begun_s + chance.uniform(0, length_s)
            traffic.give_from(at_s, play, account, via, "device_farm", "link", device, chance.choice(networks))


def ring(traffic: Traffic) -> None:
    """Members who meet only to help each other, all of them or each a few, one after the other."""
    chance, town = traffic.chance, traffic.town
    size = int(traffic.between(8, 30, 7, 14))
    members = (
        chance.sample(town.people, size) if chance.random() < 0.5 else [_account(traffic, 0.3) for _ in range(size)]
    )
    reach = size - 1 if chance.random() < 0.6 else max(5, int(size * chance.uniform(0.5, 0.9)))
    for place, member in enumerate(members):
        begun_s = traffic.moment_s()
        play = traffic.open(begun_s, member.member)
        for step in range(1, reach + 1):
            at_s = begun_s + chance.lognormvariate(8.0, 1.2)
            traffic.give(at_s, play, members[(place + step) % size], None, "ring", "link")


def burst(traffic: Traffic) -> None:
    """Bought accounts, each with its own device, that all come within minutes."""
    chance = traffic.chance
    count = int(traffic.between(40, 300, 25, 120))
    length_s = traffic.between(20, 600, 60, 900)
    young_share = chance.uniform(0.2, 1.0)
    pools = [f"proxy-{chance.randrange(10**6)}" for _ in range(chance.choice((1, 4, 20, 300)))]
    begun_s = traffic.moment_s()
    customer = _beneficiary(traffic)
    play = traffic.open(begun_s, customer.member)
    start_s = begun_s + chance.uniform(60, 20 * HOUR_S)
    for _ in range(count):
        account = _account(traffic, young_share)
        via = customer.member if chance.random() < 0.3 else None
        at_s = start_s + chance.uniform(0, length_s)
        traffic.give_from(at_s, play, account, via, "burst", "link", account.device, chance.choice(pools))


def paid_helpers(traffic: Traffic) -> None:
    """Real people who help strangers for money: old accounts, own devices, every customer another."""
    chance, town = traffic.chance, traffic.town
    pool_size = int(traffic.between(20, 80, 30, 150))
    pool = chance.sample(town.people, pool_size)
    for _ in range(int(traffic.between(8, 30, 10, 40))):
        begun_s = traffic.moment_s()
        customer = _beneficiary(traffic)
        play = traffic.open(begun_s, customer.member)
        for helper in chance.sample(pool, int(min(pool_size, traffic.between(6, 20, 5, 15)))):
            at_s = begun_s + chance.uniform(60, 40 * HOUR_S)
            via = customer.member if chance.random() < 0.4 else None
            if helper.member != customer.member:
                traffic.give(at_s, play, helper, via, "paid_helpers", "link")


def slow_drip(traffic: Traffic) -> None:
    """Made-up accounts that come one by one over days, so that no minute looks busy."""
    chance = traffic.chance
    gap_s = traffic.between(0.3, 3, 0.5, 5) * HOUR_S
    jitter = traffic.between(0.05, 0.5, 0.2, 1.0)
    reused = chance.random() < 0.6
    accounts = [_account(traffic, chance.uniform(0.2, 1.0)) for _ in range(chance.randint(12, 40))]
    networks = [f"drip-net-{chance.randrange(10**6)}" for _ in range(chance.randint(1, 12))]
    for _ in range(chance.randint(1, 5)):
        at_s: float = traffic.moment_s()
        begun_s = at_s
        play = traffic.open(int(at_s), _beneficiary(traffic).member)
        for account in accounts if reused else [_account(traffic, 0.7) for _ in accounts]:
            at_s += gap_s * chance.uniform(1 - jitter, 1 + jitter)
            if at_s >= begun_s + PLAY_TTL_S:
                break
            traffic.give_from(at_s, play, account, None, "slow_drip", "link", account.device, chance.choice(networks))


def takeover(traffic: Traffic) -> None:
    """Accounts of honest members in a stranger's hands: old, with a past, suddenly from elsewhere."""
    chance, town = traffic.chance, traffic.town
    victims = chance.sample(town.people, int(traffic.between(15, 80, 8, 40)))
    machines = [f"thief-{chance.randrange(10**9)}" for _ in range(chance.choice((1, 3, 10, len(victims))))]
    networks = [f"thief-net-{chance.randrange(10**6)}" for _ in range(chance.choice((1, 5, 30)))]
    begun_s = traffic.moment_s()
    play = traffic.open(begun_s, _beneficiary(traffic).member)
    length_s = chance.uniform(0.3, 40) * HOUR_S
    for place, victim in enumerate(victims):
        at_s = begun_s + chance.uniform(60, length_s)
        machine = machines[place % len(machines)]
        traffic.give_from(at_s, play, victim, None, "takeover", "app", machine, chance.choice(networks))


_ATTACKS: Final[dict[str, Callable[[Traffic], None]]] = {
    "device_farm": device_farm,
    "ring": ring,
    "burst": burst,
    "paid_helpers": paid_helpers,
    "slow_drip": slow_drip,
    "takeover": takeover,
}


def generate(seed: int, *, honest: int = 20_000, attacks: int = 3, held_out: bool = False) -> list[Opened | Given]:
    """Return events in the order of time.

    `honest` is about how many honest assists there are, `attacks` how often each attack is made.
    """
    traffic = Traffic(seed, people=max(500, honest // 3), held_out=held_out)
    while len(traffic.given) < honest:
        if traffic.chance.random() < 0.05:
            friends_circle(traffic)
        else:
            honest_tree(traffic)
    for _ in range(attacks):
        for attack in ATTACKS:
            _ATTACKS[attack](traffic)
    events: list[Opened | Given] = [*traffic.opened, *_once_each(traffic.given)]
    events.sort(key=lambda event: (event.at_s, isinstance(event, Given)))
    return events


def _once_each(given: list[Given]) -> list[Given]:
    """Return the assists without those that the rules refuse anyway: the same helper again in the same play."""
    first = {(one.play, one.helper): one for one in reversed(given)}
    return [one for one in given if first[one.play, one.helper] is one]


def _main() -> None:
    from tests.bench import fraud_events

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--honest", type=int, default=20_000, help="about how many honest assists")
    parser.add_argument("--attacks", type=int, default=3, help="how often each attack is made")
    parser.add_argument("--held-out", action="store_true", help="draw from the limits that were held out")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    options = parser.parse_args()
    made = generate(options.seed, honest=options.honest, attacks=options.attacks, held_out=options.held_out)
    fraud_events.write(made, options.events, options.labels)


if __name__ == "__main__":
    _main()
