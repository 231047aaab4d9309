"""Everything that goes wrong in a simulation, by name; a seed decides what, when and for how long."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

from events import subjects
from events.record import decode_record
from tests.simulation.checks.history import is_record
from tests.simulation.disks import WAYS, damage, damage_ledger, no_room
from tests.simulation.outside import MODES
from tests.simulation.streams import Stream

if TYPE_CHECKING:
    from tests.simulation.world import World

_INTAKE: Final = subjects.intake_stream("main")
SERVICES: Final = ("matcher", "ledger", "notifier", "gateway")
SKEW_MAX_S: Final = 20
DOWN_MAX_S: Final = 20.0
PAUSE_MAX_S: Final = 40.0
ROOM_MAX_BYTES: Final = 200_000
"""Where a full disk ends: beyond a place in a file up to here nothing can be written."""


class Faults:
    """The faults of one world, and how many of each there were."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.chance
        self.counts: dict[str, int] = {}
        self.full_disks: dict[str, float] = {}
        """Node -> until when its disk is full, in seconds of the loop."""

    def strike(self) -> None:
        """Do one fault, chosen by chance."""
        name = self._chance.choice(list(KINDS))
        self.counts[name] = self.counts.get(name, 0) + 1
        KINDS[name](self)

    def heal(self) -> None:
        """End everything that would last."""
        world = self._world
        self.full_disks.clear()
        world.network.slow = 1.0
        world.road.drop_answers = 0
        world.outside.mode = ""
        world.broker.drop_acks = world.broker.repeat_deliveries = world.broker.kills_at_store = 0
        world.broker.skew_ns = 0
        world.broker.frozen_ns = None
        world.broker.is_full = False
        world.broker.leaderless_until_s = 0.0
        for node in world.nodes.values():
            node.clock_skew_ns = 0
            node.frozen_ns = None
            if node.is_paused:
                node.go_on()
        for link in world.network.links.all():
            if link.held_up:
                link.release()
        if not world.broker.is_up:
            world.broker.start()

    def disk(self, node: str) -> AbstractContextManager[None]:
        """Return what a node's work on its disk is done in."""
        if self.full_disks.get(node, 0.0) > self._world.loop.time():
            return no_room(self._chance.randrange(ROOM_MAX_BYTES))
        return nullcontext()

    # Processes

    def kill(self) -> None:
        """Kill -9 of one service; its supervisor starts it again."""
        self._world.kill(self._chance.choice(self._world.service_names()))

    def kill_at_store(self) -> None:
        """Kill a service between the store of what it published and the acknowledgement, several times in a row."""
        broker = self._world.broker
        broker.mortals = (self._chance.choice(SERVICES),)
        broker.kills_at_store += self._chance.randrange(1, 5)

    def kill_at_disk(self) -> None:
        """Kill a service, and lose what its disk took in its last moments."""
        name = self._chance.choice(("ledger", "matcher"))
        self._world.kill(name, lose_disk=True)

    def pause(self) -> None:
        """SIGSTOP for up to longer than every time-out."""
        name = self._chance.choice(self._world.service_names())
        node = self._world.nodes[name]
        if node.is_dead or node.is_paused:
            return
        node.pause()
        self._world.later(self._chance.uniform(0.1, PAUSE_MAX_S), lambda: node.go_on() if node.is_paused else None)

    def second_matcher(self) -> None:
        """Another matcher that believes that it leads, for a while."""
        if "matcher-2" not in self._world.nodes:
            self._world.start_matcher("matcher-2")
            self._world.later(self._chance.uniform(1, 30), lambda: self._world.retire("matcher-2"))

    # Network and broker

    def cut(self) -> None:
        """Break one connection."""
        links = self._world.network.links.all()
        if links:
            self._chance.choice(links).cut()

    def late_bytes(self) -> None:
        """Keep back what a client sends, break its connection, and let the bytes arrive when it is back already."""
        links = [link for link in self._world.network.links.all() if not link.held_up]
        if not links:
            return
        link = self._chance.choice(links)
        link.held_up = True
        late_s = self._chance.uniform(0.5, 8.0)
        self._world.later(self._chance.uniform(0.05, 6.0), lambda: link.cut(late_s))

    def broker_restart(self) -> None:
        """The broker goes down and comes back with what it stored."""
        broker = self._world.broker
        if not broker.is_up:
            return
        broker.stop(self._chance.choice((None, 1.0)), without_power=self._chance.random() < 0.5)
        self._world.later(self._chance.uniform(0.1, DOWN_MAX_S), lambda: None if broker.is_up else broker.start())

    def full_broker(self) -> None:
        """The broker's disk is full for a while: nothing is stored, and who publishes is told so."""
        self._world.broker.is_full = True
        self._world.later(self._chance.uniform(1, 30), lambda: setattr(self._world.broker, "is_full", False))

    def leader_change(self) -> None:
        """Another node of the broker leads, without what was not synced; some connections break."""
        self._world.broker.change_leader(self._chance.uniform(0.0, 8.0))
        for link in self._world.network.links.all():
            if self._chance.random() < 0.3:
                link.cut()

    def lost_acks(self) -> None:
        """Acknowledgements are lost after the write, and answers of the gateway on their way."""
        self._world.broker.drop_acks += self._chance.randrange(1, 4)
        self._world.road.drop_answers += self._chance.randrange(0, 3)

    def repeats(self) -> None:
        """Deliveries come twice."""
        self._world.broker.repeat_deliveries += self._chance.randrange(1, 5)

    def silent_consumer(self) -> None:
        """A consumer delivers nothing more and does not say so."""
        consumers = list(self._world.broker.store.consumers.values())
        if consumers:
            self._chance.choice(consumers).is_silent = True

    def stray(self) -> None:
        """Somebody's message lands in the journal that is no record, or in a stream that only the notifier writes."""
        told = (subjects.outcome("main", "shop-a"), subjects.result("main", "m-1"), subjects.notices("main"))
        subject = self._chance.choice((subjects.journal("main"), subjects.journal("main"), *told))
        self._world.broker.publish(subject, "", b"", b'{"stream":"somebody","seq":1}', None)

    def slow(self) -> None:
        """The network is a hundred times slower for a while."""
        self._world.network.slow = self._chance.uniform(5, 200)
        self._world.later(self._chance.uniform(1, 20), lambda: setattr(self._world.network, "slow", 1.0))

    def outside(self) -> None:
        """Webhook and mail server fail in one way or another for a while."""
        self._world.outside.mode = self._chance.choice(MODES)
        self._world.later(self._chance.uniform(1, 30), lambda: setattr(self._world.outside, "mode", ""))

    # Clocks

    def broker_clock(self) -> None:
        """The broker's clock jumps, backwards too."""
        self._world.broker.skew_ns = self._chance.randrange(-SKEW_MAX_S, SKEW_MAX_S) * 10**9

    def service_clock(self) -> None:
        """A service's clock jumps."""
        node = self._world.nodes[self._chance.choice(self._world.service_names())]
        node.clock_skew_ns = self._chance.randrange(-3_600, 3_600) * 10**9

    def frozen_clock(self) -> None:
        """The broker's clock stands still for a while, or a service's."""
        world = self._world
        names = world.service_names()
        node = None if self._chance.random() < 0.5 else world.nodes[self._chance.choice(names)]
        clock = world.broker if node is None else node
        clock.frozen_ns = world.broker.now_ns() if node is None else node.wall_ns(world.loop.now_ns())
        world.later(self._chance.uniform(1, 60), lambda: setattr(clock, "frozen_ns", None))

    # Disks

    def full_disk(self) -> None:
        """A service's disk is full for a while."""
        name = self._chance.choice(("ledger", "matcher", "notifier"))
        self.full_disks[name] = self._world.loop.time() + self._chance.uniform(1, 30)

    def damaged_snapshot(self) -> None:
        """A bit flips in a snapshot, or its end is missing, or was never written."""
        files = sorted(self._world.folder.glob("matcher*/matcher/*"))
        if files:
            damage(self._chance.choice(files), self._chance.randrange(10**9), self._chance.choice(WAYS))

    def damaged_ledger(self) -> None:
        """The ledger is killed, and its database is not as it was."""
        self._world.kill("ledger")
        damage_ledger(self._world, self._chance.choice(WAYS), self._chance.randrange(10**9))

    def lost_snapshots(self) -> None:
        """The snapshots are gone."""
        for folder in sorted(self._world.folder.glob("matcher*/matcher")):
            shutil.rmtree(folder)


KINDS: Final[dict[str, Callable[[Faults], None]]] = {
    "kill": Faults.kill,
    "kill_at_store": Faults.kill_at_store,
    "kill_at_disk": Faults.kill_at_disk,
    "pause": Faults.pause,
    "second_matcher": Faults.second_matcher,
    "cut": Faults.cut,
    "late_bytes": Faults.late_bytes,
    "broker_restart": Faults.broker_restart,
    "full_broker": Faults.full_broker,
    "leader_change": Faults.leader_change,
    "lost_acks": Faults.lost_acks,
    "repeats": Faults.repeats,
    "silent_consumer": Faults.silent_consumer,
    "stray": Faults.stray,
    "slow": Faults.slow,
    "outside": Faults.outside,
    "broker_clock": Faults.broker_clock,
    "service_clock": Faults.service_clock,
    "frozen_clock": Faults.frozen_clock,
    "full_disk": Faults.full_disk,
    "damaged_snapshot": Faults.damaged_snapshot,
    "lost_snapshots": Faults.lost_snapshots,
    "damaged_ledger": Faults.damaged_ledger,
}
"""Faults after which nothing may be lost and everything goes on."""


class Losses:
    """Faults in which the broker loses what it had acknowledged: the system must notice, or nothing may be missing."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._chance = world.chance

    def strike(self) -> str:
        """Do one, between a stop and a start of the broker; return what was lost."""
        broker = self._world.broker
        broker.stop()
        what = self._chance.choice((self._cut_tail, self._recreate, self._flip))()
        self._world.later(self._chance.uniform(0.1, 5.0), broker.start)
        return what

    def _stream(self) -> Stream:
        names = (subjects.intake_stream("main"), subjects.journal_stream("main"), subjects.results_stream("main"))
        return self._world.broker.store.streams[self._chance.choice(names)]

    def _cut_tail(self) -> str:
        stream = self._stream()
        # What nobody has decided yet can be lost unseen, in the intake: so more than that is.
        seen = min(stream.last_seq - 3, self._decided_seq() - 1 if stream.name == _INTAKE else stream.last_seq)
        keep = self._chance.randrange(stream.first_seq - 1, max(stream.first_seq, seen + 1))
        lost = stream.cut_tail(keep)
        return f"{stream.name} lost its last {len(lost)} messages"

    def _decided_seq(self) -> int:
        journal = self._world.broker.store.streams[subjects.journal_stream("main")]
        records = [message for message in journal.messages if is_record(message)]
        return decode_record(records[-1].body).through.seq if records else 0

    def _recreate(self) -> str:
        stream = self._stream()
        identity = {subjects.IDENTITY_METADATA: "another"}
        fresh = Stream({**stream.config, "metadata": identity}, self._world.broker.now_ns())
        fresh.history = stream.history
        self._world.broker.store.streams[stream.name] = fresh
        return f"{stream.name} was made anew"

    def _flip(self) -> str:
        stream = self._world.broker.store.streams[subjects.journal_stream("main")]
        if not stream.messages:
            return "nothing"
        place = self._chance.randrange(len(stream.messages))
        message = stream.messages[place]
        body = bytearray(message.body)
        body[self._chance.randrange(len(body))] ^= 1 << self._chance.randrange(8)
        stream.messages[place] = message._replace(body=bytes(body))
        # It is noticed by whoever reads it again: here a matcher without snapshots.
        Faults(self._world).lost_snapshots()
        self._world.kill("matcher")
        return f"a bit of message {message.seq} of {stream.name} is another"
