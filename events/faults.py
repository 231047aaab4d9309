"""The two ways in which an input is no event that may be kept."""

from events.reasons import Fault
from events.registry import AnyEvent

_DETAIL_MAX_CHARS = 200


class Unreadable(ValueError):
    """An input that is no event; `fault` says why, `detail` where. The detail never quotes what was sent."""

    def __init__(self, fault: Fault, detail: str | None = None) -> None:
        """Keep `fault` and at most 200 characters of `detail`."""
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail[:_DETAIL_MAX_CHARS] if detail else None


class NamesAPerson(ValueError):
    """A readable event in which `field` looks like personal data; it must be refused and not kept."""

    def __init__(self, event: AnyEvent, field: str, at_ns: int = 0) -> None:
        """Keep the event for its id, the name of the field but not its value, and the claimed time in ns."""
        super().__init__(field)
        self.event = event
        self.field = field
        self.at_ns = at_ns
