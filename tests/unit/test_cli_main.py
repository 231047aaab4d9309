"""The command line as a whole: what it offers, and how it ends."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import main as command_line
from deploy.cli.event_file import check_lines
from deploy.cli.output import CommandError
from services.bus.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOW = "2026-11-23T10:00:00Z"


def test_every_command_of_the_readme_is_there() -> None:
    offered = CliRunner().invoke(command_line.app, ["--help"]).output
    named = set(re.findall(r"\./groupbuy ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named >= {"up", "demo", "publish", "watch", "import", "ledger"}
    for command in [*named, "bench"]:
        assert command in offered


@pytest.mark.parametrize("arguments", [["dance"], ["publish"], ["up", "--nats-port", "70000"], ["import", "beibei"]])
def test_unusable_arguments_end_with_status_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(command_line.app, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CommandError("no such thing"), 2, "groupbuy: no such thing\n"),
        (ConfigError("field x is missing"), 2, "groupbuy: field x is missing\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_person_can_mend_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    said: str,
) -> None:
    def fail(prog_name: str) -> None:
        assert prog_name == "groupbuy", "help names the command as people type it"
        raise error

    monkeypatch.setattr(command_line, "app", fail)
    monkeypatch.setattr(sys, "argv", ["groupbuy"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ndjson")), ids=lambda path: path.name)
def test_the_examples_can_be_published(path: Path) -> None:
    assert check_lines(path.read_bytes().split(b"\n"), NOW)
