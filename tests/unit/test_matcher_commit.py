"""Where the journal ends is only known when one node's word and another's fit together."""

from types import SimpleNamespace
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from services.matcher.commit import journal_end


class Brokers:
    """Brokers that say that the journal ends at 7, and find nothing there."""

    def __init__(self, replicas: int) -> None:
        self.jetstream: Any = self
        self._replicas = replicas

    async def stream_info(self, _: str) -> Any:
        return SimpleNamespace(state=SimpleNamespace(last_seq=7), config=SimpleNamespace(num_replicas=self._replicas))

    async def get_msg(self, _: str, seq: int) -> Any:
        raise NotFoundError


async def test_a_message_that_one_node_has_and_another_lacks_is_not_taken_for_a_stray() -> None:
    brokers: Any = Brokers(replicas=3)
    with pytest.raises(TimeoutError, match="is there and is not"):
        await journal_end(brokers, "main", 6, "a" * 64)


async def test_a_message_that_a_single_broker_lost_is_passed_over() -> None:
    brokers: Any = Brokers(replicas=1)
    assert await journal_end(brokers, "main", 6, "a" * 64) == (7, None)
