"""Processes that end with the one that started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def end_with_parent(how: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls before it becomes its program: the kernel then sends it `how` once its parent is gone.

    On Linux only. The signal follows the thread that forked, so children are started from the event loop's own thread,
    which is the main one. A parent that went between fork and call is noticed by its changed id.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os._exit(1)

    return ask
