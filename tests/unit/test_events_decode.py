"""What is no event is told precisely why; what is one is read, whatever else stands in it."""

import json
from typing import Any

import pytest

from events.decode import NamesAPerson, Unreadable, decode_archived, decode_event, split_message
from events.limits import EVENT_MAX_BYTES, ID_MAX_CHARS, JSON_MAX_DEPTH
from events.reasons import Fault
from events.registry import EVENT_TYPES
from tests.unit.event_bytes import ORDER, REQUIRED, TIME, compact, document, event, with_data


def fault_of(raw: bytes) -> Fault:
    """Return why `raw` cannot be read."""
    with pytest.raises(Unreadable) as caught:
        decode_event(raw)
    assert caught.value.detail is None or len(caught.value.detail) <= 200
    return caught.value.fault


def deep(levels: int, around: str = "[]") -> str:
    """Return JSON nested `levels` deep."""
    opening = "[" if around == "[]" else '{"a":'
    return opening * levels + "1" + ("]" if around == "[]" else "}") * levels


PAYMENT = {"payment": "p-1", "amount_minor": 1990, "currency": "CNY"}

BAD: dict[str, tuple[bytes, Fault]] = {
    # No JSON
    "nothing": (b"", Fault.EMPTY),
    "whitespace alone": (b" \r\n\t", Fault.EMPTY),
    "text": (b"hello", Fault.NOT_JSON),
    "truncated": (event()[:-10], Fault.NOT_JSON),
    "more than one value": (event() + event(), Fault.NOT_JSON),
    "a comma too many": (with_data("{" + REQUIRED + ",}"), Fault.NOT_JSON),
    "a byte order mark": (b"\xef\xbb\xbf" + event(), Fault.NOT_JSON),
    "a raw line feed in a string": (with_data('{"order":"o\n1","member":"m","offer":"f"}'), Fault.NOT_JSON),
    "not a number": (with_data("{" + REQUIRED + ',"quantity":NaN}'), Fault.NOT_JSON),
    "not a number in an unknown field": (with_data("{" + REQUIRED + ',"x":NaN}'), Fault.NOT_JSON),
    "infinity": (with_data("{" + REQUIRED + ',"x":-Infinity}'), Fault.NOT_JSON),
    "half a surrogate pair": (with_data("{" + REQUIRED + ',"x":"\\ud800"}'), Fault.NOT_JSON),
    "an unknown escape": (with_data("{" + REQUIRED + ',"x":"\\q"}'), Fault.NOT_JSON),
    # Not UTF-8
    "bad UTF-8 in an id": (event().replace(b"o-1", b"o-\xff"), Fault.NOT_UTF8),
    "bad UTF-8 in an unknown field": (event({"x": "??"}).replace(b"??", b"\xc3\x28"), Fault.NOT_UTF8),
    "bad UTF-8 in an unknown key": (event({"??": 1}).replace(b"??", b"\xe2\x82"), Fault.NOT_UTF8),
    "bad UTF-8 outside strings": (event() + b"\xff", Fault.NOT_UTF8),
    "an overlong slash": (event({"x": "??"}).replace(b"??", b"\xc0\xaf"), Fault.NOT_UTF8),
    "a surrogate in UTF-8": (event({"x": "???"}).replace(b"???", b"\xed\xa0\x80"), Fault.NOT_UTF8),
    # Too deep, too large
    "10,000 lists deep": (with_data("{" + REQUIRED + f',"x":{deep(10_000)}}}'), Fault.TOO_DEEP),
    "5,000 objects deep": (with_data("{" + REQUIRED + f',"x":{deep(5_000, "{}")}}}'), Fault.TOO_DEEP),
    "deep in a known field": (with_data("{" + REQUIRED + f',"sku":{deep(500)}}}'), Fault.TOO_DEEP),
    "deep and cut off": (b'{"a":' * 5_000, Fault.TOO_DEEP),
    "deep in the envelope": (
        event().replace(b'"specversion"', f'"x":{deep(900)},"specversion"'.encode()),
        Fault.TOO_DEEP,
    ),
    "deep on the wrong type": (compact({"type": "nobody", "x": json.loads(deep(100))}), Fault.TOO_DEEP),
    "one level too deep": (with_data("{" + REQUIRED + f',"x":{deep(JSON_MAX_DEPTH - 1)}}}'), Fault.TOO_DEEP),
    "too large": (event({"x": "y" * EVENT_MAX_BYTES}), Fault.EVENT_TOO_LARGE),
    # Keys twice
    "a key twice in the envelope": (event().replace(b'"id":"e-1"', b'"id":"e-1","id":"e-1"'), Fault.DUPLICATE_KEY),
    "the type twice": (with_data("{" + REQUIRED + "}", ',"type":"groupbuy.order.joined.v1"'), Fault.DUPLICATE_KEY),
    "a key twice in data": (with_data("{" + REQUIRED + ',"order":"o-2"}'), Fault.DUPLICATE_KEY),
    "data twice": (with_data("{" + REQUIRED + "}", ',"data":{' + REQUIRED + "}"), Fault.DUPLICATE_KEY),
    "a key twice, once escaped": (with_data("{" + REQUIRED + ',"\\u006frder":"o-2"}'), Fault.DUPLICATE_KEY),
    "a key twice in an unknown field": (with_data("{" + REQUIRED + ',"x":[{"a":1,"a":1}]}'), Fault.DUPLICATE_KEY),
    "a key twice in a payment": (
        with_data("{" + REQUIRED + ',"payment":{"payment":"p","payment":"p","amount_minor":1,"currency":"CNY"}}'),
        Fault.DUPLICATE_KEY,
    ),
    "a key twice beside whitespace": (with_data("{ " + REQUIRED + ' , "x" : 1, "x" : 1 }'), Fault.DUPLICATE_KEY),
    "a key twice beside a number that is written longer": (
        with_data("{" + REQUIRED + ',"x":1e15,"y":1,"y":1}'),
        Fault.DUPLICATE_KEY,
    ),
    # No event
    "a number": (b"17", Fault.NOT_AN_EVENT),
    "a text": (b'"hello"', Fault.NOT_AN_EVENT),
    "null": (b"null", Fault.NOT_AN_EVENT),
    "a list in a batch": (compact([document()]), Fault.NOT_AN_EVENT),
    "an empty object": (b"{}", Fault.NOT_AN_EVENT),
    "no type": (compact({k: v for k, v in document().items() if k != "type"}), Fault.NOT_AN_EVENT),
    "type a number": (event(type=7), Fault.NOT_AN_EVENT),
    "another version of CloudEvents": (event(specversion="0.3"), Fault.NOT_AN_EVENT),
    "no version of CloudEvents": (
        compact({k: v for k, v in document().items() if k != "specversion"}),
        Fault.NOT_AN_EVENT,
    ),
    "version a number": (event(specversion=1.0), Fault.NOT_AN_EVENT),
    "an unknown type": (event(type="groupbuy.order.teleported.v1"), Fault.UNKNOWN_TYPE),
    "an unknown version of a type": (event(type="groupbuy.order.joined.v2"), Fault.UNKNOWN_TYPE),
    "somebody else's type": (event(type="com.example.order"), Fault.UNKNOWN_TYPE),
    # Wrong fields
    "no id": (compact({k: v for k, v in document().items() if k != "id"}), Fault.WRONG_FIELD),
    "no source": (compact({k: v for k, v in document().items() if k != "source"}), Fault.WRONG_FIELD),
    "no time": (compact({k: v for k, v in document().items() if k != "time"}), Fault.WRONG_FIELD),
    "no data": (compact({k: v for k, v in document().items() if k != "data"}), Fault.WRONG_FIELD),
    "data null": (with_data("null"), Fault.WRONG_FIELD),
    "data a list": (with_data("[]"), Fault.WRONG_FIELD),
    "no member": (with_data('{"order":"o-1","offer":"f-1"}'), Fault.WRONG_FIELD),
    "null for what is required": (event({"member": None}), Fault.WRONG_FIELD),
    "a number for an id": (event({"order": 42}), Fault.WRONG_FIELD),
    "a text for a number": (event({"quantity": "2"}), Fault.WRONG_FIELD),
    "a float for a number": (event({"quantity": 2.5}), Fault.WRONG_FIELD),
    "a whole float for a number": (event({"quantity": 2.0}), Fault.WRONG_FIELD),
    "an exponent for a number": (with_data("{" + REQUIRED + ',"quantity":1e2}'), Fault.WRONG_FIELD),
    "a boolean for a number": (event({"quantity": True}), Fault.WRONG_FIELD),
    "a number for a boolean": (event({"strangers": 1}), Fault.WRONG_FIELD),
    "a huge number": (event({"quantity": 10**30}), Fault.WRONG_FIELD),
    "a number of 5,000 digits": (with_data("{" + REQUIRED + f',"quantity":{"9" * 5_000}}}'), Fault.WRONG_FIELD),
    "zero of something": (event({"quantity": 0}), Fault.WRONG_FIELD),
    "less than nothing": (event({"quantity": -1}), Fault.WRONG_FIELD),
    "a negative amount": (event({"payment": {**PAYMENT, "amount_minor": -1}}), Fault.WRONG_FIELD),
    "an amount past the limit": (event({"payment": {**PAYMENT, "amount_minor": 10**12 + 1}}), Fault.WRONG_FIELD),
    "an amount in yuan": (event({"payment": {**PAYMENT, "amount_minor": 19.9}}), Fault.WRONG_FIELD),
    "a currency in small letters": (event({"payment": {**PAYMENT, "currency": "cny"}}), Fault.WRONG_FIELD),
    "a currency with a line feed": (event({"payment": {**PAYMENT, "currency": "CNY\n"}}), Fault.WRONG_FIELD),
    "a payment without its amount": (event({"payment": {"payment": "p-1", "currency": "CNY"}}), Fault.WRONG_FIELD),
    "another content type": (event(datacontenttype="text/xml"), Fault.WRONG_FIELD),
    # Bad ids
    "an id with a space": (event(id="e 1"), Fault.BAD_ID),
    "an empty id": (event(id=""), Fault.BAD_ID),
    "an id too long": (event(id="e" * (ID_MAX_CHARS + 1)), Fault.BAD_ID),
    "an id with a slash": (event({"order": "o/1"}), Fault.BAD_ID),
    "an id in Chinese": (event({"order": "订单1"}), Fault.BAD_ID),
    "an id with full-width digits": (event({"order": "１２３"}), Fault.BAD_ID),
    "an id with a line feed": (event({"order": "o-1\no-2"}), Fault.BAD_ID),
    "an id that ends in a line feed": (event({"order": "o-1\n"}), Fault.BAD_ID),
    "an id with an escaped line feed": (with_data('{"order":"o\\u000a1","member":"m","offer":"f"}'), Fault.BAD_ID),
    "an id with a null": (with_data('{"order":"o\\u00001","member":"m","offer":"f"}'), Fault.BAD_ID),
    "an order too long": (event({"order": "o" * (ID_MAX_CHARS + 1)}), Fault.BAD_ID),
    "an empty order": (event({"order": ""}), Fault.BAD_ID),
    "a member with a dot": (event({"member": "m.1"}), Fault.BAD_ID),
    "a member with a space": (event({"member": "m 1"}), Fault.BAD_ID),
    "a member with a star": (event({"member": "m*"}), Fault.BAD_ID),
    "a publisher with a dot": (event(publisher="shop.a"), Fault.BAD_ID),
    "a payment's id with a space": (event({"payment": {**PAYMENT, "payment": "p 1"}}), Fault.BAD_ID),
    # Bad source, bad time
    "an empty source": (event(source=""), Fault.BAD_SOURCE),
    "a source with a space": (event(source="shop a"), Fault.BAD_SOURCE),
    "a source in Chinese": (event(source="//店"), Fault.BAD_SOURCE),
    "a source too long": (event(source="s" * 129), Fault.BAD_SOURCE),
    "a source with a line feed": (event(source="s\n"), Fault.BAD_SOURCE),
    "a time without offset": (event(time="2026-11-23T10:00:00"), Fault.BAD_TIME),
    "a date": (event(time="2026-11-23"), Fault.BAD_TIME),
    "a time that is none": (event(time="soon"), Fault.BAD_TIME),
    "the thirtieth of February": (event(time="2026-02-30T10:00:00Z"), Fault.BAD_TIME),
    "a leap second": (event(time="2026-12-31T23:59:60Z"), Fault.BAD_TIME),
    "a time before 1970": (event(time="1969-12-31T23:59:59Z"), Fault.BAD_TIME),
    "a time past every clock": (event(time="9999-12-31T23:59:59Z"), Fault.BAD_TIME),
    "a payment's time that is none": (event({"payment": {**PAYMENT, "paid_at": "yesterday"}}), Fault.BAD_TIME),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_said_precisely(what: str) -> None:
    raw, fault = BAD[what]
    assert fault_of(raw) is fault


@pytest.mark.parametrize("what", BAD)
def test_one_bad_event_spoils_only_itself_in_a_batch(what: str) -> None:
    raw, fault = BAD[what]
    batch = b"[" + event(id="e-0") + b" ,\n" + raw + b"," + event(id="e-2") + b"]"
    if fault in (Fault.NOT_JSON, Fault.EMPTY) or what in ("bad UTF-8 outside strings", "deep and cut off"):
        # Where no JSON stands nobody can say where the next event begins.
        with pytest.raises(Unreadable):
            assert not all(map(decode_event, split_message(batch)))
        return
    first, spoiled, last = split_message(batch)
    assert decode_event(first)[0].id == "e-0"
    assert fault_of(spoiled) is fault
    assert decode_event(last)[0].id == "e-2"


def test_the_fault_says_where_without_quoting_what_was_sent() -> None:
    for raw, where in (
        (event({"quantity": "zwei"}), "$.data.quantity"),
        (event({"order": "张三 o"}), "data.order"),
        (event({"member": "zhang.san"}), "data.member"),
        (event({"payment": {**PAYMENT, "paid_at": "zhangsan"}}), "data.payment.paid_at"),
        (event(type="groupbuy.order.posted.v1", data_={}).replace(b'"order":"o-1"', b'"lead":"zhangsan"'), "$.data"),
        (event(time="zhangsan"), "time"),
        (event(source="zhang san"), "source"),
    ):
        with pytest.raises(Unreadable) as caught:
            decode_event(raw)
        assert where in str(caught.value.detail)
        assert "zhang" not in str(caught.value)
        assert "张三" not in str(caught.value)
        assert "zwei" not in str(caught.value)


def test_an_unknown_type_is_shown_only_if_it_can_be_one() -> None:
    for shown, sent in (("com.example.order", "com.example.order"), ("type", "张三 is here"), ("type", "13800138000")):
        with pytest.raises(Unreadable) as caught:
            decode_event(event(type=sent))
        assert caught.value.detail == shown


def test_the_depth_that_is_allowed_is_the_same_wherever_the_caller_stands() -> None:
    """Python's own limit depends on the stack: what is decided may not."""
    allowed = with_data("{" + REQUIRED + f',"x":{deep(JSON_MAX_DEPTH - 2)}}}')
    for levels in (31, 200, 850, 900, 940, 980, 1_020, 5_000):
        deeper = with_data("{" + REQUIRED + f',"x":{deep(levels)},"quantity":"wrong"}}')

        def descend(frames: int, raw: bytes = deeper) -> None:
            if frames:
                descend(frames - 1, raw)
                return
            assert fault_of(raw) is Fault.TOO_DEEP
            decode_event(allowed)

        descend(0)
        descend(300)


def test_brackets_in_texts_are_no_depth() -> None:
    decode_event(event({"note": "[" * 500 + '{"\\' * 200}))


def test_an_unknown_field_is_accepted_wherever_it_stands() -> None:
    odd = {"a": [1, 2.5, None, True, {"b": "c"}], "ünïcode": "茶", "big": 10**400, "e": 1e300}
    raw = compact(document({"payment": {**PAYMENT, "note": odd}, **odd}, traceparent="00-4bf92f-01", n=1))
    plain, _ = decode_event(event({"payment": PAYMENT}))
    assert decode_event(raw)[0] == plain
    assert decode_archived(raw) == plain


def test_a_number_of_5000_digits_in_an_unknown_field_is_only_a_field() -> None:
    decode_event(with_data("{" + REQUIRED + f',"x":{"9" * 5_000}}}'))
    decode_event(with_data("{" + REQUIRED + ',"x":1e999999}'))


def test_layout_and_order_of_fields_do_not_matter() -> None:
    straight, at_ns = decode_event(event())
    backwards = dict(reversed(document().items()))
    for raw in (
        json.dumps(document()).encode(),
        json.dumps(document(), indent=4).encode(),
        b"\n " + compact(backwards) + b"\r\n",
        event().replace(b"o-1", b"\\u006f-1"),
        event({"quantity": 1, "strangers": True, "sku": None}),
    ):
        assert decode_event(raw) == (straight, at_ns)


def test_an_event_at_the_limit_is_read() -> None:
    room = EVENT_MAX_BYTES - len(event({"x": ""}))
    decode_event(event({"x": "y" * room}))
    assert fault_of(event({"x": "y" * (room + 1)})) is Fault.EVENT_TOO_LARGE


def test_order_and_payment_numbers_of_11_and_18_digits_are_legal() -> None:
    for number in ("13800138000", "8613800138000", "110101199003078888", "11010519491231002X"):
        raw = event(
            {"order": number, "offer": number, "payment": {**PAYMENT, "payment": number}, "group": number}, id=number
        )
        assert decode_event(raw)[0].id == number


def test_a_market_without_publishers_is_a_market() -> None:
    head = {"specversion": "1.0", "id": "e-1", "source": "s", "time": TIME}
    configured = {**head, "type": "groupbuy.market.configured.v1"}
    decode_event(compact({**configured, "data": {}}))
    for data, fault in (
        ({"publishers": {"shop.a": ["order"]}}, Fault.BAD_ID),
        ({"publishers": {"": ["order"]}}, Fault.BAD_ID),
        ({"publishers": {"shop-a": ["orders"]}}, Fault.WRONG_FIELD),
        ({"publishers": {f"p{i}": [] for i in range(1_001)}}, Fault.WRONG_FIELD),
        ({"offer_defaults": {"labels": ["two words"]}}, Fault.BAD_ID),
        ({"offer_defaults": {"opens_at": "soon"}}, Fault.BAD_TIME),
        ({"timezone": "Asia/Shanghai; DROP"}, Fault.WRONG_FIELD),
        ({"timezone": "UTC\n"}, Fault.BAD_ID),
        ({"clock": "sundial"}, Fault.WRONG_FIELD),
    ):
        assert fault_of(compact({**configured, "data": data})) is fault


def test_a_market_cannot_hide_a_key_in_the_length_of_its_defaults() -> None:
    """`offer_defaults` is written even where it was absent: 20 bytes in which something else could have stood."""
    head = f'{{"specversion":"1.0","type":"groupbuy.market.configured.v1","id":"e","source":"s","time":"{TIME}"'
    for hidden in (',"x":"13800138000--"', ',"x":1,"x":1,"xy":10'):
        assert len(hidden) == len(',"offer_defaults":{}')
        with pytest.raises((Unreadable, NamesAPerson)):
            decode_event(f'{head},"data":{{"clock":"event"{hidden}}}}}'.encode())


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"group_minor": -1}, Fault.WRONG_FIELD),
        ({"leader_minor": -990}, Fault.WRONG_FIELD),
        ({"size": 1}, Fault.WRONG_FIELD),
        ({"size": 1_001}, Fault.WRONG_FIELD),
        ({"group_ttl_s": 0}, Fault.WRONG_FIELD),
        ({"group_ttl_s": 10**15}, Fault.WRONG_FIELD),
        ({"closes_at": "2026-11-24"}, Fault.BAD_TIME),
        ({"stock": -1}, Fault.WRONG_FIELD),
        ({"skus": {}}, Fault.WRONG_FIELD),
        ({"skus": {"two words": 1}}, Fault.BAD_ID),
        ({"skus": {"": 1}}, Fault.BAD_ID),
        ({"skus": {"a": -1}}, Fault.WRONG_FIELD),
        ({"labels": ["green", "not a token"]}, Fault.BAD_ID),
        ({"labels": ["l"] * 33}, Fault.WRONG_FIELD),
        ({"tiers": [{"size": 3}]}, Fault.WRONG_FIELD),
        ({"tiers": [{"size": 3, "price_minor": -5}]}, Fault.WRONG_FIELD),
        ({"tiers": [{"size": 3, "price_minor": 5}] * 21}, Fault.WRONG_FIELD),
        ({"count": "heads"}, Fault.WRONG_FIELD),
    ],
)
def test_a_rule_of_an_offer_that_cannot_be_is_refused(data: dict[str, Any], fault: Fault) -> None:
    head = {"specversion": "1.0", "id": "e-1", "source": "s", "time": TIME, "type": "groupbuy.offer.published.v1"}
    assert fault_of(compact({**head, "data": {"offer": "spring-tea", **data}})) is fault


def test_every_type_says_which_field_it_lacks() -> None:
    for kind in EVENT_TYPES:
        raw = compact({"specversion": "1.0", "type": kind, "id": "e", "source": "s", "time": TIME})
        with pytest.raises(Unreadable) as caught:
            decode_event(raw)
        assert caught.value.fault is Fault.WRONG_FIELD
        assert "`data`" in str(caught.value.detail)


def test_members_are_among_the_identifiers() -> None:
    """Their characters are checked with all identifiers at once."""
    decoded, _ = decode_event(event({"via": "m-2"}))
    assert {*decoded.data.members()} <= {*decoded.data.ids().split("\n")}
    assert ORDER["member"] in decoded.data.members()
