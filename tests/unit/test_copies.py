"""Copies of services: which of them does what only one may do, and where each keeps its own data."""

from pathlib import Path

from deploy.copies import copies_of, data_of, is_copy
from deploy.permissions import LEDGER, MATCHER, NOTIFIER
from deploy.plan import SERVICES


def test_of_several_ledgers_one_signs_and_of_several_notifiers_one_dispatches() -> None:
    copies = copies_of(SERVICES, 3)
    assert [copy.name for copy in copies if copy.service == LEDGER and copy.signs] == [LEDGER]
    assert [copy.name for copy in copies if copy.service == NOTIFIER and copy.dispatches] == [NOTIFIER]


def test_a_service_that_is_alone_waits_for_nobody_and_does_everything() -> None:
    for copy in copies_of(SERVICES, 1):
        assert copy.standby_s(1) == 0.0
        assert copy.signs
        assert copy.dispatches


def test_matchers_and_notifiers_that_are_several_leave_each_other_time() -> None:
    waiting = {copy.service for copy in copies_of(SERVICES, 2) if copy.standby_s(2) > 0}
    assert waiting == {MATCHER, NOTIFIER}


def test_a_second_copy_has_data_of_its_own_and_the_keys_of_the_market(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    first, second = copies_of((LEDGER,), 2)
    assert data_of(tmp_path, first) == tmp_path
    own = data_of(tmp_path, second)
    assert own != tmp_path
    assert (own / "keys").resolve() == tmp_path / "keys"
    assert is_copy(own)
    assert not is_copy(tmp_path)
