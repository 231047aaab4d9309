"""The production code as it runs in a simulation: what reaches out of the process is replaced, and nothing else."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

from services.bus import journal, journal_consumer
from services.ledger import app as ledger_app
from services.ledger import archiver, notice_follower
from services.matcher import app as matcher_app
from services.matcher import intake, loop, records, shift, standby
from services.matcher.gateway import app as gateway_app
from services.matcher.gateway import gather
from services.matcher.loop import Matcher
from services.matcher.snapshots import SnapshotStore
from services.notifier import app as notifier_app
from services.notifier import notifier
from services.notifier.channels import ahead
from services.notifier.channels import nats as nats_channel
from services.notifier.dispatch import publishing, worker
from services.notifier.dispatch.build import build_dispatcher
from services.notifier.dispatch.dispatcher import Dispatcher
from tests.simulation.loop import NODE
from tests.simulation.nodes import SimulatedNode


class _NoServer:
    """In place of the HTTP server of health and metrics: nobody asks."""

    port = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take whatever a server takes."""

    async def start(self) -> None:
        """Listen nowhere."""

    async def stop(self) -> None:
        """Have nothing to stop."""


async def _no_health(*_: Any, **__: Any) -> _NoServer:
    return _NoServer()


_SELDOM: Final = (
    (journal, "CHECK_INTERVAL_S", 10.0),
    (journal, "SILENCE_S", 20.0),
    (loop, "IDLE_WAIT_S", 5.0),
    (standby, "LOOK_IDLE_S", 2.0),
    (gather, "SWEEP_INTERVAL_S", 3.0),
    (archiver, "INTERVAL_S", 10.0),
    (notice_follower, "LOOK_S", 10.0),
    (worker, "POLL_S", 5.0),
    (publishing, "POLL_S", 5.0),
)
"""Looks that a service takes at regular times, taken seldom: idle hours are cheap, and whatever a look would have
mended lasts longer."""


_SMALL: Final = (
    (loop, "SNAPSHOT_IDLE_ENTRIES", 5),
    # Few letters make a batch already: batches are what goes ahead of the answer to the one before.
    (ahead, "CHAIN_MAX_MESSAGES", 1),
    (nats_channel, "CHAIN_MAX_MESSAGES", 1),
    (notifier, "RESULTS_GATHER_S", 0.001),
    (loop, "SNAPSHOT_IDLE_S", 2.0),
    (records, "RECORD_MAX_BYTES", 12 * 1024),
    (shift, "AHEAD_MAX_BYTES", 24 * 1024),
    (intake, "TAKE_MESSAGES", 3),
    (journal, "BATCH_MAX_RECORDS", 3),
    (journal_consumer, "WINDOW_MESSAGES", 12),
)
"""Limits that a simulation of a hundred events would else never meet."""


@contextmanager
def production_in_simulation(seed: int) -> Iterator[None]:
    """Replace what reaches out of the process: HTTP servers, random names, exits."""
    chance = random.Random(seed ^ 0x1D)
    with ExitStack() as stack:
        for app in (matcher_app, ledger_app, gateway_app, notifier_app):
            if hasattr(app, "serve_health"):
                stack.enter_context(mock.patch.object(app, "serve_health", _no_health))
        stack.enter_context(mock.patch.object(gateway_app, "HttpServer", _NoServer))
        # Everything random in the standard library comes from here: secrets, uuid4, the libraries' own names.
        stack.enter_context(mock.patch("random._urandom", chance.randbytes))
        stack.enter_context(mock.patch("os.urandom", chance.randbytes))
        random.seed(seed)
        for module, name, value in (*_SELDOM, *_SMALL):
            stack.enter_context(mock.patch.object(module, name, value))
        stack.enter_context(mock.patch.object(matcher_app, "_observe", _observe_nothing))
        # A fork would copy the whole simulation.
        stack.enter_context(mock.patch.object(SnapshotStore, "save_aside", _save_here))
        stack.enter_context(mock.patch("os._exit", _end_node))
        stack.enter_context(mock.patch.object(matcher_app, "Matcher", _RememberedMatcher))
        stack.enter_context(mock.patch.object(notifier_app, "build_dispatcher", _remembered_dispatcher))
        yield


def _end_node(_: int) -> None:
    node = NODE.get()
    assert isinstance(node, SimulatedNode)
    node.kill()


def _save_here(*_: object) -> None:
    """Have the matcher save its snapshot itself."""


async def _observe_nothing(_: Matcher) -> None:
    """Nobody reads the metrics."""


def _remembered_dispatcher(*arguments: Any) -> Dispatcher:
    """Build the dispatcher, findable by the simulation."""
    node = NODE.get()
    assert isinstance(node, SimulatedNode)
    node.dispatcher = build_dispatcher(*arguments)
    return node.dispatcher


class _RememberedMatcher(Matcher):
    """The matcher, findable by the simulation."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        node = NODE.get()
        assert isinstance(node, SimulatedNode)
        node.matcher = self
