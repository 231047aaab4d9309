"""`python -m deploy.compiling`: compile what an order passes ahead of time, beside its sources (`make compiled`).

The sources stay what counts: they run interpreted as well, with the same results byte for byte. mypyc makes C of them
and the C compiler one shared library, with a small extension module for each source. What was read is written down, so
that nothing out of date is ever used (`events.compiled`).
"""

import contextlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from events.compiled import BUILT, EXIT_UNUSABLE, ROOT, source_hash

_RULES: Final = """
    closing deciding due engine evolve forgetting gate group_changes holdings identities identity_log index leaving
    matching moment money offer_changes pages paying plain positions prices queues rules seat_changes seating turn
"""
_ARCHIVING: Final = "leaves names postings"
_TELLING: Final = "letters policy/telling"
COMPILED: Final = (
    *(f"events/{name}.py" for name in ("decode", "ids", "leaf", "outcome_bytes", "times")),
    *(f"services/matcher/domain/{name}.py" for name in _RULES.split()),
    *(f"services/ledger/{name}.py" for name in _ARCHIVING.split()),
    *(f"services/notifier/{name}.py" for name in _TELLING.split()),
)
"""What an order passes. No msgspec struct may stand in one of these: mypyc does not keep the types of its fields."""
_FOLDERS: Final = ("events", "services/matcher/domain")
_BESIDE: Final = (
    *(f"services/{name}/__init__.py" for name in ("bus", "ledger", "matcher", "notifier", "notifier/policy")),
    *(f"services/{name}.py" for name in ("__init__", "bus/journal_chain", "notifier/channels/__init__")),
    *(f"services/ledger/{name}.py" for name in ("chain", "faults", "lean", "runs")),
)
"""What else the compiler reads, since those import it."""
_FIELDS: Final = Path("deploy/compiled_fields.h")
_LIBRARY: Final = "groupbuy_rules"
_INCLUDED: Final = f'#include "__native_internal_{_LIBRARY}.h"\n'


class CompilingError(Exception):
    """The rules cannot be compiled here; the text says why, for a person."""


def missing() -> str | None:
    """Return what there is not that compiling needs of the system, as a sentence; None when all is there."""
    if compiler() is None:
        return "there is no C compiler (on Debian: gcc)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        return f"the headers of Python {platform.python_version()} are not there (on Debian: python3-dev)"
    return None


def compiler() -> str | None:
    """Return the C compiler, or None."""
    named = os.environ.get("CC", "").split() or str(sysconfig.get_config_var("CC") or "").split()
    return next((found for name in (*named[:1], "gcc", "cc", "clang") if (found := shutil.which(name))), None)


def are_compiled() -> bool:
    """Tell whether the rules are compiled from what stands here now, by this Python and this compiler."""
    try:
        return bool(json.loads(BUILT.read_bytes()) == _made_from(_hashes()))
    except (OSError, ValueError):
        return False


def compile_rules() -> float:
    """Compile the rules of this checkout in place of what was compiled before; return the seconds it took.

    Raises CompilingError.
    """
    if (lacking := missing()) is not None:
        raise CompilingError(f"the rules cannot be compiled: {lacking}")
    environment = {**os.environ, "CC": compiler() or ""}
    if any(importlib.util.find_spec(name) is None for name in ("mypyc", "setuptools")):
        raise CompilingError("the rules cannot be compiled: mypy or setuptools is missing; use `make compiled`")
    begun_s = time.monotonic()
    _remove()
    with tempfile.TemporaryDirectory(prefix="groupbuy-compiling-") as temporary:
        folder = Path(temporary)
        sources = _copy(folder)
        command = [sys.executable, "-P", __file__, "--in", str(folder)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise CompilingError(f"the rules could not be compiled:\n{(done.stdout + done.stderr)[-4_000:]}")
        _put_in_place(folder / "out", sources)
    return time.monotonic() - begun_s


def _remove() -> None:
    """Remove whatever is compiled in this checkout."""
    for library in _libraries():
        library.unlink()
    BUILT.unlink(missing_ok=True)


def _libraries() -> Iterator[Path]:
    yield from ROOT.glob(f"{_LIBRARY}__mypyc.*.so")
    for top in ("events", "services"):
        yield from ROOT.joinpath(top).rglob("*.so")


def _read() -> list[str]:
    """Return the names of all files that the compiler reads: values of constants are compiled in."""
    names = [str(path.relative_to(ROOT)) for top in _FOLDERS for path in ROOT.joinpath(top).rglob("*.py")]
    return sorted({*names, *COMPILED, *_BESIDE, "pyproject.toml", str(_FIELDS)})


def _hashes(folder: Path = ROOT) -> dict[str, str]:
    return {name: source_hash(folder / name) for name in _read()}


def _made_from(sources: dict[str, str]) -> dict[str, object]:
    """Return what is written down of a compilation of `sources`, each with its hash."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return {"suffix": suffix, "python": platform.python_version(), "mypyc": version("mypy"), "sources": sources}


def _copy(folder: Path) -> dict[str, str]:
    """Copy what the compiler reads into `folder`; return the hash of each file as it was copied."""
    for name in _read():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    return _hashes(folder)


def _put_in_place(out: Path, sources: dict[str, str]) -> None:
    """Put what was compiled beside its sources; interrupted in the middle it is refused, not used by half."""
    BUILT.write_text(json.dumps(_made_from({})), encoding="utf-8")
    for library in sorted(out.rglob("*.so")):
        shutil.copyfile(library, ROOT / library.relative_to(out))
    unfinished = BUILT.with_suffix(".tmp")
    unfinished.write_text(json.dumps(_made_from(sources), indent=1), encoding="utf-8")
    unfinished.replace(BUILT)


def _compile_here() -> None:
    """Compile the sources in the working folder into its folder `out`."""
    import setuptools
    from mypyc.build import mypycify

    modules = mypycify(
        ["--config-file=pyproject.toml", *COMPILED], group_name=_LIBRARY, include_runtime_files=False, debug_level="0"
    )
    generated = Path("build", f"__native_{_LIBRARY}.c")
    text = generated.read_text(encoding="utf-8")
    assert text.count(_INCLUDED) == 1, "mypyc includes its own headers once, at the beginning"
    generated.write_text(text.replace(_INCLUDED, f'{_INCLUDED}#include "{_FIELDS.resolve()}"\n'), encoding="utf-8")
    built = ["--quiet", "build_ext", "--build-lib", "out", "--build-temp", "objects"]
    setuptools.setup(name=_LIBRARY, packages=[], ext_modules=modules, script_args=built)


def main(arguments: list[str]) -> int:
    """Compile; return the exit status."""
    if arguments[:1] == ["--in"]:
        os.chdir(arguments[1])
        _compile_here()
        return 0
    if are_compiled():
        print("the rules are compiled already; `make interpreted` removes what was made", file=sys.stderr)
        return 0
    try:
        took_s = compile_rules()
    except CompilingError as error:
        print(error, file=sys.stderr)
        return EXIT_UNUSABLE
    print(f"the rules are compiled ({took_s:.0f} s); `make interpreted` removes what was made", file=sys.stderr)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
