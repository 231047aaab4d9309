"""Marks for tests that only one of the two ways in which the rules run can pass."""

import pytest

from events import compiled

interpreted_only = pytest.mark.skipif(
    compiled.way() == "compiled", reason="counts what the interpreter does, or puts functions in place of compiled ones"
)
