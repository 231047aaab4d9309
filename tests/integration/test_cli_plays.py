"""Plays through the whole stack: the example runs from opening to draw, anyone can check it, the secret stays in."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from events import fair
from tests.integration.cli_process import ROOT, Finished, Up, run_cli_async, running

__all__ = ["running"]
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
EXAMPLE = ROOT / "examples" / "first-plays.ndjson"
TRIES = 100


async def once_archived(*arguments: str | Path) -> Finished:
    """Run a ledger command until the archive holds what it asks for."""
    for _ in range(TRIES):
        finished = await run_cli_async("ledger", *arguments)
        if finished.status == 0:
            return finished
        await asyncio.sleep(0.2)
    raise AssertionError(finished.err)


async def test_the_example_goes_from_opening_to_draw_and_the_draw_is_checked(running: Up, tmp_path: Path) -> None:
    published = await run_cli_async("publish", EXAMPLE, "--data", running.data, "--json")
    assert published.status == 0
    kinds = Counter(document.get("original", document["kind"]) for document in published.documents)
    assert kinds == {"play.opened": 3, "assist.counted": 11, "play.closed": 2, "assist.voided": 1}
    exported = tmp_path / "draw.json"
    checked = await once_archived("check-draw", "first-draw", "--data", running.data, "--export", exported, "--json")
    (report,) = checked.documents
    assert report["agrees"] and len(report["figures"]["winners"]) == 3
    alone = await run_cli_async("ledger", "check-draw", "--from", exported, "--json")
    assert (alone.status, alone.documents) == (0, [report])
    for play in ("first-cut", "first-coupon"):
        assert (await once_archived("check-draw", play, "--data", running.data)).status == 0
    tree = await once_archived("tree", "first-draw", "--data", running.data, "--json")
    assert (tree.documents[0]["depth"], tree.documents[0]["breadth"]) == (3, [2, 3, 1])
    assert (await once_archived("audit", "--data", running.data)).status == 0


def _content(path: Path) -> bytes:
    """What a file holds; nothing where it was only on its way to another name, under which it is looked at too."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


async def test_the_secret_is_in_its_key_alone_not_in_log_snapshot_ledger_or_process_list(running: Up) -> None:
    key_file = running.data / "keys" / "market-main.key"
    key = bytes.fromhex(key_file.read_text())
    secret = fair.secret_of(key)
    assert key_file.stat().st_mode & 0o077 == 0
    hidden = (key, secret, key.hex().encode(), secret.hex().encode())
    files = await asyncio.to_thread(lambda: [p for p in running.data.rglob("*") if p.is_file()])
    assert {path for path in files if any(each in _content(path) for each in hidden)} == {key_file}
    command_lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running.processes())
    assert command_lines and not any(each in command_lines for each in hidden)
