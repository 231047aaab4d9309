"""Which of two ways the rules, and what archives and tells, run: compiled ahead of time (`make compiled`), or not.

Compiled modules stand beside their sources and are imported instead of them. One that is older than its source would
decide by rules that nobody can read any more, so the build writes down the hash of everything that it read, and
whatever imports the project compares: what has changed since is refused with a sentence, never used.
"""

import hashlib
import json
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Final, Literal, Never

ROOT: Final = Path(__file__).resolve().parents[1]
BUILT: Final = ROOT / "compiled-rules.json"
"""What the compiled modules were made from; there as long as one of them is."""
INTERPRETED_VARIABLE: Final = "GROUPBUY_INTERPRETED"
"""Environment variable that leaves compiled modules out, where it is set to anything."""
EXIT_UNUSABLE: Final = 2
_PACKAGES: Final = (str(ROOT / "events"), str(ROOT / "services"))

Way = Literal["compiled", "interpreted"]


def source_hash(path: Path) -> str:
    """Return SHA-256 of a source file as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def way() -> Way:
    """Return how the rules run in this process."""
    return _WAY


def _choose() -> Way:
    """Find out how the rules are to run. Ends the process with status 2 where what is compiled is out of date."""
    if os.environ.get(INTERPRETED_VARIABLE):
        _leave_compiled_out()
        return "interpreted"
    try:
        built = json.loads(BUILT.read_bytes())
        suffix, sources = str(built["suffix"]), dict(built["sources"])
    except FileNotFoundError:
        if any(ROOT.glob(f"*__mypyc{EXTENSION_SUFFIXES[0]}")):
            _refuse(f"{BUILT.name} is not there, which says what they were made from")
        return "interpreted"
    except (OSError, ValueError, TypeError, LookupError):
        _refuse(f"{BUILT.name} cannot be read")
    if suffix not in EXTENSION_SUFFIXES:
        return "interpreted"  # made for another Python: this one does not see them
    if not sources:
        _refuse("a compilation was interrupted")
    for name, expected in sources.items():
        try:
            found = source_hash(ROOT / name)
        except OSError:
            _refuse(f"{name} is not there any more")
        if found != expected:
            _refuse(f"{name} has changed since")
    return "compiled"


def _refuse(why: str) -> Never:
    print(
        f"the compiled rules in {ROOT} do not fit their sources: {why}. `make compiled` compiles them anew, "
        "`make interpreted` removes them",
        file=sys.stderr,
    )
    sys.exit(EXIT_UNUSABLE)


def _leave_compiled_out() -> None:
    """Have the project's modules be found as sources alone."""

    def sources_only(path: str) -> FileFinder:
        if not path.startswith(_PACKAGES):
            raise ImportError
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, sources_only)
    for path in [known for known in sys.path_importer_cache if known.startswith(_PACKAGES)]:
        del sys.path_importer_cache[path]


_WAY: Final = _choose()
