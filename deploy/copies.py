"""Copies of services: what each is called, where its data are, and how it differs: in configuration only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from deploy.identity import keys_directory
from deploy.permissions import LEDGER, MATCHER, NOTIFIER
from deploy.stack_files import DIRECTORY_MODE

COPIES_MAX: Final = 5
STANDBY_S: Final = {MATCHER: 0.5, NOTIFIER: 1.0}
"""How long nothing must have been done before a copy of a service does it. Ledgers and gateways all work at once."""


class Copy(NamedTuple):
    """One copy of a service, counted from 1."""

    service: str
    number: int

    @property
    def name(self) -> str:
        """Name of its process, configuration and log: the service's own for the first."""
        return self.service if self.number == 1 else f"{self.service}-{self.number}"

    @property
    def signs(self) -> bool:
        """Whether it signs checkpoints and trims the intake, if it is a ledger: exactly one does."""
        return self.number == 1 or self.service != LEDGER

    @property
    def dispatches(self) -> bool:
        """Whether it sends by other channels and writes facts, if it is a notifier: there is one outbox."""
        return self.number == 1 or self.service != NOTIFIER

    def standby_s(self, copies: int) -> float:
        """Return how long this copy, one of so many, stands by before it acts."""
        return 0.0 if copies == 1 else STANDBY_S.get(self.service, 0.0)


def copies_of(services: Sequence[str], count: int) -> list[Copy]:
    """Return every copy of every service, the first of each before the second of any."""
    assert 1 <= count <= COPIES_MAX, f"{count} copies"
    return [Copy(service, number) for number in range(1, count + 1) for service in services]


def data_of(data: Path, copy: Copy) -> Path:
    """Return where a copy keeps its own data; the first keeps it where a single service does.

    Keys are those of the market, whoever uses them, so the commands of the ledger work on a copy's folder as well.
    """
    if copy.number == 1:
        return data
    own = data / "copies" / str(copy.number)
    own.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    link = own / keys_directory(data).name
    if not link.is_symlink():
        link.symlink_to(keys_directory(data), target_is_directory=True)
    return own


def is_copy(data: Path) -> bool:
    """Tell whether a folder is the one of a second copy: its keys are those of the first."""
    return keys_directory(data).is_symlink()
