"""What looks like a person is refused; pseudonyms, order numbers and identifiers of machines are not."""

import random
import string
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from events.decode import NamesAPerson, decode_event
from events.ids import names_a_person, text_names_a_person
from tests.unit.event_bytes import compact, document, event

PERSONS = [
    "13800138000",
    "19912345678",
    "8613800138000",
    "008613800138000",
    "u13800138000",
    "tel13800138000",
    "user_13800138000",
    "wx-13800138000",
    "13800138000-2",
    "138-0013-8000",
    "138_0013_8000",
    "86-138-0013-8000",
    "110101199003078888",
    "11010519491231002X",
    "11010519491231002x",
    "id110101199003078888",
    "110101-19900307-8888",
]
NOBODY = [
    "m-1",
    "10086",
    "12345678901",
    "23800138000",
    "1380013800",
    "138001380001",
    "110101199013078888",
    "110101199003328888",
    "g1041-0",
    "550e8400-e29b-41d4-a716-446655440000",
    "6ba7b8109dad11d180b400c04fd430c8",
    "deadbeefdeadbeef",
    "-----------",
]
TEXTS = [
    "13800138000",
    "call 13800138000 please",
    "电话：13800138000。",
    "手机13800138000",
    "+86 138 0013 8000",
    "+86-138-0013-8000",
    "０１３８：１３８００１３８０００",
    "110101199003078888",
    "身份证11010519491231002X",
    "zhang.san@example.com",
    "张三@qq.com",
    "mailto:a@b.cn",
    "a+b_c@mail.example.co.uk.",
]
HARMLESS = [
    "spring tea 250 g",
    "2026-11-23T10:00:00.125Z",
    "1795428000125",
    "1795428000125000250",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "550e8400-e29b-41d4-a716-446655440000",
    "groupbuy@1.2.3",
    "@home",
    "a@b",
    "20261123100000123456",
    "https://shop.example/offers/1?size=3",
]


@pytest.mark.parametrize("member", PERSONS)
def test_a_member_that_looks_like_a_person_is_refused(member: str) -> None:
    assert names_a_person(member)
    for field in ("member", "via"):
        with pytest.raises(NamesAPerson) as caught:
            decode_event(event({field: member}))
        assert caught.value.field == f"data.{field}"
        assert caught.value.event.id == "e-1"
        assert caught.value.at_ns == decode_event(event())[1]
        assert member not in str(caught.value)


@pytest.mark.parametrize("member", NOBODY)
def test_a_member_that_could_be_anybody_is_not(member: str) -> None:
    assert not names_a_person(member)
    decode_event(event({"member": member}))


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_names_a_person_is_refused_wherever_it_stands(text: str) -> None:
    assert text_names_a_person(text)
    payment = {"payment": "p-1", "amount_minor": 1, "currency": "CNY"}
    for raw, field in (
        (event({"note": text}), "data.note"),
        (event({"note": ["x", {"y": text}]}), "data.note"),
        (event({"note": {text: 1}}), "data.note"),
        (event({"payment": {**payment, "payer": text}}), "data.payment.payer"),
        (event(subject=text), "subject"),
        (event(dataschema=text), "dataschema"),
        (event(traceparent=text), "traceparent"),
    ):
        with pytest.raises(NamesAPerson) as caught:
            decode_event(raw)
        assert caught.value.field == field
        assert text not in str(caught.value)
    with pytest.raises(NamesAPerson) as caught:
        decode_event(event({text: "x"}))
    assert text not in caught.value.field


@pytest.mark.parametrize("text", HARMLESS)
def test_a_text_that_names_nobody_is_kept(text: str) -> None:
    assert not text_names_a_person(text)
    decode_event(event({"note": text, text: "x"}, subject=text))


def test_a_phone_number_is_one_as_a_number_too() -> None:
    with pytest.raises(NamesAPerson):
        decode_event(event({"phone": 13800138000}))
    with pytest.raises(NamesAPerson):
        decode_event(compact(document()).replace(b'"order"', b'"phone":13800138000,"x":"\\u0061","order"'))
    decode_event(event({"weight": 138, "flag": True, "ms": 1795428000125}))


@pytest.mark.parametrize("source", ["//shop/13800138000", "mailto:zhang@example.com", "tel:+8613800138000"])
def test_a_source_that_names_a_person_is_refused(source: str) -> None:
    with pytest.raises(NamesAPerson) as caught:
        decode_event(event(source=source))
    assert caught.value.field == "source"


def test_a_publisher_that_looks_like_a_person_is_refused() -> None:
    with pytest.raises(NamesAPerson):
        decode_event(event(publisher="13800138000"))
    named: list[dict[str, Any]] = [{"publishers": {"13800138000": []}}, {"timezone": "13800138000"}]
    for data in named:
        head = {**document(), "type": "groupbuy.market.configured.v1"}
        with pytest.raises(NamesAPerson):
            decode_event(compact({**head, "data": data}))


def test_names_of_a_person_in_tiers_and_offer_defaults_are_found() -> None:
    head = {**document(), "type": "groupbuy.offer.published.v1"}
    tiers = [{"size": 3, "price_minor": 5}, {"size": 4, "price_minor": 4, "note": "a@example.com"}]
    with pytest.raises(NamesAPerson) as caught:
        decode_event(compact({**head, "data": {"offer": "f-1", "tiers": tiers}}))
    assert caught.value.field == "data.tiers.note"
    head = {**document(), "type": "groupbuy.market.configured.v1"}
    with pytest.raises(NamesAPerson) as caught:
        decode_event(compact({**head, "data": {"offer_defaults": {"contact": "13800138000"}}}))
    assert caught.value.field == "data.offer_defaults.contact"


def test_a_long_text_costs_no_more_than_its_length() -> None:
    """Not measured: with quadratic work this test would take minutes."""
    for unit in ("a", "1", "a@", "a.", "@a.", "138", "1 ", "a" * 63 + "."):
        for _ in range(20):
            text_names_a_person((unit * 30_000)[:30_000] + "@")


def _uuids(seeded: random.Random) -> Iterator[str]:
    while True:
        yield str(uuid.UUID(int=seeded.getrandbits(128), version=4))


def _hexadecimal(digits: int) -> Callable[[random.Random], Iterator[str]]:
    def made(seeded: random.Random) -> Iterator[str]:
        while True:
            yield f"{seeded.getrandbits(4 * digits):0{digits}x}"

    return made


def _base62(characters: int) -> Callable[[random.Random], Iterator[str]]:
    def made(seeded: random.Random) -> Iterator[str]:
        while True:
            yield "".join(seeded.choices(string.ascii_letters + string.digits, k=characters))

    return made


@pytest.mark.parametrize(
    "pseudonyms",
    [_uuids, *(_hexadecimal(digits) for digits in (8, 12, 16, 20, 24, 32)), *(_base62(size) for size in (11, 16, 22))],
    ids=["uuid", "hex8", "hex12", "hex16", "hex20", "hex24", "hex32", "base62-11", "base62-16", "base62-22"],
)
def test_random_pseudonyms_are_never_taken_for_persons(pseudonyms: Any) -> None:
    seeded = random.Random(20261123)
    made = pseudonyms(seeded)
    for _ in range(100_000):
        pseudonym = next(made)
        assert not names_a_person(pseudonym)
        assert not names_a_person(pseudonym.upper())


def test_machine_identifiers_in_texts_are_never_taken_for_persons() -> None:
    seeded = random.Random(7)
    for made in (_uuids(seeded), _hexadecimal(32)(seeded), _base62(22)(seeded)):
        for _ in range(20_000):
            assert not text_names_a_person(f"trace {next(made)} of shop")
