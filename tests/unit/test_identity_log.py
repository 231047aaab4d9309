"""The log of identities: it finds what was remembered and not forgotten, under its whole key, however it grew."""

import random

import msgspec
import pytest

from services.matcher.domain.identity_log import CONTENT_BYTES, KEY_BYTES, Identities
from services.matcher.domain.identity_rows import IdentityRows

FEW_SLOTS = 4
CONTENT = bytes(CONTENT_BYTES)
NEW_ONES_LOOKED_FOR = 0.02


def _key(number: int) -> bytes:
    return random.Random(number).randbytes(KEY_BYTES)


def _add(known: Identities, number: int) -> None:
    known.add(_key(number), CONTENT, number, 2 * number, 3, 4)


def _answer(number: int) -> tuple[bytes, int, int, int, int]:
    return CONTENT, number, 2 * number, 3, 4


@pytest.mark.parametrize("slots", [1, FEW_SLOTS, 1 << 12])
def test_everything_remembered_is_found_and_nothing_else_is_while_the_log_grows_and_forgets(slots: int) -> None:
    chance, known, first = random.Random(slots), Identities(IdentityRows(slots=slots)), 0
    for number in range(3_000):
        assert known.get(_key(number)) is None
        _add(known, number)
        if chance.random() < 0.4:
            assert known.oldest_at_ns() == first
            known.forget_oldest()
            first += 1
        if number % 300 == 299:
            assert known.count == number + 1 - first
            assert [known.get(_key(old)) for old in range(first)] == [None] * first
            assert [known.get(_key(old)) for old in range(first, number + 1)] == list(
                map(_answer, range(first, number + 1))
            )


def test_a_key_is_compared_whole() -> None:
    known, key = Identities(IdentityRows()), bytes(range(KEY_BYTES))
    known.add(key, CONTENT, 1, 1, 0, 0)
    for place in range(KEY_BYTES):
        other = key[:place] + bytes([key[place] ^ 0x80]) + key[place + 1 :]
        assert known.get(other) is None, f"byte {place} counts"
    assert known.get(key) is not None


def test_a_log_read_from_a_snapshot_finds_the_same_and_goes_on_the_same() -> None:
    rows = IdentityRows(slots=FEW_SLOTS)
    known = Identities(rows)
    for number in range(1_000):
        _add(known, number)
        if number >= 700:
            known.forget_oldest()
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=IdentityRows)
    again = Identities(read)
    assert [again.get(_key(old)) for old in range(1_000)] == [known.get(_key(old)) for old in range(1_000)]
    for number in range(1_000, 3_000):
        _add(known, number)
        _add(again, number)
    assert msgspec.msgpack.encode(read) == msgspec.msgpack.encode(rows)
    assert all(again.get(_key(old)) == _answer(old) for old in range(300, 3_000))


@pytest.mark.parametrize("bits", [30, 32])
def test_numbers_beyond_those_bits_lead_to_the_same_rows(bits: int) -> None:
    begin = (1 << bits) - 100
    rows = IdentityRows(first=begin, end=begin, slots=FEW_SLOTS)
    known = Identities(rows)
    for number in range(200):
        assert known.get(_key(number)) is None
        _add(known, number)
        assert all(known.get(_key(old)) == _answer(old) for old in range(number + 1))
    assert [Identities(rows).get(_key(old)) for old in range(200)] == list(map(_answer, range(200)))


def test_everything_can_be_forgotten_and_the_log_goes_on() -> None:
    known = Identities(IdentityRows(slots=FEW_SLOTS))
    for turn in range(5):
        for number in range(256):
            _add(known, turn * 256 + number)
        while known.count:
            known.forget_oldest()
        assert known.oldest_at_ns() is None
        assert known.get(_key(turn * 256)) is None


def test_nearly_every_new_key_is_known_to_be_new_without_a_look_at_any_row() -> None:
    rows, looked = IdentityRows(slots=1 << 10), 0
    known = Identities(rows)
    for number in range(1_000):
        _add(known, number)
    rows.chunks.clear()  # whoever looks fails
    for number in range(1_000, 3_000):
        try:
            assert known.get(_key(number)) is None
        except IndexError:
            looked += 1
    assert 0 < looked <= 2_000 * NEW_ONES_LOOKED_FOR
