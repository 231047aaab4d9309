"""Redis: the join as a Lua script, `appendfsync always`, pipelined by 16 and not; driven by redis-benchmark."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis

from deploy.ports import free_port
from tests.bench.peers import GROUP_SIZE, PeerMissing, PeerResult

CLIENTS: Final = 50
PIPELINE: Final = 16
REQUESTS: Final = 120_000
REQUESTS_PIPELINED: Final = 600_000
QUICKER: Final = 4
PATIENCE_S: Final = 120

_JOIN: Final = f"""
local n = redis.call('HLEN', KEYS[1])
if n >= {GROUP_SIZE} then return 'full' end
if redis.call('HSETNX', KEYS[1], ARGV[1], 1) == 0 then return 'known' end
if n + 1 == {GROUP_SIZE} then redis.call('SADD', 'filled', KEYS[1]) end
return 'seated'
"""
_COUNT: Final = f"""
local seats, over, stuck = 0, 0, 0
for _, key in ipairs(redis.call('KEYS', 'g:*')) do
  local n = redis.call('HLEN', key)
  seats = seats + n
  if n > {GROUP_SIZE} then over = over + 1 end
  if n >= {GROUP_SIZE} and redis.call('SISMEMBER', 'filled', key) == 0 then stuck = stuck + 1 end
end
return {{seats, over, stuck}}
"""


def measure(quick: bool) -> dict[str, PeerResult]:
    """Return the results of both ways by name. Raises PeerMissing where Redis is not installed."""
    for binary in ("redis-server", "redis-benchmark"):
        if shutil.which(binary) is None:
            raise PeerMissing(f"{binary} is not installed: apt-get install redis-server")
    with _server() as port:
        plain = _run(port, REQUESTS // (QUICKER if quick else 1), 1)
    with _server() as port:
        pipelined = _run(port, REQUESTS_PIPELINED // (QUICKER if quick else 1), PIPELINE)
    return {"redis_lua": plain, "redis_lua_pipelined": pipelined}


@contextmanager
def _server() -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": folder,
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "auto-aof-rewrite-percentage": "0",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(["redis-server", *arguments], stdout=log, stderr=log)
        try:
            _wait(port)
            yield port
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE_S)


def _wait(port: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            redis.Redis(port=port).ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)


def _run(port: int, requests: int, pipeline: int) -> PeerResult:
    client = redis.Redis(port=port)
    script = client.script_load(_JOIN)
    command = ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(pipeline)]
    # Each placeholder gets a number of its own. Two requests a group: many fill, few joins come too late.
    join = ["evalsha", str(script), "1", "g:__rand_int__", "m-__rand_int__"]
    begun_s = time.perf_counter()
    subprocess.run(
        [*command, "-r", str(requests // 2), "-q", *join], capture_output=True, check=True, timeout=PATIENCE_S
    )
    took_s = time.perf_counter() - begun_s
    seats, over, stuck = client.eval(_COUNT, 0)
    return PeerResult(int(seats) / took_s, int(over), int(stuck))
