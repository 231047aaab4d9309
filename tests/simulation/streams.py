"""Streams and consumers of the simulated broker: what a nats-server keeps, and what it answers when asked.

Only what the services use is here, with the real server's rules and error numbers for it (nats-server 2.15: fences,
message ids, atomic batches, limits, consumers by start sequence with and without acknowledgements).
"""

import base64
from collections import deque
from functools import lru_cache
from typing import Any, Final, NamedTuple

WRONG_LAST_SEQUENCE: Final = 10071
WRONG_LAST_MSG_ID: Final = 10070
DUPLICATE_IN_BATCH: Final = 10201
INCOMPLETE_BATCH: Final = 10176
MAX_BYTES: Final = 10077
NO_STORAGE: Final = 10047
STREAM_NOT_FOUND: Final = 10059
NO_MESSAGE: Final = 10037
CONSUMER_NOT_FOUND: Final = 10014
NS_PER_S: Final = 1_000_000_000


class ApiError(Exception):
    """What the broker answers instead of a result."""

    def __init__(self, err_code: int, description: str, code: int = 400) -> None:
        super().__init__(description)
        self.document = {"code": code, "err_code": err_code, "description": description}


class Stored(NamedTuple):
    """One message as it is stored."""

    seq: int
    subject: str
    head: bytes
    body: bytes
    at_ns: int


def parse_head(head: bytes) -> dict[str, str]:
    """Return the headers of a header block."""
    lines = (line.partition(":") for line in head.decode().split("\r\n")[1:])
    return {name.strip(): value.strip() for name, found, value in lines if found}


def make_head(headers: dict[str, str], status: str = "") -> bytes:
    """Return a header block."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0{' ' + status if status else ''}\r\n{lines}\r\n".encode()


@lru_cache(maxsize=65_536)
def matches(pattern: str, subject: str) -> bool:
    """Tell whether a subject fits a pattern with `*` and `>`."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


class Stream:
    """A stream: its messages from `first_seq` on, the ids that it remembers, batches that are not committed yet."""

    def __init__(self, config: dict[str, Any], created_ns: int) -> None:
        self.config = config
        self.name: str = config["name"]
        self.created_ns = created_ns
        first_seq = int(config.get("first_seq") or 1)
        self.first_seq = first_seq
        self.messages: deque[Stored] = deque()
        self.history: list[Stored] = []
        """Everything that was ever stored, for the checks: what is trimmed or lost stays here."""
        self.last_seq = first_seq - 1
        self.synced_seq = first_seq - 1
        """What is on the disk, or on most of a cluster's: nothing after it is acknowledged, delivered or shown."""
        self.leader = 1
        """Counts who leads the stream; what was promised to a former leader is not kept."""
        self.size_bytes = 0
        self.batches: dict[str, list[tuple[str, bytes, bytes, dict[str, str]]]] = {}
        self._ids: dict[str, tuple[int, int]] = {}
        self._last_at_ns = 0

    @property
    def last_message_id(self) -> str:
        """Return the id of the last message, "" where it has none."""
        last = self.get(self.last_seq)
        return "" if last is None else parse_head(last.head).get("Nats-Msg-Id", "")

    def takes(self, subject: str) -> bool:
        """Tell whether messages on `subject` are stored here."""
        return any(matches(pattern, subject) for pattern in self.config["subjects"])

    def get(self, seq: int) -> Stored | None:
        """Return a message, None when it is not there."""
        if not self.messages or not self.messages[0].seq <= seq <= self.last_seq:
            return None
        found = self.messages[seq - self.messages[0].seq]
        assert found.seq == seq, "a stream has no holes here"
        return found

    def publish(self, subject: str, head: bytes, body: bytes, now_ns: int) -> dict[str, Any]:
        """Store a message, or a part of a batch; return the acknowledgement. Raises ApiError."""
        headers = parse_head(head) if head else {}
        batch = headers.get("Nats-Batch-Id")
        if batch is not None:
            return self._take_part(batch, subject, head, body, headers, now_ns)
        known = self._known(headers, now_ns)
        if known is not None:
            return {"stream": self.name, "seq": known, "duplicate": True}
        self._check_fence(headers, self.last_seq, self.last_message_id)
        self._make_room(len(head) + len(body))
        return {"stream": self.name, "seq": self._store(subject, head, body, headers, now_ns)}

    def _take_part(
        self, batch: str, subject: str, head: bytes, body: bytes, headers: dict[str, str], now_ns: int
    ) -> dict[str, Any]:
        place = int(headers["Nats-Batch-Sequence"])
        parts = self.batches.setdefault(batch, [])
        if place != len(parts) + 1:
            del self.batches[batch]
            raise ApiError(INCOMPLETE_BATCH, "batch publish is incomplete and was abandoned")
        parts.append((subject, head, body, headers))
        if headers.get("Nats-Batch-Commit") != "1":
            return {}
        del self.batches[batch]
        ids = [part[3]["Nats-Msg-Id"] for part in parts if "Nats-Msg-Id" in part[3]]
        if len(set(ids)) < len(ids) or any(self._known(part[3], now_ns) is not None for part in parts):
            raise ApiError(DUPLICATE_IN_BATCH, "batch publish contains duplicate message id")
        self._check_fence(parts[0][3], self.last_seq, self.last_message_id)
        self._make_room(sum(len(part[1]) + len(part[2]) for part in parts))
        for part_subject, part_head, part_body, part_headers in parts:
            seq = self._store(part_subject, part_head, part_body, part_headers, now_ns)
        return {"stream": self.name, "seq": seq, "batch": batch, "count": len(parts)}

    def _known(self, headers: dict[str, str], now_ns: int) -> int | None:
        message_id = headers.get("Nats-Msg-Id")
        if message_id is None:
            return None
        window_ns = int(self.config.get("duplicate_window") or 120 * NS_PER_S)
        known = self._ids.get(message_id)
        return known[0] if known is not None and now_ns - known[1] < window_ns else None

    def _check_fence(self, headers: dict[str, str], last_seq: int, last_id: str) -> None:
        wanted_id = headers.get("Nats-Expected-Last-Msg-Id")
        if wanted_id is not None and wanted_id != last_id:
            raise ApiError(WRONG_LAST_MSG_ID, f"wrong last msg ID: {last_id}")
        wanted = headers.get("Nats-Expected-Last-Sequence")
        if wanted is not None and int(wanted) != last_seq:
            raise ApiError(WRONG_LAST_SEQUENCE, f"wrong last sequence: {last_seq}")

    def _make_room(self, size_bytes: int) -> None:
        limit = int(self.config.get("max_bytes") or -1)
        if limit <= 0:
            return
        if self.config.get("discard") == "new":
            if self.size_bytes + size_bytes > limit:
                raise ApiError(MAX_BYTES, "maximum bytes exceeded", 503)
            return
        while self.messages and self.size_bytes + size_bytes > limit:
            self._drop_first()

    def _store(self, subject: str, head: bytes, body: bytes, headers: dict[str, str], now_ns: int) -> int:
        self.last_seq += 1
        stored = Stored(self.last_seq, subject, head, body, now_ns)
        self.messages.append(stored)
        self.history.append(stored)
        self.size_bytes += len(head) + len(body)
        if "Nats-Msg-Id" in headers:
            self._ids[headers["Nats-Msg-Id"]] = (self.last_seq, now_ns)
        return self.last_seq

    def _drop_first(self) -> None:
        gone = self.messages.popleft()
        self.size_bytes -= len(gone.head) + len(gone.body)
        self.first_seq = gone.seq + 1

    def purge(self, below_seq: int) -> int:
        """Drop messages below a sequence; return how many."""
        if self.config.get("deny_purge"):
            raise ApiError(10110, "stream purge is not permitted", 500)
        dropped = 0
        while self.messages and self.messages[0].seq < below_seq:
            self._drop_first()
            dropped += 1
        if not self.messages and below_seq > self.first_seq:
            self.first_seq = self.last_seq + 1
        return dropped

    def change_leader(self) -> None:
        """Go on from what is synced; nobody was told of what comes after it."""
        kept = self.synced_seq
        self.cut_tail(kept)
        while self.history and self.history[-1].seq > kept:
            self.history.pop()
        self.batches.clear()
        self.leader += 1

    def cut_tail(self, to_seq: int) -> list[Stored]:
        """Lose the messages after `to_seq`, as a disk that lied or a leader that never told the others; return them."""
        lost: list[Stored] = []
        while self.messages and self.messages[-1].seq > to_seq:
            gone = self.messages.pop()
            self.size_bytes -= len(gone.head) + len(gone.body)
            lost.append(gone)
        self.last_seq = self.synced_seq = max(to_seq, self.first_seq - 1)
        self._ids = {name: known for name, known in self._ids.items() if known[0] <= self.last_seq}
        return lost[::-1]

    def info(self) -> dict[str, Any]:
        """Return what STREAM.INFO answers."""
        first = self.messages[0] if self.messages and self.messages[0].seq <= self.synced_seq else None
        last = self.get(self.synced_seq)
        return {
            "config": self.config,
            "created": rfc3339(self.created_ns),
            "state": {
                "messages": 0 if first is None else self.synced_seq - first.seq + 1,
                "bytes": self.size_bytes,
                "first_seq": first.seq if first else self.synced_seq + 1 if self.synced_seq else 0,
                "first_ts": rfc3339(first.at_ns) if first else "0001-01-01T00:00:00Z",
                "last_seq": self.synced_seq,
                "last_ts": rfc3339(last.at_ns) if last else "0001-01-01T00:00:00Z",
                "consumer_count": 0,
            },
        }

    def message_get(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return what STREAM.MSG.GET answers. Raises ApiError."""
        found = None
        if "seq" in request:
            found = self.get(int(request["seq"]))
        elif "last_by_subj" in request:
            wanted = request["last_by_subj"]
            shown = (one for one in reversed(self.messages) if one.seq <= self.synced_seq)
            found = next((one for one in shown if matches(wanted, one.subject)), None)
        if found is None or found.seq > self.synced_seq:
            raise ApiError(NO_MESSAGE, "no message found", 404)
        message = {
            "subject": found.subject,
            "seq": found.seq,
            "data": base64.b64encode(found.body).decode(),
            "time": rfc3339(found.at_ns),
        }
        if found.head:
            message["hdrs"] = base64.b64encode(found.head).decode()
        return {"message": message}


def rfc3339(at_ns: int) -> str:
    """Return a time as the broker writes it."""
    from datetime import UTC, datetime

    whole = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ns % NS_PER_S:09d}Z"
