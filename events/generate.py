"""Write the published JSON Schemas and the AsyncAPI document, or check that they are as the code says.

python -m events.generate            writes events/generated/
python -m events.generate --check    exit status 1 and a list where a file differs, is missing or is left over
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from events import asyncapi, schemas
from events.registry import EVENT_TYPES

GENERATED: Final = Path(__file__).parent / "generated"
GOLDEN: Final = Path(__file__).parent / "golden"


def files() -> dict[str, bytes]:
    """Return the content of every generated file by its path under `events/generated/`."""
    documents = {**schemas.event_schemas(), **_prefixed(schemas.decision_schemas()), **schemas.document_schemas()}
    found = {f"schemas/{name}.json": _lay_out(schema) for name, schema in documents.items()}
    examples = {name: json.loads((GOLDEN / "events" / f"{name}.json").read_bytes()) for name in EVENT_TYPES}
    found["asyncapi.json"] = _lay_out(asyncapi.document(examples))
    return found


def differences(wanted: dict[str, bytes], folder: Path) -> list[str]:
    """Return what is wrong with the generated files in `folder`, a sentence each."""
    there = {path.relative_to(folder).as_posix(): path.read_bytes() for path in _existing(folder)}
    missing = [f"{name} is missing" for name in sorted(wanted.keys() - there.keys())]
    left_over = [f"{name} is left over" for name in sorted(there.keys() - wanted.keys())]
    changed = [f"{name} differs" for name in sorted(wanted.keys() & there.keys()) if wanted[name] != there[name]]
    return missing + left_over + changed


def write(wanted: dict[str, bytes], folder: Path) -> None:
    """Make the files in `folder` exactly those wanted."""
    for path in _existing(folder):
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m events.generate", description="Generate the published contract.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not as generated")
    wanted = files()
    if not parser.parse_args(arguments).check:
        write(wanted, GENERATED)
        print(f"{len(wanted)} files in {GENERATED}")
        return 0
    wrong = differences(wanted, GENERATED)
    for sentence in wrong:
        print(f"{sentence}: run `python -m events.generate`", file=sys.stderr)
    return 1 if wrong else 0


def _existing(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.json") if path.is_file())


def _prefixed(found: dict[str, schemas.Schema]) -> dict[str, schemas.Schema]:
    return {f"decision.{kind}": schema for kind, schema in found.items()}


def _lay_out(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


if __name__ == "__main__":
    sys.exit(main())
