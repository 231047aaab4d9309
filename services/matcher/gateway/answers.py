"""What the gateway answers: outcomes from the journal, or an error that says what was expected."""

from enum import StrEnum
from typing import Final

import msgspec

from events.limits import BATCH_MAX_BYTES, BATCH_MAX_EVENTS, EVENT_MAX_BYTES

KIB: Final = 1024


class Code(StrEnum):
    """Why a request got no outcomes. Spellings never change; new ones are only added."""

    EVENT_TOO_LARGE = "event_too_large"
    BATCH_TOO_LARGE = "batch_too_large"
    TOO_MANY_EVENTS = "too_many_events"
    WRONG_FAMILY = "wrong_family"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    PENDING = "pending"


HTTP_STATUS: Final[dict[Code, int]] = {
    Code.EVENT_TOO_LARGE: 413,
    Code.BATCH_TOO_LARGE: 413,
    Code.TOO_MANY_EVENTS: 413,
    Code.WRONG_FAMILY: 400,
    Code.BAD_REQUEST: 400,
    Code.UNAUTHORIZED: 401,
    Code.NOT_FOUND: 404,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.BUSY: 429,
    Code.UNAVAILABLE: 503,
    Code.PENDING: 504,
}


class ErrorBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error as the requester reads it.

    `retry_after_s` is there where trying again helps. `intake` is the sequence of the intake message that
    holds the request's first event, where it is known to be stored without an outcome so far.
    """

    code: Code
    message: str
    retry_after_s: int | None = None
    intake: int | None = None


class Refusal(Exception):
    """The request cannot be answered with outcomes; the error says why."""

    def __init__(self, code: Code, message: str, retry_after_s: int | None = None, intake: int | None = None) -> None:
        super().__init__(message)
        self.error = ErrorBody(code=code, message=message, retry_after_s=retry_after_s, intake=intake)

    @property
    def http_status(self) -> int:
        """The HTTP status that says the same."""
        return HTTP_STATUS[self.error.code]

    def encode(self) -> bytes:
        """Return the answer's body: `{"error": {...}}`."""
        return msgspec.json.encode({"error": self.error})


def encode_outcomes(outcomes: list[bytes]) -> bytes:
    """Return the answer's body from encoded outcomes: `{"outcomes": [...]}`."""
    return b'{"outcomes":[' + b",".join(outcomes) + b"]}"


def event_too_large(size_bytes: int, index: int | None = None) -> Refusal:
    """Return the refusal of an event past its limit; `index` is its place in a batch."""
    which = "the event" if index is None else f"event {index} of the batch"
    return Refusal(
        Code.EVENT_TOO_LARGE,
        f"{which} is {size_bytes} bytes; an event may have {EVENT_MAX_BYTES // KIB} KiB ({EVENT_MAX_BYTES} bytes)",
    )


def batch_too_large(size_bytes: int) -> Refusal:
    """Return the refusal of a batch past its limit in bytes."""
    return Refusal(
        Code.BATCH_TOO_LARGE,
        f"the batch is {size_bytes} bytes or more; a batch may have {BATCH_MAX_BYTES // KIB} KiB "
        f"({BATCH_MAX_BYTES} bytes): send it in parts",
    )


def too_many_events() -> Refusal:
    """Return the refusal of a batch past its limit in events."""
    return Refusal(
        Code.TOO_MANY_EVENTS, f"the batch has more than the {BATCH_MAX_EVENTS} events it may have: send it in parts"
    )


def wrong_family(kind: str, family: str, index: int | None) -> Refusal:
    """Return the refusal of an event whose type does not belong to the subject it came on."""
    which = "the event" if index is None else f"event {index} of the batch"
    return Refusal(
        Code.WRONG_FAMILY,
        f"{which} has type {kind[:64]!r}, but the subject is for the family {family[:64]!r}: nothing was published; "
        f"send it on the subject that ends in its own family",
    )


def busy(why: str, retry_after_s: int = 1) -> Refusal:
    """Return the refusal of a request for which there is no room at the moment."""
    return Refusal(
        Code.BUSY, f"{why}: nothing was published; try again in {retry_after_s} s, with the same ids", retry_after_s
    )


def unavailable(why: str, retry_after_s: int = 2) -> Refusal:
    """Return the refusal of a request that was not published since something is down."""
    return Refusal(Code.UNAVAILABLE, f"{why}: nothing was published; try again in {retry_after_s} s", retry_after_s)


def pending(intake: int | None) -> Refusal:
    """Return the answer to a request whose outcome did not come in time; it may be stored, or not."""
    if intake is None:
        told = "the broker did not confirm that it stored the events, so they may be published or not"
    else:
        told = f"the events are stored in intake message {intake} but not all of them are decided yet"
    return Refusal(
        Code.PENDING,
        f"{told}; send the same events again, with the same ids: what was decided meanwhile is answered as "
        f"`duplicate` with the original outcome, and nothing happens twice",
        1,
        intake,
    )
