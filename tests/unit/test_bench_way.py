"""A benchmark measures compiled rules where they can be compiled, and says so where they cannot."""

import os
import sys
from typing import NoReturn

import pytest

from deploy.cli import bench_way
from events.compiled import INTERPRETED_VARIABLE, Way


class BegunAnew(Exception):
    """The process would have begun anew."""


@pytest.fixture(autouse=True)
def _begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(program: str, arguments: list[str]) -> NoReturn:
        assert (program, arguments) == (sys.executable, sys.orig_argv)
        raise BegunAnew

    monkeypatch.setattr(os, "execv", begin)
    monkeypatch.delenv(INTERPRETED_VARIABLE, raising=False)


def _as_if(monkeypatch: pytest.MonkeyPatch, way: Way, missing: str | None, compiling: list[str]) -> None:
    monkeypatch.setattr(bench_way, "way", lambda: way)
    monkeypatch.setattr(bench_way, "missing", lambda: missing)
    monkeypatch.setattr(bench_way, "_COMPILING", compiling)


def test_what_is_not_compiled_is_compiled_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _as_if(monkeypatch, "interpreted", None, [sys.executable, "-c", ""])
    with pytest.raises(BegunAnew):
        bench_way.choose_way(interpreted=False)
    assert "compiling the rules first" in capsys.readouterr().err


def test_where_they_cannot_be_compiled_interpreted_rules_are_measured_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _as_if(monkeypatch, "interpreted", "there is no C compiler", [])
    bench_way.choose_way(interpreted=False)
    said = capsys.readouterr().err
    assert "there is no C compiler" in said
    assert "`make compiled`" in said
    _as_if(monkeypatch, "interpreted", None, [sys.executable, "-c", "raise SystemExit(2)"])
    bench_way.choose_way(interpreted=False)
    assert "measuring the interpreted rules" in capsys.readouterr().err


def test_compiled_rules_are_left_out_where_the_interpreted_ones_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _as_if(monkeypatch, "compiled", None, [])
    with pytest.raises(BegunAnew):
        bench_way.choose_way(interpreted=True)
    assert os.environ[INTERPRETED_VARIABLE]


@pytest.mark.parametrize(("way", "interpreted"), [("compiled", False), ("interpreted", True)])
def test_what_runs_as_it_should_is_measured_at_once(
    monkeypatch: pytest.MonkeyPatch, way: Way, interpreted: bool
) -> None:
    _as_if(monkeypatch, way, None, [])
    bench_way.choose_way(interpreted=interpreted)
    assert INTERPRETED_VARIABLE not in os.environ
