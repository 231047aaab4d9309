"""The CloudEvents 1.0 envelope that every event shares."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from events.ids import Id, Name, Source, TimeText


class Data(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Base of every payload. Unknown fields are accepted and kept: readers tolerate, writers are strict."""

    def ids(self) -> str:
        """Return every identifier in the payload, one a line."""
        raise NotImplementedError

    def members(self) -> tuple[str | None, ...]:
        """Return every member named in the payload; each is among the identifiers too."""
        return ()

    def times(self) -> tuple[str | None, ...]:
        """Return every time in the payload."""
        return ()


class Event(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """One CloudEvent (structured JSON, https://github.com/cloudevents/spec v1.0.2).

    `publisher` counts only on the gateway's own subject, where the gateway has authenticated it.
    """

    specversion: Literal["1.0"]
    id: Id
    source: Source
    time: TimeText
    publisher: Name | UnsetType = UNSET
    datacontenttype: Literal["application/json"] | UnsetType = UNSET
    dataschema: str | UnsetType = UNSET
    subject: str | UnsetType = UNSET


def lines(*values: str | None) -> str:
    """Join the identifiers that are there, one a line."""
    return "\n".join([value for value in values if value is not None])
