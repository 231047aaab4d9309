"""A town for labelled traffic: members with households, dormitories, offices, carriers, devices and friends.

Every figure is drawn anew for each seed, so that no rule can be fitted to one town.
"""

import hashlib
import random
from dataclasses import dataclass, field
from typing import Final

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
PLAY_TTL_S: Final = 3 * DAY_S
START_S: Final = 1_800_000_000
"""When every story begins."""


def hashed(what: str) -> str:
    """Return what a publisher sends for a device or network: a salted hash."""
    return hashlib.sha256(f"salt-of-the-market/{what}".encode()).hexdigest()


@dataclass(slots=True)
class Person:
    """A member: where they go online, with what, and since when they have their account."""

    member: str
    born_s: int
    """When the account was made; a newcomer's is made when they are first asked for help."""
    device: str
    home: str
    carrier: str
    at_home_share: float
    circle: int
    friends: list[int] = field(default_factory=list)


class Town:
    """Honest people, and the means of those who are not."""

    def __init__(self, seed: int, people: int, start_s: int) -> None:
        """Draw a town of `people` members whose story begins at `start_s`."""
        self.chance = random.Random(f"town-{seed}")
        self.start_s = start_s
        self.people: list[Person] = []
        self.serial = 0
        chance = self.chance
        self.newcomer_share = chance.uniform(0.05, 0.4)
        self.changes_device_share = chance.uniform(0.002, 0.02)
        self._carriers = [f"carrier-{i}" for i in range(chance.randint(2, 8))]
        while len(self.people) < people:
            self._draw_home()
        self._draw_friends()

    def _draw_home(self) -> None:
        chance = self.chance
        kind = chance.choices(("home", "dormitory", "office", "alone"), (60, 1.2, 0.8, 20))[0]
        size = {
            "home": chance.randint(2, 6),
            "dormitory": chance.randint(20, 300),
            "office": chance.randint(10, 120),
            "alone": 1,
        }[kind]
        self.serial += 1
        home = f"{kind}-{self.serial}"
        circle = self.serial
        shared = f"shared-device-{self.serial}"
        shares_device = {"home": 0.25, "dormitory": 0.02, "office": 0.01, "alone": 0.0}[kind]
        for place in range(size):
            index = len(self.people)
            # In a large building circles are rooms and teams, not the building.
            if kind in ("dormitory", "office") and place % 7 == 0:
                circle = self.serial * 1_000 + place
            self.people.append(
                Person(
                    member=f"m{index:06d}-{chance.randrange(16**6):06x}",
                    born_s=self.start_s - int(chance.lognormvariate(4.6, 1.3) * DAY_S),
                    device=shared if chance.random() < shares_device else f"device-{index}",
                    home=home,
                    carrier=chance.choice(self._carriers),
                    at_home_share=chance.uniform(0.2, 0.9),
                    circle=circle,
                )
            )

    def _draw_friends(self) -> None:
        circles: dict[int, list[int]] = {}
        for index, person in enumerate(self.people):
            circles.setdefault(person.circle, []).append(index)
        for index, person in enumerate(self.people):
            near = [other for other in circles[person.circle] if other != index]
            far = [self.chance.randrange(len(self.people)) for _ in range(self.chance.randint(3, 25))]
            person.friends = near + far

    def newcomer(self, now_s: int, invited_by: Person) -> Person:
        """Return someone who makes an account to help; half of the time at home with whoever asked."""
        self.serial += 1
        beside = self.chance.random() < 0.3
        return Person(
            member=f"n{self.serial:06d}-{self.chance.randrange(16**6):06x}",
            born_s=now_s - self.chance.randint(10, 2 * HOUR_S),
            device=f"device-n{self.serial}",
            home=invited_by.home if beside else f"home-n{self.serial}",
            carrier=self.chance.choice(self._carriers),
            at_home_share=self.chance.uniform(0.2, 0.9),
            circle=-self.serial,
        )

    def online(self, person: Person) -> tuple[str, str]:
        """Return the device and network that a person uses this time."""
        if self.chance.random() < self.changes_device_share:
            self.serial += 1
            person.device = f"device-c{self.serial}"
        at_home = self.chance.random() < person.at_home_share
        network = person.home if at_home else person.carrier
        if not at_home and self.chance.random() < 0.1:
            network = f"cafe-{self.chance.randrange(200)}"
        return person.device, network
