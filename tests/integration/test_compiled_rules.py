"""What is compiled ahead of time decides, tells and archives what it does interpreted: byte for byte."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.compiling import missing
from events.compiled import BUILT, INTERPRETED_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("events", "services", "deploy", "tests")
SEEDS = "301..330"
TIMEOUT_S = 900

pytestmark = [
    pytest.mark.slow,
    # Continuous integration installs what is missing.
    pytest.mark.skipif(missing() is not None and not os.environ.get("CI"), reason=str(missing())),
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this checkout in which everything that can be is compiled."""
    folder = tmp_path_factory.mktemp("compiled") / "checkout"
    folder.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for file in ROOT.glob("[!.]*"):
        if file.is_file() and file.suffix != ".so" and file.name != BUILT.name:
            shutil.copy(file, folder)
    said(folder, "-m", "deploy.compiling")
    yield folder
    shutil.rmtree(folder)


def said(folder: Path, *arguments: str, interpreted: bool = False) -> str:
    """Run Python on the project in `folder` and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"}
    environment.pop(INTERPRETED_VARIABLE, None)
    if interpreted:
        environment[INTERPRETED_VARIABLE] = "1"
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    return done.stdout


def test_what_is_compiled_passes_every_test_of_rules_contract_archive_and_letters(
    compiled: Path,
) -> None:
    asking = (
        "from services.matcher.domain import deciding; from events.compiled import way; print(way(), deciding.__file__)"
    )
    way, file = said(compiled, "-c", asking).split()
    assert (way, Path(file).suffix) == ("compiled", ".so")
    tests = (
        "tests/unit/rules",
        "tests/contract",
        "tests/unit/test_events_decode.py",
        "tests/unit/test_events_outcome_bytes.py",
        "tests/unit/test_identity_log.py",
        "tests/unit/test_ledger_chain.py",
        "tests/unit/test_ledger_index.py",
        "tests/unit/test_ledger_tiles.py",
        "tests/unit/test_notifier_letters.py",
    )
    told = said(compiled, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *tests)
    assert "passed" in told
    assert "failed" not in told


def test_a_simulated_history_is_the_same_compiled_and_interpreted(compiled: Path) -> None:
    simulation = ("-m", "tests.simulation", "--seeds", SEEDS, "--jobs", "1", "--json")
    runs = [json.loads(said(compiled, *simulation, interpreted=interpreted)) for interpreted in (False, True)]
    assert not runs[0]["violations"]
    assert runs[0]["trace"] == runs[1]["trace"]


def test_letters_leaves_and_index_of_golden_histories_are_the_same_compiled_and_interpreted(compiled: Path) -> None:
    asking = ("-m", "tests.told_and_archived")
    runs = [json.loads(said(compiled, *asking, interpreted=interpreted)) for interpreted in (False, True)]
    assert [run["way"] for run in runs] == ["compiled", "interpreted"]
    assert runs[0]["digests"]
    assert runs[0]["digests"] == runs[1]["digests"]
