"""What the simulated broker keeps beside its streams: consumers, and the answers to requests about both."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.simulation.streams import (
    CONSUMER_NOT_FOUND,
    STREAM_NOT_FOUND,
    ApiError,
    Stored,
    Stream,
    matches,
    rfc3339,
)

_UNLIMITED: Final = (
    "max_memory",
    "max_storage",
    "max_streams",
    "max_consumers",
    "max_ack_pending",
    "memory_max_stream_bytes",
    "storage_max_stream_bytes",
)
_LIMITS: Final = {**dict.fromkeys(_UNLIMITED, -1), "max_bytes_required": False}
_CALLS: Final = {"total": 0, "errors": 0}


class Consumer:
    """A push consumer in the broker's memory, from a sequence on."""

    def __init__(self, name: str, stream: Stream, config: dict[str, Any]) -> None:
        self.name = name
        self.stream = stream
        self.config = config
        self.deliver_subject: str = config.get("deliver_subject") or ""
        self.next_seq = max(int(config.get("opt_start_seq") or 1), stream.first_seq)
        self.consumer_seq = 0
        self.acked = 0
        self.is_silent = False
        """A fault: it delivers nothing more and says nothing."""
        self.asked: tuple[str, int] | None = None
        """Of a pull consumer: who asked for how many messages more."""
        acks = config.get("ack_policy", "none") != "none"
        self.window = int(config.get("max_ack_pending") or 1_000) if acks else 0
        self.filter: str = config.get("filter_subject") or ""

    def due(self) -> Iterator[tuple[str, Stored]]:
        """Yield (reply subject, message) of what can be delivered now."""
        while not self.is_silent and (not self.window or self.consumer_seq - self.acked < self.window):
            self.next_seq = max(self.next_seq, self.stream.first_seq)
            found = self.stream.get(self.next_seq)
            if found is None or found.seq > self.stream.synced_seq:
                return
            self.next_seq += 1
            if self.filter and not matches(self.filter, found.subject):
                continue
            self.consumer_seq += 1
            to_come = self.stream.synced_seq - found.seq
            place = f"1.{found.seq}.{self.consumer_seq}.{found.at_ns}.{to_come}"
            yield f"$JS.ACK.{self.stream.name}.{self.name}.{place}", found

    def acknowledge(self, consumer_seq: int) -> None:
        """Note that a delivery and, with policy `all`, those before it were taken."""
        self.acked = max(self.acked, consumer_seq)

    def info(self) -> dict[str, Any]:
        """Return what CONSUMER.INFO answers."""
        return {
            "stream_name": self.stream.name,
            "name": self.name,
            "config": {**self.config, "name": self.name},
            "created": rfc3339(self.stream.created_ns),
            "delivered": {"consumer_seq": self.consumer_seq, "stream_seq": self.next_seq - 1},
            "ack_floor": {"consumer_seq": self.acked, "stream_seq": 0},
            "num_ack_pending": 0,
            "num_redelivered": 0,
            "num_waiting": 0,
            "num_pending": max(0, self.stream.synced_seq - self.next_seq + 1),
            "push_bound": True,
        }


class Store:
    """Every stream and consumer of a broker, and the requests that it answers about them."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.streams: dict[str, Stream] = {}
        self.consumers: dict[tuple[str, str], Consumer] = {}
        self._made = 0

    def stream_of(self, subject: str) -> Stream | None:
        """Return the stream that stores messages on `subject`."""
        return next((stream for stream in self.streams.values() if stream.takes(subject)), None)

    def answer(self, subject: str, body: bytes) -> dict[str, Any]:
        """Return the document that a request to the API is answered with."""
        try:
            return self._answer(subject.removeprefix("$JS.API."), json.loads(body) if body else {})
        except ApiError as error:
            return {"type": "io.nats.jetstream.api.v1.error", "error": error.document}

    def _answer(self, call: str, request: dict[str, Any]) -> dict[str, Any]:
        tokens = call.split(".")
        match tokens[:2]:
            case ["INFO"]:
                return {"memory": 0, "storage": 0, "streams": 0, "consumers": 0, "limits": _LIMITS, "api": _CALLS}
            case ["STREAM", "CREATE"]:
                return self._create(request)
            case ["STREAM", "INFO"]:
                return self._stream(tokens[2]).info()
            case ["STREAM", "PURGE"]:
                return {"success": True, "purged": self._stream(tokens[2]).purge(int(request.get("seq") or 2**62))}
            case ["STREAM", "MSG"]:
                return self._stream(tokens[3]).message_get(request)
            case ["CONSUMER", "CREATE"] | ["CONSUMER", "DURABLE"]:
                return self._create_consumer(request)
            case ["CONSUMER", "DELETE"]:
                if self.consumers.pop((tokens[2], tokens[3]), None) is None:
                    raise ApiError(CONSUMER_NOT_FOUND, "consumer not found", 404)
                return {"success": True}
            case ["CONSUMER", "INFO"]:
                found = self.consumers.get((tokens[2], tokens[3]))
                if found is None:
                    raise ApiError(CONSUMER_NOT_FOUND, "consumer not found", 404)
                return found.info()
        raise AssertionError(f"the simulated broker does not know {call}")

    def _stream(self, name: str) -> Stream:
        found = self.streams.get(name)
        if found is None:
            raise ApiError(STREAM_NOT_FOUND, "stream not found", 404)
        return found

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        stream = self.streams.setdefault(request["name"], Stream(request, self.now_ns()))
        return {**stream.info(), "did_create": True}

    def _create_consumer(self, request: dict[str, Any]) -> dict[str, Any]:
        stream, config = self._stream(request["stream_name"]), request["config"]
        self._made += 1
        name = config.get("durable_name") or config.get("name") or f"c{self._made}"
        consumer = Consumer(name, stream, config)
        self.consumers[stream.name, name] = consumer
        return consumer.info()
