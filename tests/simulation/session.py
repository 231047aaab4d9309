"""One client's connection as the simulated broker sees it: the NATS protocol, command by command."""

from typing import TYPE_CHECKING

from tests.simulation.network import Link

if TYPE_CHECKING:
    from tests.simulation.broker import SimulatedBroker


class Session:
    """One client's connection as the broker sees it."""

    def __init__(self, broker: "SimulatedBroker", link: Link) -> None:
        self._broker = broker
        self.link = link
        self._buffer = b""
        self.subscriptions: dict[str, tuple[str, str]] = {}
        """By id: (subject, queue)."""
        self.left: dict[str, int] = {}
        self.is_open = True
        self._wants_head = True

    def received(self, data: bytes) -> None:
        """Take the client's bytes, do every whole command in them."""
        self._buffer += data
        while self.is_open:
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            verb, _, arguments = line.partition(b" ")
            verb = verb.upper()
            if verb in (b"PUB", b"HPUB"):
                fields = arguments.decode().split()
                size = int(fields[-1])
                if len(rest) < size + 2:
                    return
                payload, self._buffer = rest[:size], rest[size + 2 :]
                self._publish(verb == b"HPUB", fields, payload)
                continue
            self._buffer = rest
            self._command(verb, arguments.decode())

    def _command(self, verb: bytes, arguments: str) -> None:
        if verb == b"PING":
            self.link.send(b"PONG\r\n")
        elif verb == b"SUB":
            fields = arguments.split()
            self.subscriptions[fields[-1]] = (fields[0], fields[1] if len(fields) == 3 else "")
            self._broker.interest_changed()
        elif verb == b"UNSUB":
            fields = arguments.split()
            if len(fields) == 1:
                self.subscriptions.pop(fields[0], None)
                self._broker.interest_lost()
            else:
                self.left[fields[0]] = int(fields[1])
        else:
            assert verb in (b"CONNECT", b"PONG"), f"the simulated broker does not know {verb!r}"

    def _publish(self, has_head: bool, fields: list[str], payload: bytes) -> None:
        subject = fields[0]
        reply = fields[1] if len(fields) == (4 if has_head else 3) else ""
        head_bytes = int(fields[-2]) if has_head else 0
        self._broker.publish(subject, reply, payload[:head_bytes], payload[head_bytes:], self)

    def takes(self, sid: str) -> bool:
        """Tell whether a subscription is still there."""
        return self.is_open and sid in self.subscriptions

    def deliver(self, sid: str, subject: str, reply: str, head: bytes, body: bytes) -> None:
        """Send a message to one of the client's subscriptions."""
        address = f"{subject} {sid} {reply}" if reply else f"{subject} {sid}"
        if head:
            command = f"HMSG {address} {len(head)} {len(head) + len(body)}\r\n"
        else:
            command = f"MSG {address} {len(body)}\r\n"
        self.link.send(command.encode() + head + body + b"\r\n")
        if sid in self.left:
            self.left[sid] -= 1
            if self.left[sid] <= 0:
                del self.left[sid]
                self.subscriptions.pop(sid, None)
                self._broker.interest_lost()

    def lost(self) -> None:
        """Forget the connection."""
        self.is_open = False
        self._broker.session_lost(self)
