"""What the naive model reads of an input: the contract's decoding, nothing of its own."""

from typing import Any

from events.decode import NamesAPerson, Unreadable, decode_event
from events.reasons import Fault
from events.times import parse_time_ns
from tests.model.naive_world import Fields, fields_of


class Input:
    """One event as it came: its bytes, and what could be read of it."""

    def __init__(self, raw: bytes, publisher: str, family: str) -> None:
        self.raw = raw
        self.publisher = publisher
        self.family = family
        self.is_mixed = (publisher, family) == ("gateway", "mixed")
        self.event: Any = None
        self.fault: Unreadable | None = None
        self.personal_field: str | None = None
        self.time_ns = 0
        try:
            self.event, self.time_ns = decode_event(raw)
            check_times(self.event.data)
        except Unreadable as unreadable:
            self.event, self.fault = None, unreadable
        except NamesAPerson as found:
            self.event, self.personal_field = found.event, found.field
        if self.is_mixed and self.event is not None and self.event.publisher:
            self.publisher = self.event.publisher

    @property
    def kind(self) -> str:
        """Return the type of a readable event as `family.verb`."""
        name: str = type(self.event).__struct_config__.tag
        return name.removeprefix("groupbuy.").removesuffix(".v1")

    @property
    def payment(self) -> Fields | None:
        """Return the payment that a posted or joined order carries."""
        carried = self.event.data.payment if self.kind in ("order.posted", "order.joined") else None
        return None if carried is None else fields_of(carried)

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return what makes this event one and the same."""
        return self.publisher, self.event.source, self.event.id


def check_times(data: Any) -> None:
    """Raise Unreadable when an offer's time is none."""
    terms = getattr(data, "offer_defaults", data)
    for name in ("opens_at", "closes_at"):
        text = getattr(terms, name, None)
        if text is not None:
            try:
                parse_time_ns(text)
            except ValueError as error:
                raise Unreadable(Fault.BAD_TIME, str(error)) from None
