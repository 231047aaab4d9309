"""Small disks that can be filled: tmpfs mounts that nobody else sees, and that end with this process at the latest."""

import ctypes
import os
import shutil
from pathlib import Path
from typing import Final

CLONE_NEWNS: Final = 0x0002_0000
MS_REMOUNT: Final = 1 << 5
MS_REC: Final = 1 << 14
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
PAGE_BYTES: Final = 4_096


class NoDisks(Exception):
    """Mounting is not permitted here; the message says what was tried."""


def own_mounts() -> str | None:
    """Give this process and its children mounts of their own; return why that is not possible, or None.

    The kernel takes them down with the last process that sees them, so that even a kill -9 leaves none behind.
    """
    try:
        _call("unshare", CLONE_NEWNS)
        _call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    except NoDisks as reason:
        return str(reason)
    return None


class Disk:
    """A tmpfs over a folder, whose size changes while it is in use."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes
        self.is_mounted = False

    def mount(self) -> None:
        """Put the disk over its folder. Raises NoDisks when mounting is not permitted."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = f"size={self._size_bytes},mode=0700".encode()
        _call("mount", b"tmpfs", os.fsencode(self.folder), b"tmpfs", 0, options)
        self.is_mounted = True

    def fill(self, left_bytes: int) -> None:
        """Leave room for `left_bytes` and no more."""
        found = os.statvfs(self.folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        self._resize(max(PAGE_BYTES, used + left_bytes))

    def make_room(self) -> None:
        """Give the disk its size back."""
        self._resize(self._size_bytes)

    def unmount(self, keep_in: Path | None = None) -> None:
        """Take the disk away, after a copy of what is on it went to `keep_in`."""
        if not self.is_mounted:
            return
        if keep_in is not None:
            shutil.copytree(self.folder, keep_in, dirs_exist_ok=True)
        _call("umount2", os.fsencode(self.folder), MNT_DETACH)
        self.is_mounted = False

    def _resize(self, size_bytes: int) -> None:
        _call("mount", b"tmpfs", os.fsencode(self.folder), b"tmpfs", MS_REMOUNT, f"size={size_bytes}".encode())


def _call(name: str, *arguments: bytes | int | None) -> None:
    """Make a call to the kernel by its name in the C library. Raises NoDisks with what it answered."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, name):
        raise NoDisks(f"this system has no {name}")
    typed = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if getattr(libc, name)(*typed) != 0:
        raise NoDisks(f"{name} is not permitted here: {os.strerror(ctypes.get_errno())}")
