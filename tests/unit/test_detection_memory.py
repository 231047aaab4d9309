"""What detection remembers is bounded: by the window, by stated capacities, and in what it costs to look."""

import msgspec
import pytest

from services.matcher.domain.standing import book as b
from services.matcher.domain.standing import clusters, ladder
from services.matcher.domain.standing.book import Book
from services.matcher.domain.standing.clusters import Clusters
from services.matcher.domain.standing.helping import Helping, key_of, mark_of
from services.matcher.domain.standing.judging import RECALLS_MAX, evidence_of, recalls, verdict_of
from services.matcher.domain.standing.learning import KEPT_S, SAMPLED_BELOW, learn
from services.matcher.domain.standing.observing import observe
from services.matcher.domain.standing.packed import Table
from services.matcher.domain.standing.usual import HALVED_AT, Usual, upper_quartile
from tests.builders import sha256_hex

S = 10**9
T0_S = 1_800_000_000


def give(book: Book, helper: str, play: str = "p", at_s: int = T0_S, device: str | None = None, place: int = 0) -> str:
    """Judge and remember an assist; return what becomes of it."""
    hashed = None if device is None else sha256_hex(device)
    helping = told(book, helper, play, at_s, hashed, place)
    sight = observe(book, helping)
    outcome = verdict_of(evidence_of(book, sight)).outcome
    learn(book, helping, sight, counted=outcome == "counted")
    return outcome


def told(book: Book, helper: str, play: str, at_s: int, device: str | None, place: int) -> Helping:
    """Return an assist as detection is told of it, in a play of its own watch."""
    key, number = key_of(helper), book.numbers.get(play, 0)
    past = book.helpings.rows(key)
    return Helping(play, place, key, f"owner-of-{play}", number, play, at_s * S, past, device, device, 400, True)


def size(book: Book) -> int:
    return len(msgspec.msgpack.encode(book))


def test_judging_leaves_what_is_remembered_as_it_is() -> None:
    book = Book()
    give(book, "m1", device="phone")
    before = msgspec.msgpack.encode(book)
    evidence_of(book, observe(book, told(book, "m2", "p", T0_S, sha256_hex("phone"), 1)))
    assert msgspec.msgpack.encode(book) == before


def test_what_is_remembered_survives_a_snapshot() -> None:
    book = Book()
    for n in range(50):
        give(book, f"m{n % 20}", f"p{n % 7}", T0_S + n * 60, f"d{n % 9}", n // 7)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(book), type=Book)
    assert again == book
    assert give(again, "late", "p1", device="d1", at_s=T0_S + 9_000) == give(
        book, "late", "p1", device="d1", at_s=T0_S + 9_000
    )
    assert again == book


def test_a_play_that_saw_nothing_for_a_window_is_forgotten() -> None:
    book = Book()
    for n in range(100):
        give(book, f"m{n}", f"p{n}", T0_S + n)
    assert len(book.watches) == 100
    for n in range(50):
        give(book, f"x{n}", f"later{n}", T0_S + KEPT_S + 200 + n)
    assert len(book.watches) == len(book.numbers) == 50, "two are forgotten before each one that is added"
    assert not {f"p{n}" for n in range(100)} & set(book.numbers)


def test_a_play_that_is_still_helped_is_not_forgotten() -> None:
    book = Book()
    for day in range(20):
        give(book, f"m{day}", "long", T0_S + day * 86_400)
    assert book.watches[book.numbers["long"]].assists == 20


def test_a_table_drops_what_is_older_than_its_window_with_each_record_that_it_gets() -> None:
    table = Table(row_bytes=10, window_h=24)
    key = key_of("somebody")
    for hour in range(2_000):
        table.add(key + hour.to_bytes(2) + bytes(8))
    kept = table.rows(key)
    assert [int.from_bytes(row[:2]) for row in kept] == list(range(1_976, 2_000)) and table.count == 24


@pytest.mark.parametrize("seen_again", [False, True])
def test_a_table_is_no_larger_after_many_windows_than_after_one(seen_again: bool) -> None:
    table, a_window = Table(row_bytes=2, window_h=24), 24 * 1_000
    for n in range(8 * a_window):
        hour = (n // 1_000).to_bytes(2)
        key = key_of(f"m{n // 2 if seen_again else n}")
        if seen_again and n % 2:
            table.replace(key, hour)
        else:
            table.add(key + hour)
        if n == a_window:
            shards = len(table.shards)
    within = a_window // 2 if seen_again else a_window
    assert within <= table.count < 1.1 * within and len(table.shards) <= 1.1 * shards
    assert table.count == sum(len(shard) // 7 for shard in table.shards)


def test_what_is_seen_again_outlives_what_came_after_it() -> None:
    table = Table(row_bytes=2, window_h=24)
    first, second = b"\0first", b"\0secnd"
    table.add(first + (0).to_bytes(2))
    table.add(second + (1).to_bytes(2))
    table.replace(first, (20).to_bytes(2))
    table.add(b"\0third" + (40).to_bytes(2))
    assert table.latest(first) == (20).to_bytes(2) and table.latest(second) is None


def test_every_record_is_found_however_far_a_table_has_grown() -> None:
    table = Table(row_bytes=4, window_h=24)
    keys = [key_of(f"m{n}") for n in range(10_000)]
    for n, key in enumerate(keys):
        table.add(key + bytes(2) + n.to_bytes(2))
        table.add(key + bytes(4))
    assert all(table.rows(key)[0] == bytes(2) + n.to_bytes(2) for n, key in enumerate(keys))
    assert len(table.shards) == 313 and table.count == 20_000
    table.replace(keys[7], b"seen")
    assert table.rows(keys[7]) == [bytes(2) + (7).to_bytes(2), b"seen"] and table.latest(keys[7]) == b"seen"
    assert not table.rows(key_of("nobody")) and table.latest(key_of("nobody")) is None


def test_a_network_that_was_not_seen_for_a_window_is_as_new() -> None:
    book, network = Book(), mark_of(sha256_hex("dormitory"))
    helpers = [m for n in range(100) if key_of(m := f"m{n}")[-1] < SAMPLED_BELOW][:8]
    for n, helper in enumerate(helpers[:-1]):
        give(book, helper, f"p{n}", device="dormitory")
    assert book.networks.latest(network) == (T0_S // 3_600 & 0xFFFF).to_bytes(2) + (7).to_bytes(4) * 2
    late_s = T0_S + b.WINDOW_H * 3_600
    give(book, helpers[-1], "late", late_s, "dormitory")
    assert book.networks.latest(network) == (late_s // 3_600 & 0xFFFF).to_bytes(2) + (1).to_bytes(4) * 2


def test_hours_of_sixteen_bits_come_round_without_being_taken_for_old() -> None:
    table = Table(row_bytes=2, window_h=24)
    key = key_of("somebody")
    for hour in range(65_500, 65_600):
        table.add(key + (hour & 0xFFFF).to_bytes(2))
    assert int.from_bytes(table.rows(key)[-1]) == 65_599 & 0xFFFF
    assert len(table.rows(key)) >= 24


def test_a_match_across_two_records_is_none() -> None:
    table = Table(row_bytes=2, window_h=24)
    table.add(b"abcdefgh")
    table.add(b"ajklmnop")
    assert table.rows(b"afghjk") == [] and table.latest(b"afghjk") is None
    assert table.rows(b"ajklmn") == [b"op"]


def test_a_cluster_is_remembered_half_a_window_at_least_and_a_whole_one_at_most() -> None:
    linked = Clusters()
    linked.join(b"a", b"b", half=10)
    linked.join(b"x", b"y", half=11)
    assert linked.root(b"a") == linked.root(b"b")
    linked.join(b"x", b"z", half=12)
    assert linked.root(b"a") != linked.root(b"b")
    assert linked.root(b"x") == linked.root(b"y") == linked.root(b"z")


def test_a_full_pane_takes_in_no_more_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "PANE_ACCOUNTS", 10)
    linked = Clusters()
    for n in range(100):
        linked.join(b"hub", n.to_bytes(6), half=0)
    assert len(linked.older.parents) + len(linked.older.sizes) <= 11


def test_a_play_with_many_helpers_takes_24_bytes_for_each_and_a_bounded_part_for_their_other_plays() -> None:
    book = Book()
    for n in range(3_000):
        give(book, f"m{n}", "warm-up", T0_S + n, place=n)
    for n in range(3_000):
        give(book, f"m{n}", "big", T0_S + 4_000 + n, place=n)
    watch = book.watches[book.numbers["big"]]
    assert len(watch.rows) == 24 * 3_000
    assert len(watch.others) <= b.OTHERS_MAX_BYTES + 4 * 8


def test_one_held_assist_takes_back_no_more_than_is_told_in_one_piece() -> None:
    book = Book()
    for n in range(60):
        give(book, f"m{n}", "p", T0_S, place=n)
    watch = book.watches[book.numbers["p"]]
    doubtful = watch.assists - watch.odd.dropped
    found = recalls(book, book.numbers["p"], hold_points=1)
    assert len(found) == min(doubtful, RECALLS_MAX)
    assert watch.assists - watch.odd.dropped == doubtful, "who takes back what is found says so by a decision"


def test_what_is_usual_fades_and_cannot_grow() -> None:
    usual = Usual()
    for _ in range(3 * HALVED_AT):
        usual.note(0, 3, 9, 2, 5, 1)
    assert usual.assists < HALVED_AT
    assert (usual.usual_pace, usual.usual_brisk, usual.usual_reach) == (3, 9, 2)
    assert sum(usual.pace) < HALVED_AT


def test_an_attack_moves_what_is_usual_only_when_it_makes_up_a_quarter() -> None:
    assert upper_quartile([0, 80, 0, 0, 20]) == 1
    assert upper_quartile([0, 70, 0, 0, 30]) == 4


def test_of_each_member_a_bounded_number_of_strikes_is_kept() -> None:
    ledge = ladder.Ledge()
    for n in range(1_000):
        ladder.note_strike(ledge, ladder.DEFAULTS, "m", ladder.Strike(n * S, 5, "assists_voided", n))
        ladder.forget(ledge, ladder.DEFAULTS, n * S)
    assert len(ledge.records["m"].strikes) == ladder.STRIKES_KEPT
    assert ladder.total(ledge.records["m"], ladder.DEFAULTS, 1_000 * S) >= ladder.DEFAULTS.ban_at


def test_a_member_of_whom_nothing_is_left_to_keep_is_forgotten() -> None:
    ledge, memory_ns = ladder.Ledge(), ladder.DEFAULTS.memory_s * S
    for n in range(100):
        ladder.note_strike(ledge, ladder.DEFAULTS, f"m{n}", ladder.Strike(n, 1, "assists_held", n))
    for n in range(60):
        ladder.forget(ledge, ladder.DEFAULTS, memory_ns + 200 + n)
    assert not ledge.records


def test_the_same_assists_lead_to_the_same_memory_byte_for_byte() -> None:
    one, other = Book(), Book()
    for book in (one, other):
        for n in range(300):
            give(book, f"m{n * 7 % 90}", f"p{n % 11}", T0_S + n * 30, f"d{n % 40}", n // 11)
    assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other)
    assert size(one) < 300 * 250
