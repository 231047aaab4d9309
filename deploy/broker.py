"""The embedded broker: one nats-server on the loopback address, with users and durable writes."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import nats
import nats.errors

from deploy.broker_binary import check_config, find_binary
from deploy.broker_config import HOST, BrokerLimits, BrokerUser, ClusterNode, render
from deploy.broker_error import BrokerError, PortTakenError
from deploy.broker_lock import POLL_INTERVAL_S, lock_directory, record_pid
from deploy.broker_log import ReloadAnswer, last_failure
from deploy.identity import DEFAULT_PUBLISHERS, ConnectOptions, connect_options, ensure_identities
from deploy.permissions import PROVISIONER, SERVICE_USERS, all_permissions, check_market
from deploy.ports import free_port, listens, refuse_taken_port
from services.bus.parent import end_with_parent

START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 20.0
RELOAD_TIMEOUT_S: Final = 10.0
FREE_PORT_TRIES: Final = 5
# One in so many bytes of the machine's memory is for the broker's heap: a quarter, and for a node of a cluster of three
# that may well stand on one machine a twelfth.
MEMORY_SHARE: Final = 4
NODE_MEMORY_SHARE: Final = 12


class EmbeddedBroker:
    """A nats-server over one data directory: keys in DATA/keys, everything else in DATA/broker.

    As a `node` of a cluster it keeps everything else in a directory of the node's name. Only one broker at a time
    may use a directory. The instance can be started again after a stop, or after the server died, and then keeps its
    port, so that clients find it again.
    """

    def __init__(
        self,
        data: Path,
        markets: Sequence[str] = ("main",),
        *,
        publishers: Iterable[str] = DEFAULT_PUBLISHERS,
        port: int | None = None,
        limits: BrokerLimits | None = None,
        node: ClusterNode | None = None,
    ) -> None:
        for market in markets:
            check_market(market)
        self._data = data.resolve()
        self._markets = tuple(markets)
        self._publishers = set(publishers)
        self._limits = limits or BrokerLimits()
        self._node = node
        self._port: int | None = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port, known once started."""
        if self._port is None:
            raise BrokerError("the broker has no port yet: start it first")
        return self._port

    @property
    def markets(self) -> tuple[str, ...]:
        """The markets whose rights its users have."""
        return self._markets

    @property
    def url(self) -> str:
        """The address for clients, known once started."""
        return f"nats://{HOST}:{self.port}"

    @property
    def directory(self) -> Path:
        """Where the broker keeps its streams, configuration and log."""
        return self._data / ("broker" if self._node is None else self._node.name)

    @property
    def config_file(self) -> Path:
        """The configuration as last written."""
        return self.directory / "nats.conf"

    @property
    def log_file(self) -> Path:
        """The server's log."""
        return self.directory / "nats.log"

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def connect_options(self, user: str) -> ConnectOptions:
        """Options for `nats.connect(broker.url, **options)` as `user`."""
        return connect_options(self._data, user)

    async def start(self) -> None:
        """Start the server and return when JetStream answers."""
        if self.running:
            return
        binary = find_binary()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tries = FREE_PORT_TRIES if self._port is None else 1
        for left in range(tries - 1, -1, -1):
            try:
                await self._start_once(binary)
                return
            except PortTakenError:
                if left == 0:
                    raise
                self._port = None

    async def stop(self) -> None:
        """Ask the server to end (it flushes what it holds) and wait; kill it when it does not."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def kill(self) -> None:
        """End the server as a power cut would, for tests of what survives."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def reload(self, *, publishers: Iterable[str] = (), markets: Iterable[str] = ()) -> None:
        """Write the users again, with more publishers or markets, and have the running server take them over.

        Connections of users whose rights changed are dropped by the server; clients reconnect by themselves.
        """
        if self._process is None or not self.running:
            raise BrokerError("the broker is not running: start it, and it reads its users anew")
        self._publishers |= set(publishers)
        for market in markets:
            check_market(market)
        self._markets = tuple(dict.fromkeys((*self._markets, *markets)))
        self._write_config()
        answer = ReloadAnswer(self.log_file)
        self._process.send_signal(signal.SIGHUP)
        await self._wait_for(lambda: self._has_reloaded(answer), RELOAD_TIMEOUT_S, "take over its new users")

    async def __aenter__(self) -> "EmbeddedBroker":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _start_once(self, binary: Path) -> None:
        lock = await lock_directory(self.directory)
        try:
            if self._port is None:
                self._port = free_port()
            refuse_taken_port(self.port)
            self._write_config()
            check_config(binary, self.config_file)
            self._process = self._spawn(binary, lock)
        finally:
            # The server holds the lock from here on: it inherited the open file.
            os.close(lock)
        record_pid(self.directory, self._process.pid)
        try:
            await self._wait_for_jetstream()
        except BaseException:
            # Also when the caller is cancelled: a server nobody knows of would hold port and lock.
            await asyncio.shield(self.stop())
            raise

    def _write_config(self) -> None:
        identities = ensure_identities(self._data, self._publishers)
        publishers = [user for user in identities if user not in SERVICE_USERS]
        users = {
            name: BrokerUser(name, identities[name].public_key, permissions)
            for name, permissions in all_permissions(self._markets, publishers).items()
        }
        text = render(self.port, self.directory, users, self._limits, self._node)
        part = self.config_file.with_suffix(".conf.part")
        part.touch(mode=0o600)
        part.write_text(text, encoding="utf-8")
        part.replace(self.config_file)

    def _spawn(self, binary: Path, lock: int) -> subprocess.Popen[bytes]:
        with (self.directory / "stderr").open("wb") as stderr:
            try:
                return subprocess.Popen(
                    [str(binary), "-c", str(self.config_file)],
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    pass_fds=(lock,),
                    env={"GOMEMLIMIT": str(self._limits.heap_bytes or self._share_of_memory()), **os.environ},
                    # Ctrl-C in a terminal reaches the whole group: the broker must outlive the services.
                    process_group=0,
                    preexec_fn=end_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call, prepared before the fork
                )
            except OSError as error:
                raise BrokerError(f"cannot run {binary}: {error.strerror}") from error

    def _share_of_memory(self) -> int:
        """Return the bytes of the machine's memory that are for this broker: for one of a cluster here, less."""
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return memory_bytes // (MEMORY_SHARE if self._node is None else NODE_MEMORY_SHARE)

    async def _wait_for_jetstream(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        await self._wait_for(self._is_heard, START_TIMEOUT_S, "listen")
        while not await self._jetstream_answers():
            self._raise_if_dead()
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker does not get ready within {START_TIMEOUT_S:.0f} s; see {self.log_file}")
            await asyncio.sleep(POLL_INTERVAL_S)

    def _is_heard(self) -> bool:
        self._raise_if_dead()
        return listens(self.port)

    async def _jetstream_answers(self) -> bool:
        try:
            client = await nats.connect(
                self.url,
                **self.connect_options(PROVISIONER),
                allow_reconnect=False,
                connect_timeout=2,
                error_cb=_ignore,
            )
        except (OSError, TimeoutError, nats.errors.Error):
            return False
        try:
            await client.jetstream(timeout=2).account_info()
        except (OSError, TimeoutError, nats.errors.Error):
            return False
        else:
            return True
        finally:
            await client.close()

    def _raise_if_dead(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        last_words = last_failure(self.directory / "stderr", self.log_file)
        if "address already in use" in last_words:
            raise PortTakenError(HOST, self.port)
        raise BrokerError(f"the broker ended at once (status {self._process.returncode}): {last_words}")

    def _has_reloaded(self, answer: ReloadAnswer) -> bool:
        self._raise_if_dead()
        return answer.is_yes()

    async def _wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker does not {what} within {timeout_s:.0f} s; see {self.log_file}")
            await asyncio.sleep(POLL_INTERVAL_S)


async def _ignore(_: Exception) -> None:
    """Errors while the server comes up are expected; the caller asks again."""
