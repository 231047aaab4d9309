"""`up` without `--log-host`: a log signs as it did at its first run, or nobody who follows it knows it again."""

from pathlib import Path

from deploy.log_host import known_log_host
from services.ledger.log_key import ensure_log_key, log_key_file


def test_a_log_goes_on_signing_under_the_name_of_its_first_run(tmp_path: Path) -> None:
    ensure_log_key(log_key_file(tmp_path, "main"), "ledger.example.com/groupbuy/main")
    assert known_log_host(tmp_path, "main") == "ledger.example.com"


def test_a_log_that_has_not_signed_yet_takes_the_name_that_it_is_given(tmp_path: Path) -> None:
    assert known_log_host(tmp_path, "main") is None
