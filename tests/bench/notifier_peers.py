"""The other sides of the notifier's benchmark, in processes of their own: an endpoint, and readers of event streams.

    python -m tests.bench.notifier_peers endpoint DELAY_S             prints its port; at EOF, how many it was sent
    python -m tests.bench.notifier_peers readers PORT TOKENS_FILE     prints `ready`; at EOF, the delays in ms

They speak just enough HTTP/1.1 to cost little beside what is measured.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

CONNECTS_AT_ONCE: Final = 50
LINE_MAX_BYTES: Final = 1024 * 1024
ANSWER: Final = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"


class _Endpoint:
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self.ids: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                await reader.readexactly(int(fields.get("content-length", "0")))
                await asyncio.sleep(self._delay_s)
                self.ids.append(fields.get("webhook-id", ""))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def endpoint(delay_s: float) -> None:
    found = _Endpoint(delay_s)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"posted": len(found.ids), "different": len(set(found.ids))}), flush=True)


class _Readers:
    def __init__(self, port: int, tokens: dict[str, str]) -> None:
        self._port = port
        self._tokens = tokens
        self._gate = asyncio.Semaphore(CONNECTS_AT_ONCE)
        self.connected = 0
        self.delays_ms: list[float] = []

    async def read(self, member: str) -> None:
        async with self._gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LINE_MAX_BYTES)
            writer.write(
                f"GET /members/{member}/events HTTP/1.1\r\nhost: localhost\r\n"
                f"authorization: Bearer {self._tokens[member]}\r\n\r\n".encode()
            )
            status = await reader.readline()
            assert b" 200 " in status, status
            while not (await reader.readline()).startswith(b"id: "):
                pass
            self.connected += 1
        while True:
            line = await reader.readline()
            if not line:
                return
            if line.startswith(b"data: "):
                now_ns = time.time_ns()
                for document in json.loads(line[6:])["results"]:
                    self.delays_ms.append((now_ns - document["at"]) / 1e6)


async def readers(port: int, tokens_file: Path) -> None:
    tokens: dict[str, str] = json.loads(tokens_file.read_text())
    found = _Readers(port, tokens)
    tasks = [asyncio.create_task(found.read(member)) for member in tokens]
    while found.connected < len(tokens):
        await asyncio.sleep(0.05)
        for task in tasks:
            if task.done():
                task.result()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(found.delays_ms), flush=True)
    for task in tasks:
        task.cancel()


def allow_many_files() -> None:
    """Raise the limit of open files as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16_384 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, 65_536)), hard))


if __name__ == "__main__":
    allow_many_files()
    if sys.argv[1] == "endpoint":
        uvloop.run(endpoint(float(sys.argv[2])))
    else:
        uvloop.run(readers(int(sys.argv[2]), Path(sys.argv[3])))
