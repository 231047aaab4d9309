"""The command line as its users run it: processes, with their status, their output and their end."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.stack_files import Address, free_service_port, read_address, read_token

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
COMMAND = [sys.executable, "-P", "-m", "deploy.cli.main"]
PATIENCE_S = 90.0


@dataclass
class Finished:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The JSON documents on standard output, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run_cli(*arguments: str | Path, stdin: str | bytes = "", cwd: Path | None = None) -> Finished:
    """Run a command to its end. No command may end with a traceback, whatever it is given."""
    body = stdin.encode() if isinstance(stdin, str) else stdin
    result = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=body,
        capture_output=True,
        env=ENVIRONMENT,
        cwd=cwd,
        timeout=300,
        check=False,
    )
    finished = Finished(result.returncode, result.stdout.decode(), result.stderr.decode())
    assert "Traceback" not in finished.err, finished.err
    return finished


async def run_cli_async(*arguments: str | Path, stdin: str | bytes = "") -> Finished:
    """Run a command to its end while the test's event loop goes on."""
    return await asyncio.to_thread(run_cli, *arguments, stdin=stdin)


@dataclass
class Up:
    """A running `groupbuy up`."""

    process: asyncio.subprocess.Process
    data: Path
    welcome: str

    @property
    def address(self) -> Address:
        """Where the stack is reached."""
        address = read_address(self.data)
        assert address is not None, "a running stack says where it is"
        return address

    @property
    def token(self) -> str:
        """The token of the publisher `local`."""
        return read_token(self.data, "local")

    @property
    def curl_line(self) -> str:
        """The line that is printed to be pasted."""
        found = re.search(r"^n=.*curl.*$", self.welcome, re.MULTILINE)
        assert found is not None, self.welcome
        return found.group()

    def processes(self) -> set[int]:
        """Process ids of everything that runs over this data directory, the supervisor left out."""
        return processes_over(self.data) - {self.process.pid}

    async def interrupt(self) -> Finished:
        """Press Ctrl-C and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        assert self.process.returncode is not None
        return Finished(self.process.returncode, self.welcome + out.decode(), err.decode())


@asynccontextmanager
async def up(data: Path, *arguments: str) -> AsyncIterator[Up]:
    """Run `groupbuy up` on free ports until the end of the block, and leave nothing behind."""
    taken = free_service_port()
    ports = ["--nats-port", str(taken), "--http-port", str(free_service_port([taken]))]
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "up",
        "--data",
        str(data),
        *ports,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
        # A group of its own, as a terminal gives each command.
        process_group=0,
    )
    try:
        yield Up(process, data, await _read_welcome(process))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.communicate(), PATIENCE_S)
            except TimeoutError:
                process.kill()
                await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """One stack for the tests of a module that leave it running."""
    async with up(tmp_path_factory.mktemp("up") / "data") as stack:
        yield stack


async def _read_welcome(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while "Ctrl-C stops everything" not in (lines[-1] if lines else ""):
            line = await process.stdout.readline()
            if not line:
                assert process.stderr is not None
                raise AssertionError(f"`up` ended: {(await process.stderr.read()).decode()}")
            lines.append(line.decode())
    return "".join(lines)


def processes_over(data: Path) -> set[int]:
    """Process ids whose command line names a data directory."""
    found = set()
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(argument.startswith(str(data).encode() + b"/") for argument in arguments):
            found.add(int(directory.name))
    return found


async def http(url: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Return status and body of a request."""
    request = urllib.request.Request(url, data=body, headers=headers or {})

    def send() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(send)
