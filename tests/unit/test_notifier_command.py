"""The notifier's command line: unusable arguments end with one sentence and status 2."""

from pathlib import Path

import pytest

from services.notifier.__main__ import main


@pytest.mark.parametrize("value", ["", "-1", "last", "1.5", "٣"])
def test_a_declared_position_must_be_the_sequence_of_a_record(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config.json", "--sent-through", value]) == 2
    assert "--sent-through needs the sequence of a record" in capsys.readouterr().err


def test_a_declared_position_without_a_value_is_unusable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config.json", "--sent-through"]) == 2
    assert "got ''" in capsys.readouterr().err


def test_without_a_configuration_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_a_missing_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent.json")]) == 2
    assert "absent.json" in capsys.readouterr().err
