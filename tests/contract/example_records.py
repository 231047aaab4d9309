"""One example of every decision, and entries, a record and a leaf; the golden corpus holds their bytes."""

from typing import Final

import msgspec

from events import decisions as d
from events import member_decisions as m
from events import play_decisions as p
from events.member import QuietHours
from events.reasons import Fault, Reason
from events.record import GENESIS, RECORD_FORMAT, Entry, Record, Through, encode_entry
from events.times import parse_time_ns

AT_NS: Final = parse_time_ns("2026-11-23T10:00:00.125Z") + 250
DEADLINE_NS: Final = AT_NS + 86_400 * 10**9
HOLD_NS: Final = AT_NS + 900 * 10**9
MARKET_KEY: Final = bytes(range(32))
INTAKE: Final = "5d41402abc4b2a76b9719d911017c592"

SEATS: Final = [
    d.SeatRef(order="o-1", member="m-1", publisher="shop-a", price_minor=1990),
    d.SeatRef(order="o-2", member="m-2", publisher="shop-b", quantity=2, price_minor=3980),
]
REFUND: Final = "r-76226757333b36b812418fe85cfa4e9e"

DECISIONS: Final[list[d.AnyDecision]] = [
    d.MarketSet(rule_version=1, tzdata="2026.1"),
    d.OfferListed(offer="spring-tea", edition=2, status="withdrawn", stock={"250g": 40, "500g": 0}),
    d.GroupOpened(
        group="g1041-0",
        offer="spring-tea",
        edition=2,
        order="o-1",
        member="m-1",
        deadline=DEADLINE_NS,
        pool="hangzhou",
    ),
    d.SeatHeld(
        group="g1041-0",
        order="o-1",
        member="m-1",
        offer="spring-tea",
        quantity=2,
        sku="250g",
        payable_minor=3980,
        currency="CNY",
        hold_until=HOLD_NS,
        publisher="shop-a",
    ),
    d.SeatConfirmed(
        group="g1041-0",
        order="o-1",
        member="m-1",
        offer="spring-tea",
        quantity=2,
        sku="250g",
        payable_minor=3980,
        currency="CNY",
        payment="4200001234567890",
        publisher="shop-a",
    ),
    d.SeatReleased(
        group="g1041-0",
        order="o-1",
        member="m-1",
        cause="released",
        publisher="shop-a",
        promoted="o-2",
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
    ),
    d.GroupMerged(group="g1042-0", into="g1041-0", seats=1),
    d.GroupFilled(
        group="g1041-0",
        offer="spring-tea",
        cause="completed",
        size=34,
        page=2,
        pages=2,
        seats=SEATS,
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
    ),
    d.GroupExpired(group="g1041-0", offer="spring-tea", missing=1, page=2, pages=2, seats=SEATS),
    d.GroupDissolved(
        group="g1041-0",
        offer="spring-tea",
        cause="customer_service",
        page=2,
        pages=2,
        seats=SEATS,
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
    ),
    d.RefundDue(
        refund=REFUND,
        order="o-1",
        payment="4200001234567890",
        amount_minor=3980,
        currency="CNY",
        cause="expired",
        publisher="shop-a",
        member="m-1",
        group="g1041-0",
    ),
    d.RefundClosed(
        refund=REFUND,
        status="settled",
        order="o-1",
        amount_minor=3980,
        currency="CNY",
        publisher="shop-a",
        member="m-1",
    ),
    d.MemberNoted(member="m-1"),
    d.ClockAdvanced(),
    d.Refused(reason=Reason.PERSONAL_DATA, detail="data.note", size_bytes=311, keyed_hash="ab" * 32),
    d.Duplicate(of="1041.0.0", original="seat.held", reason=Reason.OUT_OF_STOCK, group="g1041-0"),
    d.Malformed(why=Fault.DUPLICATE_KEY, detail="order", size_bytes=311, keyed_hash="cd" * 32),
    m.MemberChose(
        member="m-1",
        about="limits",
        changes_at=DEADLINE_NS,
        choices=m.Choices(
            registered_at=AT_NS,
            consents=(
                m.Consent(purpose="invitation", channel="wechat", granted=3, lapsed=2, withdrawn_at=AT_NS),
                m.Consent(purpose="result", channel="email", standing=True),
            ),
            purposes=("result", "invitation"),
            kinds=("group", "bargain"),
            labels=("green",),
            language="zh",
            timezone="Asia/Shanghai",
            quiet=QuietHours(begins="22:00", ends="08:00"),
            pools_blocked=("hangzhou",),
            limits=(
                m.SelfLimit(name="groups", most=5, changes_at=DEADLINE_NS, then_most=8),
                m.SelfLimit(name="spending", most=20_000, currency="CNY"),
            ),
        ),
    ),
    m.MemberReminded(
        member="m-1",
        limit="spending",
        set_by="member",
        used=20_000,
        most=20_000,
        currency="CNY",
        week_ends=DEADLINE_NS,
    ),
    m.InvitationAllowed(
        invitation="i-1",
        inviter="m-1",
        invitee="m-2",
        channel="wechat",
        group="g1041-0",
        play="p-1",
        pool="hangzhou",
        useful_until=DEADLINE_NS,
        link="bWFpbgppLTEKbS0x.dGhlIG1hcmtldCdzIG93bg",
        grant=3,
        publisher="shop-a",
    ),
    m.InvitationRefused(
        invitation="i-1",
        inviter="m-1",
        invitee="m-2",
        channel="wechat",
        reason=Reason.NO_CONSENT,
        detail="channel",
        refusals=10,
        consequence="limited",
        until=DEADLINE_NS,
        publisher="shop-a",
    ),
    p.PlayOpened(
        play="cut-1",
        form="bargain",
        member="m-1",
        ends_at=DEADLINE_NS,
        helper_limit=20,
        seed_sha256="5e" * 32,
        remaining_minor=3000,
        price_minor=3990,
        currency="CNY",
        missing=20,
        publisher="shop-a",
    ),
    p.PlayClosed(
        play="cut-1",
        form="bargain",
        member="m-1",
        cause="bought",
        seed="5d" * 32,
        helpers=7,
        remaining_minor=1200,
        price_minor=2190,
        currency="CNY",
        order="B-17",
        missing=13,
        tickets=9,
        entrants=4,
        winners=2,
        list_sha256="1f" * 32,
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
        publisher="shop-a",
    ),
    p.PriceCut(
        play="cut-1",
        member="m-1",
        position=3,
        cut_minor=256,
        remaining_minor=1200,
        price_minor=2190,
        currency="CNY",
        helpers=3,
        helpers_left=17,
        publisher="shop-a",
    ),
    p.PlayAdvanced(play="coupon-1", member="m-1", position=3, helpers=3, reached=4, missing=1, publisher="shop-a"),
    p.PlayTicketed(
        play="draw-1",
        member="m-1",
        position=3,
        group="g1041-0",
        page=1,
        tickets=2,
        total=9,
        helpers=3,
        publisher="shop-a",
    ),
    p.PlayWon(
        play="draw-1", form="lottery", member="m-1", prize="kettle", draw=1, draws=2, helpers=7, publisher="shop-a"
    ),
    p.PlayCorrected(
        play="cut-1",
        form="bargain",
        member="m-1",
        position=3,
        helpers=6,
        remaining_minor=1456,
        price_minor=2446,
        currency="CNY",
        reached=6,
        missing=2,
        tickets=7,
        revoked=["coupon-5"],
        publisher="shop-a",
    ),
    p.PlayClaimed(
        play="cut-1",
        form="bargain",
        member="m-1",
        assist="a-3",
        cause="voided_after_close",
        helpers=6,
        amount_minor=256,
        currency="CNY",
        tickets=2,
        reached=6,
        prizes=["coupon-5"],
        publisher="shop-a",
    ),
    p.AssistCounted(
        play="cut-1",
        assist="a-3",
        member="m-2",
        position=3,
        day="2026-11-23",
        new_member=True,
        helpers=3,
        helpers_left=17,
        cut_minor=256,
        remaining_minor=1200,
        publisher="shop-a",
    ),
    p.AssistHeld(
        play="cut-1",
        assist="a-3",
        member="m-2",
        position=3,
        day="2026-11-23",
        new_member=True,
        score=62,
        reasons=["shared_device"],
        helpers=2,
        publisher="shop-a",
    ),
    p.AssistRefused(
        play="cut-1",
        assist="a-3",
        member="m-2",
        position=3,
        day="2026-11-23",
        score=97,
        reasons=["shared_device", "burst"],
        helpers=2,
        publisher="shop-a",
    ),
    p.AssistVoided(
        play="cut-1",
        assist="a-3",
        member="m-2",
        position=3,
        was="counted",
        helpers=2,
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
        publisher="shop-a",
    ),
]
"""Every kind once, every field given."""

GROWN_DECISIONS: Final[list[d.AnyDecision]] = [
    d.GroupOpened(
        group="g1041-0",
        offer="spring-tea",
        edition=2,
        order="o-1",
        member="m-1",
        deadline=DEADLINE_NS,
        pool="hangzhou",
        seed_sha256="5e" * 32,
    ),
    d.GroupFilled(
        group="g1041-0",
        offer="spring-tea",
        cause="completed",
        size=34,
        page=2,
        pages=2,
        seats=[
            d.SeatRef(order="o-1", member="m-1", publisher="shop-a", price_minor=1990, won=True),
            d.SeatRef(order="o-2", member="m-2", publisher="shop-b", won=False),
        ],
        actor="cs-7",
        reason="wrong_item",
        ticket="T-2026-4711",
        seed="5d" * 32,
    ),
]
"""Kinds that have gained fields since their example was written, again with every field given."""

JOINED: Final = msgspec.Raw(
    b'{"specversion":"1.0","type":"groupbuy.order.joined.v1","id":"e-1","source":"//shop-b/orders",'
    b'"time":"2026-11-23T10:00:00Z", "data":{"order":"o-2","member":"m-2","offer":"spring-tea","note":"\xe8\x8c\xb6"}}'
)
"""As a publisher may send it: a space, an unknown field, text that is not ASCII."""

ENTRIES: Final[dict[str, Entry]] = {
    "order.joined": Entry(
        seq=1043,
        index=0,
        part=0,
        at=AT_NS,
        publisher="shop-b",
        event=JOINED,
        decisions=[
            d.SeatConfirmed(
                group="g1041-0",
                order="o-2",
                member="m-2",
                offer="spring-tea",
                payable_minor=0,
                currency="CNY",
                publisher="shop-b",
            ),
            d.GroupFilled(group="g1041-0", offer="spring-tea", cause="target", size=2, seats=SEATS),
        ],
    ),
    "malformed": Entry(
        seq=1043,
        index=1,
        part=0,
        at=AT_NS,
        publisher="shop-b",
        decisions=[d.Malformed(why=Fault.NOT_JSON, size_bytes=17, keyed_hash="cd" * 32)],
    ),
    "timer": Entry(
        seq=1044,
        index=0,
        part=0,
        at=AT_NS + 10**9,
        decisions=[
            d.GroupExpired(group="g1040-7", offer="spring-tea", missing=1, seats=SEATS[:1]),
            d.RefundDue(
                refund=REFUND,
                order="o-1",
                payment="4200001234567890",
                amount_minor=1990,
                currency="CNY",
                cause="expired",
                publisher="shop-a",
                member="m-1",
                group="g1040-7",
            ),
        ],
    ),
    "clock.ticked": Entry(
        seq=1044,
        index=0,
        part=1,
        at=AT_NS + 10**9,
        publisher="matcher",
        event=msgspec.Raw(
            b'{"type":"groupbuy.clock.ticked.v1","specversion":"1.0","id":"t-1","source":"//matcher",'
            b'"time":"2026-11-23T10:00:01Z","data":{}}'
        ),
        decisions=[d.ClockAdvanced()],
    ),
}
"""Entries in the order of the log, as they stand in the record."""

RECORD: Final = Record(
    v=RECORD_FORMAT,
    market="main",
    prev=GENESIS,
    intake=INTAKE,
    rule=1,
    through=Through(seq=1044, events=1, at=AT_NS + 10**9, hash="ef" * 32),
    entries=[msgspec.Raw(encode_entry(entry)) for entry in ENTRIES.values()],
)


def kind_of(decision: msgspec.Struct) -> str:
    """Return the kind of a decision."""
    return str(decision.__struct_config__.tag)
