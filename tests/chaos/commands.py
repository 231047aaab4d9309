"""The command line as an operator uses it."""

import asyncio
import os
import sys
from typing import Final

from deploy.supervisor import ROOT

TIMEOUT_S: Final = 300.0


async def groupbuy(*arguments: str) -> tuple[int, str]:
    """Run `groupbuy` with arguments; return the exit status, and what it printed, or what it complained of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "deploy.cli.main",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, (said or complained).decode(errors="replace").strip()
