"""What the matcher knows of a market: plain records that a snapshot can hold.

Records refer to each other by id, never by reference, so that a snapshot is one flat document. Their structs are
invisible to the garbage collector (`gc=False`): they hold no cycles, and a million of them would make each
collection a pause of a second.
"""

from typing import Final

import msgspec

from events.decisions import Closing
from events.market import MarketConfigured
from events.offer import OfferTerms
from services.matcher.domain.disputes.book import Disputes
from services.matcher.domain.fifo import Ends, Fifo
from services.matcher.domain.identity_rows import IdentityRows
from services.matcher.domain.members.memory import Members
from services.matcher.domain.plays.state import Plays
from services.matcher.domain.standing.state import Standing
from services.matcher.domain.terms import Terms

# Order states. LOST ended unpaid through a deadline: its late payment may rejoin; GONE ended by somebody's act.
HELD: Final = 1
CONFIRMED: Final = 2
FILLED: Final = 3
LOST: Final = 4
GONE: Final = 5
REFUNDED: Final = 6

# Sides of a block, as bits: one member may lift only its own.
BLOCKS: Final = 1
IS_BLOCKED: Final = 2

# Group states.
OPEN: Final = 1
GROUP_FILLED: Final = 2
EXPIRED: Final = 3
DISSOLVED: Final = 4
MERGED: Final = 5

WEIGHT_BITS: Final = 32
ONE_STOCK: Final = ""
"""Key of the stock of an offer without variants."""

Pool = tuple[str, str | None]
"""(offer, pool): only orders of one pool meet."""


# What an order asked for and is, in one integer; its quantity stands above these bits.
STRANGERS: Final = 1
MERGE: Final = 2
LEADS: Final = 4
PREPAID: Final = 8
QUANTITY_SHIFT: Final = 4
PLAIN_MARKS: Final = 1 << QUANTITY_SHIFT | STRANGERS


def marks_of(quantity: int, *, strangers: bool, merge: bool, leads: bool, prepaid: bool) -> int:
    """Return what an order asked for and is, as one integer."""
    return quantity << QUANTITY_SHIFT | prepaid << 3 | leads << 2 | merge << 1 | strangers


class Order(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One order, seated or ended. `entry` is the packed position of the entry that first seated it.

    Twelve fields are 112 bytes. With a field for each answer they were 160, and with the payment's id as a text instead
    of ASCII bytes another 16.
    """

    order: str
    member: str
    publisher: str
    group: str
    status: int
    entry: int
    marks: int = PLAIN_MARKS
    sku: str | None = None
    payable_minor: int = 0
    paid_with: bytes | None = None
    """The id of its payment."""
    paid_minor: int = 0
    ends_at: int = 0
    """Until when its seat is held, while it is; when it ended, once it has; else 0."""

    @property
    def quantity(self) -> int:
        """Return how many units it is for."""
        return self.marks >> QUANTITY_SHIFT

    @property
    def strangers(self) -> bool:
        """Tell whether strangers may sit with it."""
        return self.marks & STRANGERS != 0

    @property
    def merge(self) -> bool:
        """Tell whether its group may be merged."""
        return self.marks & MERGE != 0

    @property
    def leads(self) -> bool:
        """Tell whether it opened its group and pays the leader's price; whoever is promoted later does not."""
        return self.marks & LEADS != 0

    @property
    def prepaid(self) -> bool:
        """Tell whether its first decision was seat.confirmed, not seat.held."""
        return self.marks & PREPAID != 0

    @property
    def payment(self) -> str | None:
        """Return the id of its payment."""
        return None if self.paid_with is None else self.paid_with.decode("ascii")

    @property
    def hold_until(self) -> int:
        """Return until when its seat is held, in ns; 0 where it is not."""
        return self.ends_at if self.status == HELD else 0

    @property
    def ended_at(self) -> int:
        """Return when it left its open group, or its group closed, in ns; 0 while it sits in an open one."""
        return 0 if self.status == HELD or self.status == CONFIRMED else self.ends_at


class Group(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True, order=True):
    """One group. `taken` and `confirmed` are weights.

    Groups are ordered by their first two fields, deadline and place in the order of opening, of which the latter
    is unique: heaps and sorted lists hold the groups themselves instead of a tuple of 64 bytes for each.
    `reserved` counts seats whose orders keep strangers out, `unmerging` those that did not agree to merging.
    """

    deadline: int
    no: int
    group: str
    offer: str
    edition: int
    leader: str
    pool: str | None = None
    sitting: str | tuple[str, ...] | None = None
    """The orders seated, as `seats` gives them; of one alone its id, since a tuple of one takes 64 bytes."""
    taken: int = 0
    confirmed: int = 0
    reserved: int = 0
    unmerging: int = 0
    status: int = OPEN
    filed: int = 0
    """Where the index has filed it for matching and merging; derived, and set anew when an index is built."""

    @property
    def seats(self) -> tuple[str, ...]:
        """Order ids in seat order."""
        sitting = self.sitting
        if isinstance(sitting, tuple):
            return sitting
        return () if sitting is None else (sitting,)

    def reseat(self, seats: tuple[str, ...]) -> None:
        """Let exactly these orders sit here, in this order."""
        self.sitting = seats if len(seats) > 1 else seats[0] if seats else None


class Edition(msgspec.Struct, gc=False):
    """One set of an offer's terms and how many remembered groups live under it."""

    terms: Terms
    groups: int = 0


class Offer(msgspec.Struct, kw_only=True, gc=False):
    """An offer: its explicit terms, the editions still in use, its stock, and weights by member where limited."""

    offer: str
    explicit: OfferTerms
    edition: int
    terms: Terms
    """For groups that open now: those of the current edition."""
    editions: dict[int, Edition]
    stock: dict[str, int] | None
    withdrawn: bool = False
    open_groups: int = 0
    weights: dict[str, int] | None = None
    """member -> weight in open groups + weight in filled groups << WEIGHT_BITS; None while no edition sets a limit."""


class Refund(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """Money owed, until its settlement is forgotten."""

    order: str
    amount_minor: int
    currency: str
    publisher: str
    member: str | None = None
    settled: bool = False


class State(msgspec.Struct, kw_only=True):
    """Everything that decisions depend on."""

    market: MarketConfigured | None = None
    now: int = 0
    position: tuple[int, int, int] = (0, 0, -1)
    """The last entry's."""
    decided: tuple[int, int] = (0, -1)
    """(seq, index) of the last event decided."""
    counter: int = 0
    """Numbers groups, holds and alarms in the order of their creation; it rises, but not one by one."""
    offers: dict[str, Offer] = {}
    groups: dict[str, Group] = {}
    orders: dict[str, Order] = {}
    refunds: dict[str, Refund] = {}
    identities: IdentityRows = msgspec.field(default_factory=IdentityRows)
    blocks: dict[str, dict[str, int]] = {}
    """member -> other -> who blocked whom (BLOCKS, IS_BLOCKED or both); kept for both members."""
    holds: dict[str, int] = {}
    """Order whose seat is held -> number of the hold."""
    closings: dict[str, Closing] = {}
    """Groups with pages still to tell -> the last page told, without its seats; in the order in which they closed."""
    dissolving: Fifo[str] = msgspec.field(default_factory=Fifo[str])
    """Groups of withdrawn offers that are still to be dissolved, in opening order."""
    ended_orders: Ends = msgspec.field(default_factory=Ends)
    ended_groups: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    settled_refunds: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    disputes: Disputes = msgspec.field(default_factory=Disputes)
    members: Members = msgspec.field(default_factory=Members)
    plays: Plays = msgspec.field(default_factory=Plays)
    standing: Standing = msgspec.field(default_factory=Standing)


def terms_of(state: State, group: Group) -> Terms:
    """Return the terms that `group` opened under."""
    return state.offers[group.offer].editions[group.edition].terms
