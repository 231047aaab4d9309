"""A matcher that stands by decides again what it follows: the same bytes, or it does not take over."""

import random
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from events.record import Record, decode_record, encode_record, hash_bytes
from services.bus.journal import FollowedRecord, JournalBroken
from services.matcher.domain import configuring
from services.matcher.domain.engine import Engine
from services.matcher.log import Standing
from services.matcher.recovery import Recovered
from tests.histories import histories, read_history
from tests.ledger_records import MARKET
from tests.model.both import FACTS, ZONES

MIXED = next(path for path in histories() if path.stem == "rule-1-mixed")


def fresh() -> Recovered:
    return Recovered(Engine(MARKET, FACTS, ZONES), Standing(), "journal")


def followed(records: list[Record]) -> list[FollowedRecord]:
    bodies = [encode_record(record) for record in records]
    return [
        FollowedRecord(seq, seq, hash_bytes(body), body, record)
        for seq, (body, record) in enumerate(zip(bodies, records, strict=True), start=1)
    ]


def recorded(path: Path) -> list[Record]:
    return [decode_record(record.body) for record in read_history(path)]


def cut_elsewhere(records: list[Record], chance: random.Random) -> Iterator[Record]:
    """The same entries in records that end anywhere, in the middle of an input too."""
    for record in records:
        rest = list(record.entries)
        while rest:
            count = chance.randint(1, len(rest))
            yield msgspec.structs.replace(record, entries=rest[:count])
            rest = rest[count:]


async def evolved(records: list[Record]) -> bytes:
    found = fresh()
    await found.apply(followed(records))
    return found.engine.snapshot()


@pytest.mark.parametrize("path", histories(), ids=lambda path: path.stem)
async def test_who_decides_again_what_was_decided_comes_to_the_same_state(path: Path) -> None:
    records = recorded(path)
    standing_by = fresh()
    standing_by.rehearse()
    await standing_by.apply(followed(records))
    assert standing_by.rehearsal is not None and standing_by.is_whole
    assert standing_by.rehearsal.entries == sum(len(record.entries) for record in records)
    assert standing_by.engine.snapshot() == await evolved(records)


@pytest.mark.parametrize("seed", range(4))
async def test_records_that_end_in_the_middle_of_an_input_are_decided_again_too(seed: int) -> None:
    records = list(cut_elsewhere(recorded(MIXED), random.Random(seed)))
    standing_by = fresh()
    standing_by.rehearse()
    for at, record in enumerate(followed(records)):
        await standing_by.apply([record])
        # What is due and in no record yet is the beginning of the next one.
        following = [bytes(raw) for later in records[at + 1 :] for raw in later.entries]
        assert standing_by.ahead == following[: len(standing_by.ahead)]
    assert standing_by.engine.snapshot() == await evolved(records)


async def test_a_version_that_would_have_decided_otherwise_is_told_where_and_after_how_many() -> None:
    records = recorded(MIXED)
    standing_by = fresh()
    standing_by.rehearse()

    def as_another_version_lists(offer: object, edition: int, stock: object) -> object:
        return listing(offer, edition=edition + 1, stock=stock)

    listing = configuring._listing
    with (
        mock.patch.object(configuring, "_listing", as_another_version_lists),
        pytest.raises(
            JournalBroken,
            match=r"decides entry \S+ of record \d+ otherwise .* after \d+ entr.+ the same",
        ),
    ):
        await standing_by.apply(followed(records))
    assert standing_by.is_torn
    assert 0 < standing_by.standing.seq < len(records)


async def test_a_version_whose_rules_break_down_is_told_where() -> None:
    standing_by = fresh()
    standing_by.rehearse()

    def broken(*_: object, **__: object) -> None:
        raise KeyError("offer")

    with (
        mock.patch.object(configuring, "_listing", broken),
        pytest.raises(JournalBroken, match=r"cannot decide entry .*KeyError"),
    ):
        await standing_by.apply(followed(recorded(MIXED)))


async def test_another_release_of_the_time_zones_is_no_difference_of_the_rules() -> None:
    records = recorded(MIXED)
    later = msgspec.structs.replace(ZONES, version="9999z")
    standing_by = Recovered(Engine(MARKET, FACTS, later), Standing(), "journal")
    standing_by.rehearse()
    await standing_by.apply(followed(records))
    assert standing_by.engine.zones.version == "9999z"


@pytest.mark.parametrize("rehearsed", [False, True])
async def test_a_record_decided_under_rules_unknown_here_is_refused_with_what_is_known(rehearsed: bool) -> None:
    records = recorded(MIXED)
    unknown = [*records[:3], msgspec.structs.replace(records[3], rule=99)]
    standing_by = fresh()
    if rehearsed:
        standing_by.rehearse()
    with pytest.raises(
        JournalBroken, match=r"record 4 was decided under rule version 99.*\(known: 1\); start a version"
    ):
        await standing_by.apply(followed(unknown))


async def test_records_that_are_handed_over_again_are_applied_once() -> None:
    records = followed(recorded(MIXED))
    standing_by = fresh()
    await standing_by.apply(records[:20])
    await standing_by.apply(records)
    assert standing_by.engine.snapshot() == await evolved([record.record for record in records])
