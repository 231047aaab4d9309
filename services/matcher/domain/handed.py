"""Integers that are only handed on."""

from typing import Any

Handed = Any
"""An int that goes from one object into another as it is.

Compiled code takes an `int` out of its object, and makes a new one of 32 bytes wherever it comes to rest. What millions
of orders share would be there a million times, and what every order hands on several times costs it a tenth of a
microsecond.
"""
