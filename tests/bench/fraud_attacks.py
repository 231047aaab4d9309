"""Six ways to fake help, each drawn with wide limits, and with limits beside those for variants that are held out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tests.bench.fraud_people import DAY_S, HOUR_S, PLAY_TTL_S, START_S, Person

if TYPE_CHECKING:
    from tests.bench.fraud_traffic import Traffic


def _account(traffic: "Traffic", young_share: float) -> Person:
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


def _beneficiary(traffic: "Traffic") -> Person:
    """Return who an attack is for: somebody of the town, or an account of the attacker."""
    chance = traffic.chance
    return chance.choice(traffic.town.people) if chance.random() < 0.6 else _account(traffic, 0.5)


def device_farm(traffic: "Traffic") -> None:
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


def ring(traffic: "Traffic") -> None:
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


def burst(traffic: "Traffic") -> None:
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


def paid_helpers(traffic: "Traffic") -> None:
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


def slow_drip(traffic: "Traffic") -> None:
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


def takeover(traffic: "Traffic") -> None:
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


MAKERS: Final[dict[str, Callable[["Traffic"], None]]] = {
    "device_farm": device_farm,
    "ring": ring,
    "burst": burst,
    "paid_helpers": paid_helpers,
    "slow_drip": slow_drip,
    "takeover": takeover,
}
