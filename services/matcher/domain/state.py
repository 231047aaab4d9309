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
from services.matcher.domain.fifo import Fifo
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

NOWHERE: Final = -1
WEIGHT_BITS: Final = 32
ONE_STOCK: Final = ""
"""Key of the stock of an offer without variants."""

Pool = tuple[str, str | None]
"""(offer, pool): only orders of one pool meet."""


class Order(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One order, seated or ended. `entry` is the packed position of the entry that first seated it."""

    order: str
    member: str
    publisher: str
    group: str
    status: int
    entry: int
    quantity: int = 1
    sku: str | None = None
    strangers: bool = True
    merge: bool = False
    leads: bool = False
    """It opened its group and pays the leader's price; whoever is promoted later does not."""
    prepaid: bool = False
    """Its first decision was seat.confirmed, not seat.held."""
    payable_minor: int = 0
    payment: str | None = None
    paid_minor: int = 0
    hold_until: int = 0
    hold_no: int = 0
    ended_at: int = 0


class Group(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True, order=True):
    """One group. `seats` are order ids in seat order; `taken` and `confirmed` are weights.

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
    seats: tuple[str, ...] = ()
    taken: int = 0
    confirmed: int = 0
    reserved: int = 0
    unmerging: int = 0
    status: int = OPEN
    rank: int = NOWHERE
    """Where the index has filed it for matching; derived, and set anew when an index is built."""
    mergeable: bool = False
    """Whether the index has filed it for merging; derived as well."""


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
    """Numbers groups and holds in the order of their creation."""
    offers: dict[str, Offer] = {}
    groups: dict[str, Group] = {}
    orders: dict[str, Order] = {}
    refunds: dict[str, Refund] = {}
    identities: dict[bytes, bytes] = {}
    blocks: dict[str, dict[str, int]] = {}
    """member -> other -> who blocked whom (BLOCKS, IS_BLOCKED or both); kept for both members."""
    closings: dict[str, Closing] = {}
    """Groups with pages still to tell -> the last page told, without its seats; in the order in which they closed."""
    dissolving: Fifo[str] = msgspec.field(default_factory=Fifo[str])
    """Groups of withdrawn offers that are still to be dissolved, in opening order."""
    identity_queue: Fifo[bytes] = msgspec.field(default_factory=Fifo[bytes])
    ended_orders: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    ended_groups: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    settled_refunds: Fifo[tuple[int, str]] = msgspec.field(default_factory=Fifo[tuple[int, str]])
    disputes: Disputes = msgspec.field(default_factory=Disputes)
    members: Members = msgspec.field(default_factory=Members)
    plays: Plays = msgspec.field(default_factory=Plays)
    standing: Standing = msgspec.field(default_factory=Standing)


def terms_of(state: State, group: Group) -> Terms:
    """Return the terms that `group` opened under."""
    return state.offers[group.offer].editions[group.edition].terms


def pack_entry(seq: int, index: int, part: int) -> int:
    """Return a position as one integer."""
    return seq << 34 | index << 24 | part


def unpack_entry(packed: int) -> tuple[int, int, int]:
    """Return the (seq, index, part) of a packed position."""
    return packed >> 34, packed >> 24 & 0x3FF, packed & 0xFFFFFF
