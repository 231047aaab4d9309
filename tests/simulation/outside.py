"""The world outside of the stack: a shop's webhook and a mail server, and what the notifier needs to reach them.

The notifier's own couriers run, up to where they would open a socket.
"""

import asyncio
import base64
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import aiosmtplib
import httpx2

from services.notifier.addresses import EMAIL, AddressBook, address_file
from services.notifier.channels import email, webhook
from services.notifier.dispatch import build, dispatcher, store
from tests.simulation.loop import NODE
from tests.simulation.network import Network
from tests.simulation.workload.town import MEMBERS

MODES: Final = ("broken", "busy", "silent", "forgetful")
"""How the outside fails: an error, `not now`, no answer, and the answer lost after the message was taken."""
ADDRESSES: Final = MEMBERS // 2
"""So many members, the first ones, left an address."""
ANSWER_MAX_S: Final = 0.05
_SECRET: Final = "whsec_" + base64.b64encode(b"s" * 32).decode()
_SETTINGS: Final = """
[market]
since = "2025-12-31T00:00:00Z"
digest_window_s = 5

[email]
host = "mail.simulated"
port = 25
sender = "shop@example.com"
tls = "none"

[[webhooks]]
name = "shop-a"
url = "http://shop-a.simulated/hook"
secret_files = ["secret"]
purposes = ["result", "invitation", "reminder"]
publishers = ["shop-a"]
"""


class Outside:
    """Whoever takes messages: what arrived, and how it is answered at the moment."""

    def __init__(self, network: Network, chance: random.Random) -> None:
        self._network = network
        self._chance = chance
        self.mode = ""
        """One of MODES, or nothing is wrong."""
        self.webhooks: list[str] = []
        """Ids of what the shop took, in order."""
        self.mails: list[str] = []

    async def take(self, taken: list[str], name: str) -> str:
        """Have a message arrive and return how it is answered: one of MODES, or nothing is wrong."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._network.after(self._chance.uniform(0.0, ANSWER_MAX_S), self._arrive, taken, name, answer)
        return await answer

    def _arrive(self, taken: list[str], name: str, answer: "asyncio.Future[str]") -> None:
        if self.mode in ("", "forgetful"):
            taken.append(name)
        if self.mode != "silent":
            self._network.after(self._chance.uniform(0.0, ANSWER_MAX_S), _settle, answer, self.mode)


def _settle(answer: "asyncio.Future[str]", mode: str) -> None:
    if not answer.done():
        answer.set_result(mode)


class _Transport(httpx2.AsyncBaseTransport):
    """HTTP to the shop."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        mode = await self._outside.take(self._outside.webhooks, request.headers["webhook-id"])
        if mode == "forgetful":
            raise httpx2.ReadError("the answer was lost")
        if mode == "busy":
            return httpx2.Response(429, headers={"retry-after": "2"})
        return httpx2.Response(500 if mode == "broken" else 204)


def furnish(data_dir: Path) -> None:
    """Write the configuration of a notifier that sends messages, and the members' addresses."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "notifier.toml").write_text(_SETTINGS)
    (data_dir / "secret").write_text(_SECRET)
    book = AddressBook(address_file(data_dir, "main"))
    # Not everybody left one.
    for number in range(ADDRESSES):
        book.set(f"m-{number}", EMAIL, f"m{number}@example.com")
    book.close()


def message_name(mail: Any) -> str:
    """Return the name by which a mail is known in the facts."""
    return str(mail["Message-ID"]).strip("<>").partition(".")[0]


@contextmanager
def reachable(outside: Outside, chance: random.Random) -> Iterator[None]:
    """Let couriers reach the simulated outside."""

    async def send(mail: Any, **_: Any) -> None:
        mode = await asyncio.wait_for(outside.take(outside.mails, message_name(mail)), email.TIMEOUT_S)
        if mode == "busy":
            raise aiosmtplib.SMTPResponseException(450, "later")
        if mode:
            raise aiosmtplib.SMTPServerDisconnected("the mail server is gone")

    def transport(**_: Any) -> _Transport:
        return _Transport(outside)

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(webhook, "GuardedTransport", transport))
        stack.enter_context(mock.patch.object(email.aiosmtplib, "send", send))
        # Templates are compiled once and not at each of a thousand starts.
        stack.enter_context(mock.patch.object(build, "Texts", _texts))
        stack.enter_context(mock.patch.object(store, "_lock", _lock))
        stack.enter_context(mock.patch.object(store, "os", SimpleNamespace(close=_unlock)))
        seeded = SimpleNamespace(Random=lambda: random.Random(chance.random()))
        stack.enter_context(mock.patch.object(dispatcher, "random", seeded))
        yield


_Texts: Final = build.Texts


@lru_cache
def _texts(*arguments: Any) -> Any:
    return _Texts(*arguments)


def _lock(_: Path) -> int:
    """Have a lock that ends with the process: here nothing ends with one, so it is a descriptor of its own."""
    descriptor, node = os.open(os.devnull, os.O_RDONLY), NODE.get()
    assert node is not None, "nodes open outboxes"
    node.when_dead.append(lambda: _unlock(descriptor))  # type: ignore[attr-defined]
    _held.add(descriptor)
    return descriptor


_held: Final[set[int]] = set()


def _unlock(descriptor: int) -> None:
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)
