"""The second verifier, one JavaScript file for Node, comes to the verdict of the first: on good and bad dossiers."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from services.ledger.checkpoint import Checkpoint, sign_checkpoint
from services.ledger.dossier.check import verify_dossier
from services.ledger.note import COSIGNATURE, SigningKey
from services.ledger.tiles import TiledTree
from tests.dossier_tampering import TAMPERINGS, disputed_ledger, foreign_zips, made, resealed_dossiers
from tests.ledger_records import open_store
from tests.model.both import MARKET_KEY

VERIFIER: Final = Path(__file__).resolve().parents[2] / "deploy" / "verify-dossier.mjs"
NODE: Final = shutil.which("node")
SEEDS: Final = 12
WITNESS: Final = SigningKey("witness.example.com/w1", bytes(range(32)), COSIGNATURE)

# In continuous integration Node is installed: there its absence is a failure, not a reason to skip.
pytestmark = pytest.mark.skipif(
    NODE is None and "CI" not in os.environ, reason="node is not on this machine: the second verifier is not tried"
)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return disputed_ledger(tmp_path)


def second_opinion(path: Path, key: SigningKey, *more: str) -> dict[str, Any]:
    """What the verifier for Node says of the file."""
    assert NODE is not None, "node is installed in continuous integration"
    command = [NODE, str(VERIFIER), str(path), "--key", key.verifier.text(), "--json", *more]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert found.stderr == "", found.stderr
    report: dict[str, Any] = json.loads(found.stdout)
    assert found.returncode == (0 if report["sound"] else 1)
    return report


def check_agreement(folder: Path, dossiers: Sequence[tuple[str, bytes]], key: SigningKey) -> None:
    """Both verifiers say the same of each dossier, and where it is wrong."""

    def ask(numbered: tuple[int, tuple[str, bytes]]) -> None:
        number, (what, raw) = numbered
        path = folder / f"{number}.zip"
        path.write_bytes(raw)
        first, second = verify_dossier(raw, key.verifier), second_opinion(path, key)
        assert (first.sound, first.where) == (second["sound"], second.get("where")), (what, first, second)

    folder.mkdir()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, enumerate(dossiers)))


def test_both_find_every_good_dossier_sound_and_say_the_same_of_it(tmp_path: Path, key: SigningKey) -> None:
    with open_store(tmp_path, market_key=MARKET_KEY) as store:
        held = sign_checkpoint(key, Checkpoint(key.name, 3, TiledTree(store.tiles, 3).root())).encode()
        note = store.checkpoint() or ""
        store.save_checkpoint(note + WITNESS.cosign(note.partition("\n\n")[0] + "\n", 7).line(), is_cosigned=True)
    since = tmp_path / "since"
    since.write_bytes(held)
    for audience in ("member", "merchant", "auditor"):
        raw = made(tmp_path, key, audience=audience, since=held)
        path = tmp_path / f"{audience}.zip"
        path.write_bytes(raw)
        first = verify_dossier(raw, key.verifier, [WITNESS.verifier], held)
        second = second_opinion(path, key, "--witness-key", WITNESS.verifier.text(), "--since", str(since))
        assert first.sound
        assert {name: getattr(first, name) for name in second} == second


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_both_find_every_changed_dossier(tmp_path: Path, key: SigningKey, tamper: Any) -> None:
    raw = made(tmp_path, key)
    changed = [(f"{tamper.__name__} {seed}", tamper(raw, random.Random(1_000 + seed))) for seed in range(SEEDS)]
    check_agreement(tmp_path / "changed", changed, key)


def test_both_find_what_was_changed_and_signed_again(tmp_path: Path, key: SigningKey) -> None:
    check_agreement(tmp_path / "changed", [*resealed_dossiers(made(tmp_path, key), key).items()], key)


def test_both_refuse_what_is_no_dossier(tmp_path: Path, key: SigningKey) -> None:
    (tmp_path / "made").mkdir()
    check_agreement(tmp_path / "changed", [*foreign_zips(tmp_path / "made").items()], key)


def test_both_refuse_the_wrong_keys_and_a_checkpoint_that_is_not_held(tmp_path: Path, key: SigningKey) -> None:
    raw = made(tmp_path, key)
    path = tmp_path / "d.zip"
    path.write_bytes(raw)
    stranger = SigningKey(key.name, bytes(32))
    assert verify_dossier(raw, stranger.verifier).where == second_opinion(path, stranger)["where"] == "manifest.note"
    unsigned = second_opinion(path, key, "--witness-key", WITNESS.verifier.text())
    assert verify_dossier(raw, key.verifier, [WITNESS.verifier]).where == unsigned["where"] == "checkpoint.note"
    held = tmp_path / "held"
    held.write_bytes(b"another")
    assert verify_dossier(raw, key.verifier, since=b"another").where == "since.note"
    assert second_opinion(path, key, "--since", str(held))["where"] == "since.note"


@pytest.mark.parametrize(
    "arguments",
    [[], ["d.zip"], ["nowhere.zip", "--key", "VKEY"], ["d.zip", "--key", "no key"], ["d.zip", "--key"], ["--what"]],
)
def test_the_second_verifier_refuses_what_it_cannot_use_with_status_2(
    tmp_path: Path, key: SigningKey, arguments: list[str]
) -> None:
    assert NODE is not None, "node is installed in continuous integration"
    given = [key.verifier.text() if argument == "VKEY" else argument for argument in arguments]
    found = subprocess.run(
        [NODE, str(VERIFIER), *given], check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (found.returncode, found.stderr.startswith("verify-dossier: ")) == (2, True), found
