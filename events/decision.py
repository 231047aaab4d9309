"""What all decisions share, whichever family's module they stand in."""

import msgspec


class Decision(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    """Base of every decision."""
