"""What became of a message to a member: facts on `groupbuy.<market>.notices`, written by the notifier alone.

They are CloudEvents, but no input of a market: nobody publishes them into an intake. A fact's id is that of its notice
and a count, so that the same fact has the same id for ever; the stream holds each once.

Results on the members' own subjects are many and always there: for them one fact lists all who were told.
"""

from typing import Annotated, Final, Literal

import msgspec

from events.undecodable import UNDECODABLE

NoticeType = Literal[
    "groupbuy.notice.sent.v1",
    "groupbuy.notice.delivered.v1",
    "groupbuy.notice.deferred.v1",
    "groupbuy.notice.suppressed.v1",
    "groupbuy.notice.failed.v1",
]
SENT: Final = "groupbuy.notice.sent.v1"
"""The other side has taken it over."""
DELIVERED: Final = "groupbuy.notice.delivered.v1"
"""It is where it was to go: a backend has confirmed it."""
DEFERRED: Final = "groupbuy.notice.deferred.v1"
"""Not now; `reason` and `until_ns` say why and until when."""
SUPPRESSED: Final = "groupbuy.notice.suppressed.v1"
"""Never; `reason` says why."""
FAILED: Final = "groupbuy.notice.failed.v1"
"""It could not be sent and lies among the dead letters; `why` says what happened."""

TOLD: Final = "groupbuy.notice.told.v1"
"""Many members were told at once, each on the own subject: a fact of a form of its own."""
TOLD_MEMBERS_MAX: Final = 1_000

HEADER_FACT: Final = "Groupbuy-Fact"
"""`<store> <n>`: the fact's number in the notifier's store, without gaps."""


class NoticeData(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One notice, identified by (`decision`, `member`, `purpose`, `channel`), and what became of it at `at_ns`.

    `record` is the journal record that holds the decision, `as_of` the last one that was known when it was decided
    whether to send, and `judged_at_ns` when that was. `permission` is what it was sent under: `standing`, or `grant`
    and the number of a one-time grant; `zone` and `quiet` are the time zone and the quiet hours that were looked at.
    `digest` is the message in which it went out together with others; `round` counts from 2 when it was sent again,
    and `first` is the fact of its first failure.
    """

    at_ns: int
    notice: str
    decision: str
    record: int
    as_of: int
    member: str
    purpose: str
    kind: str
    channel: str
    attempts: int = 0
    group: str | None = None
    inviter: str | None = None
    pool: str | None = None
    reason: str | None = None
    why: str | None = None
    until_ns: int | None = None
    judged_at_ns: int | None = None
    permission: str | None = None
    zone: str | None = None
    quiet: str | None = None
    digest: str | None = None
    round: int = 1
    first: str | None = None


class NoticeFact(msgspec.Struct, kw_only=True):
    """One CloudEvent 1.0; `time` is the notifier's clock."""

    specversion: Literal["1.0"] = "1.0"
    type: NoticeType
    id: str
    source: str
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: NoticeData

    @property
    def at_ns(self) -> int:
        """When it was so, by the notifier's clock, in ns since 1970."""
        return self.data.at_ns


class ToldOfRecord(msgspec.Struct, kw_only=True, gc=False):
    """Who was told what a journal record says to each; a member with results in several entries of it stands once."""

    record: int
    members: list[str]


class ToldData(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Results that were stored on the members' own subjects by `at_ns`, in the order of the journal.

    `as_of` is the last record in `told`. Of members who held tickets of `play` and have not won, whom no entry names,
    `decision` is the one that closed the play, `kind` is `draw`, and its record stands alone.
    """

    at_ns: int
    as_of: int
    purpose: Literal["result"] = "result"
    channel: Literal["nats"] = "nats"
    told: Annotated[list[ToldOfRecord], msgspec.Meta(min_length=1)]
    decision: str | None = None
    kind: str | None = None
    play: str | None = None


class ToldFact(msgspec.Struct, kw_only=True):
    """One CloudEvent 1.0 about many members; at most TOLD_MEMBERS_MAX of them."""

    specversion: Literal["1.0"] = "1.0"
    type: Literal["groupbuy.notice.told.v1"] = TOLD
    id: str
    source: str
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: ToldData


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(NoticeFact)
_told_decoder: Final = msgspec.json.Decoder(ToldFact)
_TYPE_WITHIN_BYTES: Final = 256
"""Where the type stands in what this module encodes: behind `specversion`."""

encode_fact: Final = _encoder.encode
"""Return the bytes of a NoticeFact or a ToldFact."""


def is_told(body: bytes) -> bool:
    """Tell whether what the notifier wrote is a ToldFact and no NoticeFact."""
    return TOLD.encode() in body[:_TYPE_WITHIN_BYTES]


def decode_told(body: bytes) -> ToldFact:
    """Return the fact about many members in `body`. Raises ValueError when there is none."""
    try:
        return _told_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a notice about many: {error}") from None


def decode_fact(body: bytes) -> NoticeFact:
    """Return the fact in `body`. Raises ValueError when there is none."""
    try:
        return _decoder.decode(body)
    except UNDECODABLE as error:
        raise ValueError(f"not a notice: {error}") from None
