"""Every reason for a refusal is shown by a test of its rule."""

import importlib
import pkgutil
from collections.abc import Iterator

import tests.unit.rules
from events.reasons import Reason


def _marks() -> Iterator[frozenset[Reason]]:
    for module in pkgutil.iter_modules(tests.unit.rules.__path__, f"{tests.unit.rules.__name__}."):
        for thing in vars(importlib.import_module(module.name)).values():
            marked = getattr(thing, "covers", None)
            if isinstance(marked, frozenset):
                yield marked


def test_every_reason_is_shown_by_a_test_that_fails_unless_it_is_given() -> None:
    shown = frozenset().union(*_marks())
    assert set(Reason) - shown == set()
