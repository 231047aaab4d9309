"""The outbox: what is in it stays, once, until its end is written down."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from events.notice import decode_fact
from services.bus.journal import START, JournalPosition
from services.notifier.dispatch.claiming import CLAIM_LOOKED_AT_MAX, DIGEST_MAX_NOTICES
from services.notifier.dispatch.database import OutboxError, outbox_file
from services.notifier.dispatch.outbox import Outbox
from services.notifier.dispatch.routing import Route, waiting_row, waiting_rows
from services.notifier.dispatch.rows import Busy, Claim, Ended, EndKind, Waiting
from services.notifier.policy.choices import Choices, Permission
from services.notifier.policy.judge import Defer, Send, Suppress, Verdict
from services.notifier.policy.known import Change
from services.notifier.policy.purposes import Kind, Purpose, Reason
from tests.dispatch_setting import notice
from tests.notifier_journal import AT_NS

HOUR_NS = 3_600 * 10**9
MAIL = Route(channel="email", purposes=frozenset(Purpose), address_kind="email", digest_window_s=60)
HOOK = Route(channel="webhook:a", purposes=frozenset(Purpose))
AFTER = AT_NS + 61 * 10**9
THERE = JournalPosition(7, "f" * 64)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(tmp_path, "main")) as made:
        yield made


def row(number: int, route: Route = HOOK, member: str = "m-1", group: str | None = "g-1") -> Waiting:
    return waiting_row(notice(member, Kind.REFUND_DUE, f"{number}.0.0/0", group=group), route, AT_NS)


def send(*_: object) -> Verdict:
    return Send()


def claim(outbox: Outbox, channel: str = "webhook:a", limit: int = 10, judge: object = send, **busy: object) -> Claim:
    return outbox.claim(channel, AFTER, limit, Busy(**busy), judge, lambda _: "there")  # type: ignore[arg-type]


def said(outbox: Outbox) -> list[str]:
    return [decode_fact(body).id for _, body in outbox.facts_after(0, 10_000)]


def test_position_notices_and_what_is_known_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path, "main")) as outbox:
        assert outbox.position == START
        outbox.take_in(THERE, [row(1)], [Change("group", "g-1", b"{}")], {"m-1": Choices(blocked=frozenset({"x"}))})
        with pytest.raises(AttributeError):
            outbox.take_in(JournalPosition(8, "e" * 64), [row(2), None])  # type: ignore[list-item]
    with closing(Outbox(tmp_path, "main")) as outbox:
        assert outbox.position == THERE
        assert outbox.waiting() == {"webhook:a": 1}
        assert list(outbox.known_rows()) == [("group", "g-1", b"{}")]
        assert outbox.choices_of("m-1").blocked == {"x"}


def test_the_same_notice_again_is_one(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(1), row(1)])
    outbox.take_in(THERE, [row(1)])
    assert outbox.waiting() == {"webhook:a": 1}


def test_what_is_on_the_way_is_not_taken_again(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(at) for at in range(5)])
    first = claim(outbox, limit=3)
    taken = frozenset(held.row.id for parcel in first.parcels for held in parcel.held)
    second = claim(outbox, notices=taken)
    assert len(first.parcels) == 3 and len(second.parcels) == 2
    assert taken.isdisjoint(held.row.id for parcel in second.parcels for held in parcel.held)


def test_a_digest_stays_the_same_message_after_a_crash_whatever_has_come_since(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(at, MAIL) for at in range(3)])
    (digest,) = claim(outbox, "email").parcels
    outbox.take_in(THERE, [row(9, MAIL)])
    parcels = claim(outbox, "email").parcels
    assert sorted(len(parcel.held) for parcel in parcels) == [1, 3]
    assert digest.id in {parcel.id for parcel in parcels}


def test_a_digest_is_of_one_member_and_one_group_and_no_longer_than_its_limit(outbox: Outbox) -> None:
    rows = [row(at, MAIL) for at in range(DIGEST_MAX_NOTICES + 5)]
    outbox.take_in(THERE, [*rows, row(900, MAIL, group="g-2"), row(901, MAIL, member="m-2")])
    sizes = sorted(len(parcel.held) for parcel in claim(outbox, "email").parcels)
    assert sizes == [1, 1, 5, DIGEST_MAX_NOTICES]


def test_what_may_not_go_out_any_more_leaves_its_digest_and_the_rest_is_sent(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(at, MAIL) for at in range(4)])
    claim(outbox, "email")

    def later(waiting: Waiting, _: Choices) -> Verdict:
        number = waiting.notice.decision[0]
        if number == "0":
            return Defer(AFTER + HOUR_NS, Reason.QUIET_HOURS)
        return Suppress(Reason.NO_CONSENT) if number == "1" else Send()

    (digest,) = claim(outbox, "email", judge=later).parcels
    assert len(digest.held) == 2
    assert outbox.waiting() == {"email": 3}
    assert len(said(outbox)) == 2
    alone = outbox.claim("email", AFTER + HOUR_NS, 10, Busy(), send, lambda _: "there").parcels
    assert {len(parcel.held) for parcel in alone} == {1, 2}, "the one put off is a message of its own"


def test_thousands_that_are_put_off_take_a_few_visits_and_no_message_waits_for_them(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(at) for at in range(3 * CLAIM_LOOKED_AT_MAX)])
    visits = 0
    while True:
        found = claim(outbox, judge=lambda *_: Defer(AFTER + HOUR_NS, Reason.QUIET_HOURS))
        visits += 1
        if found.next_due_ns != AFTER:
            break
    assert found.next_due_ns == AFTER + HOUR_NS
    assert visits <= 2 * 3 * CLAIM_LOOKED_AT_MAX // 10


def test_where_each_message_takes_a_grant_a_member_gets_one_at_a_time_and_others_do_not_wait(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(at, member="m-1") for at in range(50)] + [row(99, member="m-2")])
    members = [parcel.member for parcel in claim(outbox, one_per_member=True).parcels]
    assert sorted(members) == ["m-1", "m-2"]
    busy = claim(outbox, one_per_member=True, members=frozenset({"m-1"}))
    assert [parcel.member for parcel in busy.parcels] == ["m-2"]


def test_a_used_grant_is_written_down_with_the_end_of_its_message(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(1)])
    (parcel,) = claim(outbox).parcels
    used = Permission("result", "wechat", 3)
    outbox.finish([Ended(parcel=parcel, kind=EndKind.SENT, at_ns=AFTER, used=used)])
    assert outbox.choices_of("m-1").used == {"result/wechat": 3}
    assert outbox.waiting() == {}


def test_every_fact_of_a_notice_has_the_next_number(outbox: Outbox) -> None:
    outbox.take_in(THERE, [row(1)])
    for _ in range(2):
        (parcel,) = claim(outbox).parcels
        outbox.finish([Ended(parcel=parcel, kind=EndKind.RETRY, at_ns=AFTER, why="no", due_at_ns=AFTER)])
    (parcel,) = claim(outbox).parcels
    outbox.finish([Ended(parcel=parcel, kind=EndKind.DEAD, at_ns=AFTER, why="no")])
    assert said(outbox) == [f"{parcel.id}.{number}" for number in (1, 2, 3)]


def test_a_channel_takes_only_what_it_is_for_and_who_has_left_no_address_is_not_reached() -> None:
    refunds = Route(channel="wechat", purposes=frozenset(Purpose), kinds=frozenset({Kind.REFUND_DUE}))
    shop = Route(channel="webhook:b", purposes=frozenset({Purpose.RESULT}), publishers=frozenset({"shop-b"}))
    invitation = notice("m-1", Kind.INVITED, via="email")
    told = waiting_rows(
        [notice("m-1"), notice("m-2", publisher="shop-b"), invitation],
        [MAIL, refunds, shop, HOOK],
        lambda member, kind: member == "m-1" and kind == "email",
        AT_NS,
    )
    assert sorted((each.channel, each.notice.member, each.notice.kind.value) for each in told) == [
        ("email", "m-1", "filled"),
        ("email", "m-1", "invited"),
        ("webhook:a", "m-1", "filled"),
        ("webhook:a", "m-2", "filled"),
        ("webhook:b", "m-2", "filled"),
    ]


def test_a_store_that_is_none_is_refused_with_a_sentence(tmp_path: Path) -> None:
    file = outbox_file(tmp_path, "main")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(OutboxError, match="cannot be opened"):
        Outbox(tmp_path, "main")
