"""How long what is not done yet has been waiting: the age of a lag, which says more than its length."""

import time
from collections import deque
from typing import Final

from services.bus.health import Check, Status

DEGRADED_S: Final = 5.0
UNHEALTHY_S: Final = 60.0
"""A service that is so far behind still works, but not for anybody who waits."""
MARK_EVERY_S: Final = 0.5
MARKS_MAX: Final = 1_024


class LagClock:
    """Notes from time to time where a stream ends, and so knows since when the first message not done is there."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._marks: deque[tuple[float, int]] = deque()
        """(when, the stream's end then), for ends that are not done yet."""
        self._done_seq = 0

    def note(self, last_seq: int, done_seq: int) -> None:
        """Note that the stream ends at `last_seq` and is dealt with through `done_seq`."""
        self._done_seq = done_seq
        while self._marks and self._marks[0][1] <= done_seq:
            self._marks.popleft()
        if last_seq <= done_seq:
            return
        now_s = time.monotonic()
        is_new = not self._marks or (last_seq > self._marks[-1][1] and now_s - self._marks[-1][0] >= MARK_EVERY_S)
        # When there are too many, the oldest still tells the age; what comes later is noted when there is room.
        if is_new and len(self._marks) < MARKS_MAX:
            self._marks.append((now_s, last_seq))

    @property
    def age_s(self) -> float:
        """How long the first message that is not done has been there, to half a second; 0 when all is done."""
        return time.monotonic() - self._marks[0][0] if self._marks else 0.0

    def check(self, behind: str) -> Check | None:
        """Return what a lag of this age means for health, with `behind` as its sentence; None while it is young."""
        age_s = self.age_s
        if age_s < DEGRADED_S:
            return None
        status = Status.DEGRADED if age_s < UNHEALTHY_S else Status.UNHEALTHY
        return Check(status, f"{behind}, the first of them for {age_s:.0f} s")
