"""The table of small numbers by key: it finds what was put in, at every size, and nothing else."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.matcher.domain.plays.hashed import NOTHING, Table, key_of
from services.matcher.domain.plays.names import Names


def test_everything_put_in_is_found_at_every_size_and_nothing_else_is() -> None:
    table = Table()
    for n in range(3_000):
        table.insert(key_of(f"k{n}"), n)
        if n % 250 == 0:
            assert [table.get(key_of(f"k{i}")) for i in range(n + 1)] == list(range(n + 1))
    assert [table.get(key_of(f"k{n}")) for n in range(3_000)] == list(range(3_000))
    assert all(table.get(key_of(f"other{n}")) == NOTHING for n in range(3_000))
    assert max(map(len, table.shards)) < 512, "no shard grows beyond what its neighbours have"


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(1, 9)), max_size=200))
def test_numbers_add_up_as_in_a_dict(added: list[tuple[str, int]]) -> None:
    table, known = Table(), dict[str, int]()
    for name, number in added:
        table.add(key_of(name), number)
        known[name] = known.get(name, 0) + number
    assert {name: table.get(key_of(name)) for name in known} == known
    assert table.count == len(known)


def test_a_key_that_stands_across_two_records_is_not_found() -> None:
    table = Table()
    table.insert(b"AAABBB", int.from_bytes(b"CCCC", "little"))
    table.insert(b"DDDEEE", int.from_bytes(b"FFFF", "little"))
    assert b"BBCCCC" in table.shards[0] and table.get(b"BBCCCC") == NOTHING
    table.insert(b"BBCCCC", 7)
    assert table.get(b"BBCCCC") == 7
    table.add(b"BBCCCC", 1)
    assert table.get(b"BBCCCC") == 8 and table.get(b"DDDEEE") == int.from_bytes(b"FFFF", "little")


def test_names_keep_their_order_and_numbers_through_a_snapshot() -> None:
    names = Names()
    for n in range(100):
        assert names.enter(f"m{n}") == n == names.enter(f"m{n}")
        names.add(n, n)
        names.add(n, 1)
    names = msgspec.msgpack.decode(msgspec.msgpack.encode(names), type=Names)
    assert [names.name(n) for n in range(100)] == [f"m{n}" for n in range(100)]
    assert list(names.all_numbers()) == list(range(1, 101))
    assert (names.find("m7"), names.find("nobody")) == (7, NOTHING)
    names.add(7, -8)
    assert names.number(7) == 0


def test_two_names_of_one_key_are_still_two() -> None:
    names = Names()
    names.enter("m1")
    names.table = Table()
    names.table.insert(key_of("m2"), 0)  # as if m1 had the key of m2
    assert names.find("m2") == NOTHING
    assert names.enter("m2") == 1 and names.name(1) == "m2"
    assert names.find("m2") == 1
