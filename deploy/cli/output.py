"""What every command shares: errors for people, JSON for programs, and the option for the data directory."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

Kind = TypeVar("Kind", bound=str)
DEFAULT_DATA: Final = Path("groupbuy-data")
EXIT_CHECK_FAILED: Final = 1
EXIT_UNUSABLE: Final = 2
EXIT_INTERRUPTED: Final = 130

DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Data directory: keys, streams, ledger.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
MarketOption = Annotated[str | None, typer.Option("--market", help="Market; the running stack's when absent.")]


class CommandError(Exception):
    """Unusable arguments or environment; the message says what was wrong and what to do."""


def one_of(named: Mapping[Kind, str | None], options: str) -> tuple[Kind, str]:
    """Return the one option that was given, and its value. Raises CommandError for none of `options` or several."""
    given = [(kind, name) for kind, name in named.items() if name is not None]
    if len(given) != 1:
        raise CommandError(f"name one of {options}")
    return given[0]


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on a line of standard output."""
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False)}\n")
    sys.stdout.flush()


def say(sentence: str) -> None:
    """Tell the person at the terminal something, apart from the facts on standard output."""
    sys.stderr.write(f"groupbuy: {sentence}\n")
    sys.stderr.flush()
