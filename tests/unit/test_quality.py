"""The linters are tests, so that one run of pytest says whether a change may land."""

import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
# The tools of the environment that runs the tests, whatever PATH says.
BIN = Path(sys.executable).parent
TIMEOUT_S = 300

GATES = {
    "ruff check": [str(BIN / "ruff"), "check", "."],
    "ruff format": [str(BIN / "ruff"), "format", "--check", "."],
    "mypy": [str(BIN / "mypy"), "--strict", "events", "services", "deploy"],
    "import linter": [str(BIN / "lint-imports")],
}


@pytest.mark.parametrize("gate", GATES)
def test_the_source_passes(gate: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    result = subprocess.run(
        GATES[gate], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert result.returncode == 0, f"{gate} failed:\n{result.stdout}{result.stderr}"


def test_the_rules_import_only_the_contract_the_standard_library_and_themselves() -> None:
    """The import linter lists what is forbidden; this lists what is allowed, so that nothing new slips in."""
    graph = grimp.build_graph("events", "services", include_external_packages=True, cache_dir=None)
    domain = "services.matcher.domain"
    allowed = set(sys.stdlib_module_names) | {"events", "msgspec", "sortedcontainers", "xxhash"}
    strays = [
        f"{importer} imports {imported}"
        for importer in sorted({domain} | graph.find_descendants(domain))
        for imported in sorted(graph.find_modules_directly_imported_by(importer))
        if imported.split(".")[0] not in allowed and not f"{imported}.".startswith(f"{domain}.")
    ]
    assert not strays, "\n".join(strays)
