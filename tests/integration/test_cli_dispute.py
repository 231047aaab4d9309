"""A dispute from claim to remedy at the command line: the example, the queue, a dossier, and both verifiers."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.cli.archive import archive
from tests.integration.cli_process import PATIENCE_S, ROOT, Up, run_cli_async, running

__all__ = ["running"]
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
EXAMPLE = ROOT / "examples" / "first-dispute.ndjson"


async def test_a_dispute_goes_from_claim_to_remedy_and_leaves_proofs(running: Up, tmp_path: Path) -> None:
    finished = await run_cli_async("publish", EXAMPLE, "--data", running.data, "--json")
    assert finished.status == 0, finished.err
    documents = finished.documents
    assert [document.get("original", document["kind"]) for document in documents] == [
        "market.set",
        "offer.listed",
        "seat.confirmed",
        "seat.confirmed",
        "dispute.opened",
        "dispute.evidenced",
        "dispute.answered",
        "dispute.resolved",
        "refund.closed",
        "dispute.appealed",
        "dispute.resolved",
    ]
    await _until_signed(running.data, documents[-1]["entry"])
    out = tmp_path / "dossier.zip"
    asked = ("--dispute", "first-dispute", "--for", "member", "--out", out, "--data", running.data)
    made = await run_cli_async("ledger", "dossier", *asked)
    assert made.status == 0, made.err
    key = (await run_cli_async("ledger", "key", "--data", running.data)).out.strip()
    checked = await run_cli_async("ledger", "verify-dossier", out, "--key", key, "--json")
    assert (checked.status, checked.documents[0]["sound"]) == (0, True)
    if shutil.which("node") is not None:
        command = ["node", str(ROOT / "deploy" / "verify-dossier.mjs"), str(out), "--key", key, "--json"]
        second = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, text=True)
        assert json.loads(second.stdout)["entries"] == checked.documents[0]["entries"]
    alike = await run_cli_async("ledger", "disputes", "--json", "--data", running.data)
    assert (alike.status, alike.documents[0]["disputes"]) == (0, [])
    audited = await run_cli_async("ledger", "audit", "--data", running.data)
    assert audited.status == 0, audited.out


async def _until_signed(data: Path, entry: str) -> None:
    """Wait until the ledger has signed an entry: it does each second that something changed."""
    for _ in range(int(PATIENCE_S / 0.2)):
        if (await run_cli_async("ledger", "prove", entry, "--data", data)).status == 0:
            return
        await asyncio.sleep(0.2)
    with archive(data, "main") as store:
        pytest.fail(f"entry {entry} was not signed; {store.entries_archived()} entries are archived")
