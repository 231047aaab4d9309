"""A stream of a cluster that looks shorter than it was is asked again before anybody says that it lost something."""

from unittest import mock

import pytest

from services.bus import stale
from services.bus.stale import STALE_S, StaleAnswers


def test_a_single_broker_is_believed_at_once() -> None:
    assert not StaleAnswers().excuses(1)
    assert not StaleAnswers().excuses(None)


def test_a_cluster_is_believed_when_it_has_said_so_for_long() -> None:
    with mock.patch.object(stale.time, "monotonic", side_effect=[100.0, 100.0 + STALE_S / 2, 100.0 + STALE_S]):
        doubted = StaleAnswers()
        assert doubted.excuses(3)
        with pytest.raises(TimeoutError, match="message 7 of the journal seems to be missing"):
            doubted.doubt(3, "message 7 of the journal")
        doubted.doubt(3, "message 7 of the journal")


def test_a_doubt_that_was_settled_begins_anew() -> None:
    with mock.patch.object(stale.time, "monotonic", side_effect=[100.0, 200.0]):
        doubted = StaleAnswers()
        assert doubted.excuses(3)
        doubted.settled()
        assert doubted.excuses(3)
