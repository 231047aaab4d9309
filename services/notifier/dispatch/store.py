"""The dispatcher's files and the one thread in which they are touched."""

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.notifier.addresses import AddressBook, address_file
from services.notifier.dispatch.database import FILE_MODE, OutboxError, outbox_file
from services.notifier.dispatch.outbox import Outbox

T = TypeVar("T")


class Store:
    """Outbox and address book of one market, held by one process at a time."""

    def __init__(self, data_dir: Path, market: str) -> None:
        """Open both. Raises OutboxError when they cannot be used, or another process sends from them."""
        self.outbox = Outbox(data_dir, market)
        self._lock = _lock(outbox_file(data_dir, market).with_suffix(".lock"))
        self.addresses = AddressBook(address_file(data_dir, market))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")

    async def do(self, call: Callable[[], T]) -> T:
        """Call something in the thread of the files and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Close the files after what is being done."""
        await self.do(self.outbox.close)
        await self.do(self.addresses.close)
        await asyncio.to_thread(self._thread.shutdown)
        os.close(self._lock)


def _lock(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OutboxError(
            f"another notifier sends from {file.with_suffix('.sqlite')}: two would send everything twice"
        ) from None
    return descriptor
