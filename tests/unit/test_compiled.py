"""Compiled rules are used only where they fit their sources; whoever starts anything hears of it otherwise."""

import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import pytest

from deploy.compiling import COMPILED
from events.compiled import BUILT, INTERPRETED_VARIABLE, source_hash

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = EXTENSION_SUFFIXES[0]
ASKING = "from events import ids; from events.compiled import way; print(way(), ids.__file__)"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of nothing but the contract, in which nothing is compiled."""
    shutil.copytree(ROOT / "events", tmp_path / "events", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tmp_path


def built(checkout: Path, **changed: Any) -> None:
    """Write down that the contract was compiled as it is."""
    sources = {"events/ids.py": source_hash(checkout / "events/ids.py")}
    (checkout / BUILT.name).write_text(json.dumps({"suffix": SUFFIX, "sources": sources, **changed}))


def asked(checkout: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Import the contract in a process of its own, and ask how the rules run."""
    inherited = {name: value for name, value in os.environ.items() if name != INTERPRETED_VARIABLE}
    return subprocess.run(
        [sys.executable, "-P", "-c", ASKING],
        env={**inherited, "PYTHONPATH": str(checkout), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(checkout: Path) -> str:
    """Return the sentence with which a process ends that would use what is compiled."""
    done = asked(checkout)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "`make compiled`" in done.stderr
    return done.stderr


def test_without_a_compilation_the_rules_are_interpreted(checkout: Path) -> None:
    assert asked(checkout).stdout.split()[0] == "interpreted"


def test_what_fits_its_sources_is_used(checkout: Path) -> None:
    built(checkout)
    assert asked(checkout).stdout.split()[0] == "compiled"


def test_what_is_older_than_its_source_is_refused(checkout: Path) -> None:
    built(checkout)
    with (checkout / "events/ids.py").open("a") as source:
        source.write("# a change\n")
    assert "events/ids.py has changed since" in refused(checkout)


def test_what_has_lost_its_source_is_refused(checkout: Path) -> None:
    built(checkout, sources={"events/gone.py": "0" * 64})
    assert "events/gone.py is not there any more" in refused(checkout)


def test_a_compilation_that_was_interrupted_is_refused(checkout: Path) -> None:
    built(checkout, sources={})
    assert "interrupted" in refused(checkout)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"suffix": 1, "sources": 1}'])
def test_what_does_not_say_what_it_was_made_from_is_refused(checkout: Path, text: str) -> None:
    (checkout / BUILT.name).write_text(text)
    assert "cannot be read" in refused(checkout)


def test_compiled_modules_of_which_nothing_is_written_down_are_refused(checkout: Path) -> None:
    (checkout / f"groupbuy_rules__mypyc{SUFFIX}").touch()
    assert "is not there, which says what they were made from" in refused(checkout)


def test_what_another_python_compiled_is_not_seen_by_this_one(checkout: Path) -> None:
    built(checkout, suffix=".cpython-399-some-machine.so", sources={"events/ids.py": "0" * 64})
    assert asked(checkout).stdout.split()[0] == "interpreted"


def test_compiled_modules_can_be_left_out(checkout: Path) -> None:
    (checkout / f"events/ids{SUFFIX}").write_bytes(b"no library at all")
    built(checkout, sources={"events/ids.py": "0" * 64})
    said = asked(checkout, **{INTERPRETED_VARIABLE: "1"}).stdout.split()
    assert said == ["interpreted", str(checkout / "events/ids.py")]


@pytest.mark.parametrize("name", COMPILED)
def test_no_struct_stands_in_a_compiled_module(name: str) -> None:
    # mypyc would keep of a field's type `list[bytearray]` no more than `list`: a snapshot would be read wrongly.
    assert "msgspec.Struct" not in (ROOT / name).read_text()
