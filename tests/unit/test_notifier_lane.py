"""A lane tells everything in order, whatever its channel meets, and never waits for another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.bus.journal import START, JournalBroken
from services.notifier import lane as lane_module
from services.notifier.atomic import PublishFailed
from services.notifier.channels import Bundle, Letter, Reached
from services.notifier.channels.items import ADDRESSEES_MAX
from services.notifier.lane import Lane


def bundle(seq: int, letters: int = 1, body: bytes = b"{}") -> Bundle:
    return Bundle(seq, f"{seq:064x}", [Letter("m", body, 1) for _ in range(letters)])


class Stream:
    """A channel that keeps what it is given in a list; `trouble` is raised by the next calls, first to last."""

    name = "stream"
    reached = Reached(START)

    def __init__(self) -> None:
        self.told: list[int] = []
        self.rounds: list[int] = []
        self.trouble: list[Exception] = []
        self.open_gate = asyncio.Event()
        self.open_gate.set()
        self.ahead: list[asyncio.Future[None]] = []
        self.conflicts = 0
        self.is_anothers = False

    async def open(self) -> None: ...

    async def renew(self) -> None: ...

    def has(self, journal_seq: int, _record_hash: str) -> bool:
        return journal_seq in self.told

    async def deliver(self, bundles: Sequence[Bundle]) -> None:
        await self.open_gate.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        self.rounds.append(len(bundles))
        self.conflicts += self.is_anothers
        self.told += [one.journal_seq for one in bundles if one.journal_seq not in self.told]

    def begin(self, bundles: Sequence[Bundle]) -> "asyncio.Task[None] | None":
        """Send ahead; stored, or not, when a test says so."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ahead.append(stored)

        async def confirm() -> None:
            await stored
            self.told += [one.journal_seq for one in bundles]

        return asyncio.create_task(confirm())


@asynccontextmanager
async def running(lane: Lane) -> AsyncIterator[Lane]:
    task = asyncio.create_task(lane.run())
    try:
        yield lane
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "RETRY_MIN_S", 0.001)


async def test_a_round_is_what_one_batch_can_tell_and_a_larger_record_goes_alone() -> None:
    stream = Stream()
    stream.open_gate.clear()
    half = [Letter(f"m-{number}", b"{}", 1) for number in range(ADDRESSEES_MAX // 2 + 1)]
    whole = [Letter(f"n-{number}", b"{}", 1) for number in range(ADDRESSEES_MAX + 1)]
    async with running(Lane(stream)) as lane:
        for seq, letters in enumerate([half, half, half, whole, half], start=1):
            await lane.put(Bundle(seq, f"{seq:064x}", letters))
        stream.open_gate.set()
        await lane.finish()
    # The same members three times are the messages of one batch.
    assert stream.rounds == [3, 1, 1]


async def test_everything_is_told_in_order() -> None:
    stream = Stream()
    async with running(Lane(stream)) as lane:
        for seq in range(1, 30):
            await lane.put(bundle(seq))
        await lane.finish()
    assert stream.told == list(range(1, 30))
    assert lane.lag == 0


async def test_what_comes_while_a_round_is_stored_makes_the_next_round() -> None:
    stream = Stream()
    stream.open_gate.clear()
    async with running(Lane(stream)) as lane:
        await lane.put(bundle(1))
        await turns()
        for seq in (2, 3, 4):
            await lane.put(bundle(seq))
        assert lane.lag == 4
        stream.open_gate.set()
        await lane.finish()
    assert stream.rounds == [1, 3]


async def test_a_record_that_comes_again_is_told_once() -> None:
    stream = Stream()
    stream.open_gate.clear()
    async with running(Lane(stream)) as lane:
        for seq in (1, 2, 1, 2, 3):
            await lane.put(bundle(seq))
        stream.open_gate.set()
        await lane.finish()
    assert stream.rounds == [3]


async def test_what_fails_is_told_again_until_it_is_told() -> None:
    stream = Stream()
    stream.trouble += [PublishFailed("no connection"), OSError("the disk")]
    async with running(Lane(stream)) as lane:
        await lane.put(bundle(1))
        while lane.trouble is None:
            await asyncio.sleep(0)
        assert "stream cannot be written: no connection" in lane.trouble
        await lane.put(bundle(2))
        await lane.finish()
        assert lane.trouble is None
    assert stream.told == [1, 2]


async def test_a_round_is_sent_before_those_before_it_are_stored() -> None:
    stream = Stream()
    async with running(Lane(stream, stream.begin)) as lane:
        for seq in (1, 2, 3):
            await lane.put(bundle(seq))
            await turns()
        assert len(stream.ahead) == 3
        assert lane.lag == 3
        for stored in stream.ahead:
            stored.set_result(None)
        await lane.finish()
    assert stream.told == [1, 2, 3]
    assert stream.rounds == [], "nothing had to be told again"


async def test_when_one_round_fails_all_after_it_are_told_again_in_order_once_none_is_on_its_way() -> None:
    stream = Stream()
    async with running(Lane(stream, stream.begin)) as lane:
        for seq in (1, 2, 3):
            await lane.put(bundle(seq))
            await turns()
        stream.ahead[0].set_result(None)
        stream.ahead[1].set_exception(PublishFailed("the fence"))
        await turns()
        assert stream.rounds == [], "the third is on its way"
        stream.ahead[2].set_exception(PublishFailed("the fence"))
        await lane.finish()
    assert stream.told == [1, 2, 3]
    assert stream.rounds == [2]


@pytest.mark.parametrize(("rounds", "size_bytes"), [(2, 1_000), (32, 3)])
async def test_no_more_rounds_are_on_their_way_than_may_be(
    monkeypatch: pytest.MonkeyPatch, rounds: int, size_bytes: int
) -> None:
    monkeypatch.setattr(lane_module, "AHEAD_MAX_BYTES", size_bytes)
    stream = Stream()
    async with running(Lane(stream, stream.begin, ahead_max_rounds=rounds)) as lane:
        for seq in (1, 2, 3):
            await lane.put(bundle(seq))
            await turns()
        assert len(stream.ahead) == 2
        stream.ahead[0].set_result(None)
        await turns()
        assert len(stream.ahead) == 3
        for stored in stream.ahead[1:]:
            stored.set_result(None)
        await lane.finish()
    assert stream.told == [1, 2, 3]


@pytest.mark.parametrize("limit", ["WAITING_MAX_MESSAGES", "WAITING_MAX_BYTES"])
async def test_the_journal_waits_when_too_much_waits(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(lane_module, limit, 20)
    stream = Stream()
    stream.open_gate.clear()
    async with running(Lane(stream)) as lane:
        await lane.put(bundle(1))
        await turns()
        await lane.put(bundle(2, letters=15, body=b"x"))
        await lane.put(bundle(3, letters=15, body=b"x"))
        waiting = asyncio.create_task(lane.put(bundle(4)))
        await turns()
        assert not waiting.done()
        stream.open_gate.set()
        await waiting
        await lane.finish()
    assert stream.told == [1, 2, 3, 4]


async def test_a_broken_channel_ends_its_lane_and_says_so_to_who_puts_more() -> None:
    stream = Stream()
    stream.trouble.append(JournalBroken("recreated"))
    async with running(Lane(stream)) as lane:
        await lane.put(bundle(1))
        await lane.finish()
        assert str(lane.broken) == "recreated"
        with pytest.raises(JournalBroken, match="recreated"):
            await lane.put(bundle(2))


async def test_of_two_lanes_that_write_the_same_the_one_in_the_others_way_stands_by() -> None:
    stream = Stream()
    stream.is_anothers = True
    async with running(Lane(stream, standby_s=0.001)) as lane:
        await lane.put(bundle(1))
        await lane.finish()
        assert lane.stands_by
        stream.is_anothers = False
        await lane.put(bundle(2))
        await lane.finish()
        assert not lane.stands_by, "nobody else has told it"
    assert stream.told == [1, 2]


async def test_a_lane_that_stands_by_sends_nothing_ahead() -> None:
    stream = Stream()
    stream.is_anothers = True
    lane = Lane(stream, stream.begin, standby_s=0.001)
    stream.trouble = []
    async with running(lane):
        await lane.put(bundle(1))
        await turns()
        assert len(stream.ahead) == 1
        stream.ahead[0].set_exception(PublishFailed("another has written"))
        await lane.finish()
        assert lane.stands_by
        await lane.put(bundle(2))
        await lane.finish()
    assert len(stream.ahead) == 1
    assert stream.told == [1, 2]


async def test_a_lane_that_is_alone_never_stands_by() -> None:
    stream = Stream()
    stream.is_anothers = True
    async with running(Lane(stream)) as lane:
        await lane.put(bundle(1))
        await lane.finish()
        assert not lane.stands_by
