"""Labelled traffic of assists: honest sharing trees, and six ways to fake them, each drawn with wide limits.

Seeded: the same seed gives the same events. `held_out` draws variants of every attack from limits beside those on
which detection was tuned. As a program it writes what it draws as files (`fraud_events` has their form).
"""

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.fraud_attacks import MAKERS
from tests.bench.fraud_people import DAY_S, HOUR_S, PLAY_TTL_S, START_S, Person, Town, hashed

HONEST: Final = "honest"
ATTACKS: Final = ("device_farm", "ring", "burst", "paid_helpers", "slow_drip", "takeover")


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
            MAKERS[attack](traffic)
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
