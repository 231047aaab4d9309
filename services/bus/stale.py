"""Answers of a node that does not know yet that it leads no more: for a while a stream may look shorter than it is."""

import time
from typing import Final

STALE_S: Final = 15.0
"""A node that was cut off from the others steps down after ten seconds; who still says so then means it."""


class StaleAnswers:
    """Tells whether a stream that is shorter than known is to be believed."""

    def __init__(self) -> None:
        """Begin with nothing doubted."""
        self._doubted_since_s: float | None = None

    def excuses(self, replicas: int | None) -> bool:
        """Note that a stream, kept so many times, is shorter than known; tell whether to ask again first."""
        if replicas is None or replicas < 2:
            return False
        now_s = time.monotonic()
        if self._doubted_since_s is None:
            self._doubted_since_s = now_s
        return now_s - self._doubted_since_s < STALE_S

    def settled(self) -> None:
        """Note that the stream is as long as it must be."""
        self._doubted_since_s = None

    def doubt(self, replicas: int | None, what: str) -> None:
        """Doubt that a stream, kept so many times, lacks `what`: raise TimeoutError until that has been said for long.

        Answers may come from two nodes at once, when one that was cut off is back and does not know it yet.
        """
        if self.excuses(replicas):
            raise TimeoutError(f"{what} seems to be missing: asking again, since a node that was cut off may say so")
