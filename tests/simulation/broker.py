"""The simulated broker: the NATS protocol over simulated connections, streams behind it, and the ways it misbehaves."""

import hashlib
import json
import random
from collections.abc import Callable
from typing import Any, Final

from tests.simulation.loop import BEGIN_NS, SimulationLoop
from tests.simulation.network import Link, Network
from tests.simulation.session import Session
from tests.simulation.store import Consumer, Store
from tests.simulation.streams import NO_STORAGE, ApiError, Stream, make_head, matches

SYNC_MIN_S: Final = 0.000_5
SYNC_MEAN_S: Final = 0.002
MAX_PAYLOAD: Final = 8 * 1024 * 1024
_INFO: Final = {
    "server_id": "SIMULATED",
    "version": "2.15.1",
    "go": "none",
    "headers": True,
    "max_payload": MAX_PAYLOAD,
    "proto": 1,
    "jetstream": True,
}
_PULL: Final = "$JS.API.CONSUMER.MSG.NEXT."
_NO_RESPONDERS: Final = make_head({}, "503")


Taker = tuple[Session, str, str]
"""A session, the id of one of its subscriptions, and the queue that this is in."""


class SimulatedBroker:
    """A broker over a store that survives its restarts; every fault is asked for by name."""

    def __init__(self, loop: SimulationLoop, network: Network, chance: random.Random) -> None:
        self.loop = loop
        self._network = network
        self._chance = chance
        self._sessions: list[Session] = []
        self._takers: dict[tuple[str, ...], list[tuple[str, Taker]]] = {}
        """First tokens of a subject -> subscriptions that may take it, with their patterns."""
        self.skew_ns = 0
        """How far the broker's clock is off; it may go backwards."""
        self.frozen_ns: int | None = None
        """What its clock says while it stands still."""
        self.tick_ns = 1
        """The step in which its clock moves: a coarse one has many events meet a deadline to the nanosecond."""
        self.store = Store(self.now_ns)
        self.trace = hashlib.sha256()
        self._synced_until_s = 0.0
        self._pumping = False
        self.is_up = False
        self.leaderless_until_s = 0.0
        self.is_full = False
        """Its disk takes nothing more."""
        self.drop_acks = 0
        """How many of the next acknowledgements of stored messages are lost, with their connection."""
        self.kills_at_store = 0
        """How many of the next messages cost their sender its life the moment they are stored."""
        self.repeat_deliveries = 0
        self.mortals: tuple[str, ...] = ()
        self.kill: Callable[[str], None] = lambda _: None

    def now_ns(self) -> int:
        """Return the broker's wall clock."""
        at_ns = self.loop.now_ns() + self.skew_ns if self.frozen_ns is None else self.frozen_ns
        return at_ns // self.tick_ns * self.tick_ns

    def start(self) -> None:
        """Take connections."""
        self.is_up = True
        for stream in self.store.streams.values():
            stream.synced_seq = stream.last_seq
        self._network.listen(self._accept)

    def change_leader(self, away_s: float) -> None:
        """Have another node lead: what is not synced is lost, and for a while no stream answers."""
        for stream in self.store.streams.values():
            stream.change_leader()
        self.leaderless_until_s = self.loop.time() + away_s

    def stop(self, late_s: float | None = None, *, without_power: bool = False) -> None:
        """Go down: connections break, consumers are forgotten; what is stored stays, `without_power` what is synced."""
        if without_power:
            self.change_leader(0.0)
        self.is_up = False
        self._network.listen(None)
        for session in list(self._sessions):
            session.link.cut(late_s)
            session.is_open = False
        self._sessions.clear()
        self._takers.clear()
        self.store.consumers = {key: one for key, one in self.store.consumers.items() if one.config.get("durable_name")}
        for stream in self.store.streams.values():
            stream.batches.clear()

    def _accept(self, link: Link) -> Session:
        session = Session(self, link)
        self._sessions.append(session)
        self._note("connect", link.node.name)
        link.send(b"INFO " + json.dumps(_INFO).encode() + b"\r\n")
        return session

    def session_lost(self, session: Session) -> None:
        """Forget a session, and the batches that it began."""
        if session in self._sessions:
            self._sessions.remove(session)
            self._takers.clear()

    def interest_changed(self) -> None:
        """Somebody listens who did not: consumers may have something for them."""
        self._takers.clear()
        self._pump_soon()

    def interest_lost(self) -> None:
        """Somebody listens no more."""
        self._takers.clear()

    # Publishing

    def publish(self, subject: str, reply: str, head: bytes, body: bytes, sender: Session | None) -> None:
        """Route a message, store it where a stream wants it, answer what is asked."""
        self._note(subject, body)
        if self.loop.time() < self.leaderless_until_s and (subject.startswith("$JS.") or self.store.stream_of(subject)):
            if reply:
                self.send(reply, _NO_RESPONDERS, b"")
            return
        if subject.startswith(_PULL):
            self._pull(subject, reply, json.loads(body))
            return
        if subject.startswith("$JS.API."):
            document = self.store.answer(subject, body)
            self.send(reply, b"", json.dumps(document).encode())
            if ".CONSUMER." in subject:
                self._pump_soon()
            return
        if subject.startswith("$JS.ACK."):
            self._acknowledge(subject)
            return
        stream = self.store.stream_of(subject)
        if stream is None:
            if not self.send(subject, head, body, reply) and reply:
                self.send(reply, _NO_RESPONDERS, b"")
            return
        try:
            if self.is_full:
                raise ApiError(NO_STORAGE, "insufficient storage resources available", 500)
            ack = stream.publish(subject, head, body, self.now_ns())
        except ApiError as error:
            ack = {"error": error.document, "stream": stream.name, "seq": 0}
        else:
            if "batch" not in ack and ack and not ack.get("duplicate"):
                self.send(subject, head, body, reply)
        if self.kills_at_store and ack.get("seq") and sender is not None and sender.link.node.name in self.mortals:
            self.kills_at_store -= 1
            self.kill(sender.link.node.name)
        self._when_synced(stream, ack, reply, sender)

    def _when_synced(self, stream: Stream, ack: dict[str, Any], reply: str, sender: Session | None) -> None:
        """Answer once the disk has it; one flush serves everything that came before it."""
        now_s = self.loop.time()
        is_stored = bool(ack.get("seq"))
        if is_stored and self._synced_until_s <= now_s:
            self._synced_until_s = now_s + SYNC_MIN_S + self._chance.random() * SYNC_MEAN_S
        self._network.after(
            max(0.0, self._synced_until_s - now_s), self._acknowledge_stored, stream, stream.leader, ack, reply, sender
        )

    def _acknowledge_stored(
        self, stream: Stream, leader: int, ack: dict[str, Any], reply: str, sender: Session | None
    ) -> None:
        if not self.is_up or stream.leader != leader:
            return
        is_stored = bool(ack.get("seq"))
        stream.synced_seq = min(stream.last_seq, max(stream.synced_seq, ack.get("seq", 0)))
        if is_stored and self.drop_acks and sender is not None:
            self.drop_acks -= 1
            sender.link.cut()
        elif reply:
            self.send(reply, b"", json.dumps(ack).encode() if ack else b"")
        self._pump()

    def send(self, subject: str, head: bytes, body: bytes, reply: str = "") -> bool:
        """Deliver to whoever subscribed, one of each queue; tell whether somebody did."""
        taken: list[str] = []
        found = False
        for session, sid, queue in self._takers_of(subject):
            if queue in taken or not session.takes(sid):
                continue
            if queue:
                taken.append(queue)
            session.deliver(sid, subject, reply, head, body)
            found = True
        return found

    # Consumers

    def _acknowledge(self, subject: str) -> None:
        _, _, stream, consumer, _, _, consumer_seq, *_ = subject.split(".")
        found = self.store.consumers.get((stream, consumer))
        if found is not None:
            found.acknowledge(int(consumer_seq))
            self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            self._network.soon(self._pump)

    def _pump(self) -> None:
        """Deliver what consumers are due; only what is on the disk is delivered."""
        self._pumping = False
        if not self.is_up:
            return
        for consumer in list(self.store.consumers.values()):
            if not consumer.deliver_subject:
                self._deliver_asked(consumer)
                continue
            if not self._has_interest(consumer.deliver_subject):
                continue
            for reply, message in consumer.due():
                times = 1
                if self.repeat_deliveries:
                    self.repeat_deliveries -= 1
                    times = 2
                for _ in range(times):
                    self._send_to(consumer.deliver_subject, message.subject, reply, message.head, message.body)

    def _pull(self, subject: str, reply: str, request: dict[str, Any]) -> None:
        """Answer a request for messages: with what there is, and with a status when there is no more in time."""
        consumer = self.store.consumers.get(tuple(subject.removeprefix(_PULL).split(".")))  # type: ignore[arg-type]
        if consumer is None:
            self.send(reply, _NO_RESPONDERS, b"")
            return
        consumer.asked = (reply, int(request.get("batch", 1)))
        self._pump()
        wait_s = request.get("expires", 0) / 1e9
        self._network.after(
            wait_s, self._end_pull, consumer, reply, "408 Request Timeout" if wait_s else "404 No Messages"
        )

    def _end_pull(self, consumer: Consumer, reply: str, status: str) -> None:
        if consumer.asked is not None and consumer.asked[0] == reply:
            consumer.asked = None
            self.send(reply, make_head({}, status), b"")

    def _deliver_asked(self, consumer: Consumer) -> None:
        while consumer.asked is not None:
            inbox, left = consumer.asked
            found = next(consumer.due(), None)
            if found is None:
                return
            reply, message = found
            self._send_to(inbox, message.subject, reply, message.head, message.body)
            consumer.asked = (inbox, left - 1) if left > 1 else None

    def _takers_of(self, subject: str) -> list[Taker]:
        """Return which subscriptions take a subject, sessions in the order in which they came."""
        # Few of all subscriptions begin as the subject does: they are looked up by that.
        root = tuple(subject.split(".", 2)[:2])
        known = self._takers.get(root)
        if known is None:
            known = self._takers[root] = [
                (pattern, (session, sid, queue))
                for session in self._sessions
                for sid, (pattern, queue) in session.subscriptions.items()
                if ">" in pattern.split(".", 2)[:2]
                or all(own in ("*", given) for own, given in zip(pattern.split(".", 2), root, strict=False))
            ]
        return [taker for pattern, taker in known if matches(pattern, subject)]

    def _has_interest(self, subject: str) -> bool:
        return any(session.takes(sid) for session, sid, _ in self._takers_of(subject))

    def _send_to(self, inbox: str, subject: str, reply: str, head: bytes, body: bytes) -> None:
        """Deliver under the stream's own subject to the subscription on the consumer's, or on who asked."""
        for session, sid, _ in self._takers_of(inbox):
            if session.takes(sid):
                session.deliver(sid, subject, reply, head, body)
                return

    def heartbeat(self) -> None:
        """Tell every consumer that wants to know how far it is; called at the simulation's own pace."""
        if not self.is_up:
            return
        for consumer in list(self.store.consumers.values()):
            if consumer.config.get("idle_heartbeat") and not consumer.is_silent:
                last = {
                    "Nats-Last-Consumer": str(consumer.consumer_seq),
                    "Nats-Last-Stream": str(consumer.next_seq - 1),
                }
                self._send_to(
                    consumer.deliver_subject, consumer.deliver_subject, "", make_head(last, "100 Idle Heartbeat"), b""
                )

    def _note(self, *what: str | bytes) -> None:
        """Mix into the trace what happened, and when."""
        self.trace.update(f"{self.loop.now_ns() - BEGIN_NS} ".encode())
        for part in what:
            self.trace.update(part if isinstance(part, bytes) else part.encode())
