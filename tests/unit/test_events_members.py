"""Bad input in the families of members and invitations: each refused with its own fault, before any rule sees it."""

import pytest

from events.decode import NamesAPerson, Unreadable, decode_event
from events.reasons import Fault
from tests import builders as b

PHONE = "13812345678"


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (b.invited(PHONE, "m2"), "data.inviter"),
        (b.invited("m1", PHONE), "data.invitee"),
        (b.consented(PHONE), "data.member"),
        (b.withdrew(PHONE), "data.member"),
        (b.registered(PHONE), "data.member"),
        (b.limited_self(PHONE), "data.member"),
        (b.pool_blocked(PHONE, "hangzhou"), "data.member"),
        (b.blocked("m1", PHONE), "data.other"),
        (b.preferred("m1", timezone=PHONE), "data.timezone"),
        (b.preferred("m1", note=f"call {PHONE}"), "data.note"),
        (b.consented("m1", shown="write to amy@shop.example"), "data.shown"),
    ],
)
def test_a_person_in_an_event_about_members_is_found(event: b.JsonEvent, field: str) -> None:
    with pytest.raises(NamesAPerson) as found:
        decode_event(b.encode(event, b.T0))
    assert found.value.field == field


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (b.withdrew("m.1"), Fault.BAD_ID),
        (b.withdrew("m1\r\nBcc: all"), Fault.BAD_ID),
        (b.preferred("m1", labels=["a b"]), Fault.BAD_ID),
        (b.preferred("m1", kinds=[""]), Fault.BAD_ID),
        (b.preferred("m1", timezone="Asia/Shanghai\n"), Fault.BAD_ID),
        (b.preferred("m1", timezone="Asia Shanghai"), Fault.WRONG_FIELD),
        (b.preferred("m1", labels=["x"] * 33), Fault.WRONG_FIELD),
        (b.preferred("m1", language="fr"), Fault.WRONG_FIELD),
        (b.consented("m1", mechanism="assumed"), Fault.WRONG_FIELD),
        (b.consented("m1", purpose="operator_alert"), Fault.WRONG_FIELD),
        (b.consented("m1", text_hash="AB" * 32), Fault.WRONG_FIELD),
        (b.limited_self("m1", remove=["sleep"]), Fault.WRONG_FIELD),
        (b.limited_self("m1", groups=-1), Fault.WRONG_FIELD),
        (b.limited_self("m1", groups=10_001), Fault.WRONG_FIELD),
        (b.limited_self("m1", spending={"amount_minor": 1, "currency": "cny"}), Fault.WRONG_FIELD),
        (b.registered("m1", registered_at="yesterday"), Fault.BAD_TIME),
        (b.invited("m1", "m2", useful_until="2026-01-01"), Fault.BAD_TIME),
        (b.invited("m1", "m2", channel="fax"), Fault.WRONG_FIELD),
        (b.invited("m1", "m2", pool="a\nb"), Fault.BAD_ID),
    ],
)
def test_what_a_field_cannot_hold_is_a_fault_of_its_own(event: b.JsonEvent, fault: Fault) -> None:
    with pytest.raises(Unreadable) as found:
        decode_event(b.encode(event, b.T0))
    assert found.value.fault == fault, found.value.detail
