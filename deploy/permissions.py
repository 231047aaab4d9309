"""Who may publish and subscribe what: pure functions from a market's users to the broker's permissions.

Three facts about the broker shape this page.

- A JetStream consumer is a deputy: whoever may create one chooses where the broker delivers, with the
  broker's own rights. So no publisher may create a consumer; each has one durable pull consumer made
  for it, bound to its own outcomes.
- The subject of an API request names the stream but not what is inside the request. A right to create
  consumers on a stream is therefore a right to read all of it.
- The reply subject of a message is not checked against the sender's rights, so a publisher can have the
  broker's acknowledgement, or its own outcomes, delivered to any subject, another stream's included.
  What arrives that way never is a record (no fence fits it) nor an event; readers must skip it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from events import subjects
from events.ids import is_name

OPERATOR: Final = subjects.OPERATOR
MATCHER: Final = subjects.MATCHER
GATEWAY: Final = subjects.GATEWAY
LEDGER: Final = "ledger"
NOTIFIER: Final = "notifier"
PROVISIONER: Final = "provisioner"

SERVICE_USERS: Final = (MATCHER, GATEWAY, LEDGER, NOTIFIER, PROVISIONER)
RESERVED_USERS: Final = (*SERVICE_USERS, OPERATOR)
"""Names that no ordinary publisher may take: its intake subjects would be another user's."""

PUBLISHER_FAMILIES: Final = ("order", "offer", "group", "refund", "play", "assist", "invitation")
OPERATOR_FAMILIES: Final = ("market", "member", "dispute", "offer", "group", "play", "assist")


class NameRefusedError(ValueError):
    """A name cannot be a market or a publisher; the message says why."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The subjects a user may publish on and subscribe to; everything else is denied."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_prefix(user: str) -> str:
    """Prefix of a user's inboxes: replies to it can be read by nobody else."""
    return f"_INBOX.{user}"


def outcomes_consumer(publisher: str) -> str:
    """Name of the durable pull consumer through which a publisher reads its outcomes again."""
    return f"outcomes-{publisher}"


def check_market(market: str) -> None:
    """Refuse a market's name that cannot stand in a subject."""
    if not is_name(market):
        raise NameRefusedError(f"market {market!r} is no name: 1 to 64 of A-Z a-z 0-9 _ - are allowed")


def check_publisher(publisher: str) -> None:
    """Refuse an ordinary publisher's name that cannot stand in a subject or belongs to a service."""
    if not is_name(publisher):
        raise NameRefusedError(f"publisher {publisher!r} is no name: 1 to 64 of A-Z a-z 0-9 _ - are allowed")
    if publisher in RESERVED_USERS:
        raise NameRefusedError(f"publisher {publisher!r} bears the name of a service: choose another name")


def families_of(publisher: str) -> tuple[str, ...]:
    """Families a publisher may publish; which of them a market accepts is for its configuration to say."""
    return OPERATOR_FAMILIES if publisher == OPERATOR else PUBLISHER_FAMILIES


def all_permissions(markets: Sequence[str], publishers: Iterable[str]) -> dict[str, Permissions]:
    """Permissions of every user by name: the services, the operator, and the ordinary publishers."""
    for market in markets:
        check_market(market)
    named = sorted({name for name in publishers if name != OPERATOR})
    for publisher in named:
        check_publisher(publisher)
    everyone = [OPERATOR, *named]
    permissions = {
        MATCHER: _join([_matcher(market) for market in markets]),
        GATEWAY: _join([_gateway(market, everyone) for market in markets]),
        LEDGER: _join([_ledger(market) for market in markets]),
        NOTIFIER: _join([_notifier(market) for market in markets]),
        PROVISIONER: Permissions(("$JS.API.>",), ()),
    }
    permissions |= {name: _join([_publisher(market, name) for market in markets]) for name in everyone}
    return {user: _with_own_inbox(user, held) for user, held in permissions.items()}


def _publisher(market: str, publisher: str) -> Permissions:
    stream, consumer = subjects.outcomes_stream(market), outcomes_consumer(publisher)
    own = [
        subject(market, publisher, family)
        for subject in (subjects.intake, subjects.submit)
        for family in families_of(publisher)
    ]
    return Permissions(
        (
            *own,
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
            f"$JS.API.CONSUMER.INFO.{stream}.{consumer}",
            f"$JS.ACK.{stream}.{consumer}.>",
        ),
        (subjects.outcome(market, publisher),),
    )


def _matcher(market: str) -> Permissions:
    return Permissions(
        (
            subjects.journal(market),
            subjects.intake(market, MATCHER, "clock"),
            *_reading(subjects.intake_stream(market)),
            *_reading(subjects.journal_stream(market)),
        ),
        (subjects.checkpoint(market),),
    )


def _gateway(market: str, publishers: Sequence[str]) -> Permissions:
    return Permissions(
        (
            subjects.intake(market, GATEWAY, subjects.MIXED),
            *(f"{inbox_prefix(publisher)}.>" for publisher in publishers),
            *_reading(subjects.journal_stream(market)),
        ),
        (subjects.submit(market, "*", "*"), subjects.checkpoint(market)),
    )


def _ledger(market: str) -> Permissions:
    return Permissions(
        (
            subjects.checkpoint(market),
            # Trimming what is archived. The broker cannot limit up to where: the ledger's code does.
            f"$JS.API.STREAM.PURGE.{subjects.intake_stream(market)}",
            f"$JS.API.STREAM.INFO.{subjects.intake_stream(market)}",
            *_reading(subjects.journal_stream(market)),
            *_reading(subjects.notices_stream(market)),
        ),
        (),
    )


def _notifier(market: str) -> Permissions:
    written = (
        subjects.results_stream(market),
        subjects.outcomes_stream(market),
        subjects.notices_stream(market),
    )
    return Permissions(
        (
            subjects.result(market, "*"),
            subjects.outcome(market, "*"),
            subjects.notices(market),
            *_reading(subjects.journal_stream(market)),
            *(subject for stream in written for subject in _looking_up(stream)),
        ),
        (subjects.checkpoint(market),),
    )


def _looking_up(stream: str) -> tuple[str, ...]:
    """Rights to read single messages of a stream and its state."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
    )


def _reading(stream: str) -> tuple[str, ...]:
    """Rights to read a stream through consumers of one's own, and single messages of it."""
    return (
        *_looking_up(stream),
        # Without a name the client sends the shorter subject.
        f"$JS.API.CONSUMER.CREATE.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.INFO.{stream}.*",
        f"$JS.API.CONSUMER.DELETE.{stream}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
        f"$JS.ACK.{stream}.>",
        f"$JS.FC.{stream}.>",
    )


def _join(parts: Sequence[Permissions]) -> Permissions:
    return Permissions(
        tuple(dict.fromkeys(subject for part in parts for subject in part.publish)),
        tuple(dict.fromkeys(subject for part in parts for subject in part.subscribe)),
    )


def _with_own_inbox(user: str, held: Permissions) -> Permissions:
    return Permissions(held.publish, (f"{inbox_prefix(user)}.>", *held.subscribe))
