"""Texts: exact amounts, two languages, and templates that are refused at start instead of failing at sending."""

from pathlib import Path

import pytest

from services.notifier.policy.purposes import Kind
from services.notifier.texts.fields import SAMPLES, samples_of
from services.notifier.texts.money import money
from services.notifier.texts.texts import LANGUAGES, BadTemplate, Texts

FILLED = SAMPLES[Kind.FILLED]


def folder_with(tmp_path: Path, **files: str) -> Path:
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return tmp_path


def test_a_result_says_what_was_saved_and_what_remains_exactly() -> None:
    fields = {**FILLED, "price_minor": 123_456_789_01, "saved_minor": 1, "remains_minor": 10, "currency": "CNY"}
    english, chinese = (Texts().render(Kind.FILLED, fields, "m-1", language).body for language in LANGUAGES)
    assert "You saved 0.01 CNY." in english and "Still to be paid: 0.10 CNY." in english
    assert "12345678901.00" not in english and "123456789.01 CNY" in english
    assert "您节省了 0.01元。" in chinese and "尚需支付：0.10元。" in chinese


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (0, "CNY", "0.00 CNY"),
        (-5, "USD", "-0.05 USD"),
        (1_000, "JPY", "1000 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (10**12, "CNY", "10000000000.00 CNY"),
    ],
)
def test_amounts_are_written_with_the_decimals_of_their_currency(amount_minor: int, currency: str, text: str) -> None:
    assert money(amount_minor, currency) == text


def test_every_kind_has_its_text_in_every_language_and_none_is_left_in_english() -> None:
    texts = Texts()
    for kind in Kind:
        for sample in samples_of(kind):
            english, chinese = (texts.render(kind, sample, "m-1", language) for language in LANGUAGES)
            assert english.title and chinese.title and english.title != chinese.title
            if kind is not Kind.DIGEST:
                assert not any(line in chinese.body.splitlines() for line in english.body.splitlines() if line)


def test_a_language_that_there_is_not_becomes_the_markets() -> None:
    texts = Texts(language="zh")
    assert [texts.language_of(wanted) for wanted in ("en-GB", "zh_TW", "fr", "")] == ["en", "zh", "zh", "zh"]


def test_a_market_puts_its_own_template_in_place_and_keeps_the_others(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path, filled__txt="Hurray, {{ offer }}\n{{ saved_minor }}", filled__zh__txt="好 {{ offer }}"
    )
    texts = Texts(folder)
    assert texts.render(Kind.FILLED, FILLED, "m-1", "en").title == "Hurray, sample-tea"
    assert texts.render(Kind.FILLED, FILLED, "m-1", "zh").title == "好 sample-tea"
    assert texts.render(Kind.EXPIRED, SAMPLES[Kind.EXPIRED], "m-1", "zh").title == "您参加的 sample-tea 拼团未能成团"


def test_a_market_adds_to_the_translations(tmp_path: Path) -> None:
    catalogue = 'msgid "Hurray %(offer)s"\nmsgstr ""\n"太好了 "\n"%(offer)s"\n'
    folder = folder_with(tmp_path, filled__txt="{% trans %}Hurray {{ offer }}{% endtrans %}", zh__po=catalogue)
    assert Texts(folder).render(Kind.FILLED, FILLED, "m-1", "zh").title == "太好了 sample-tea"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("Title\n\n{{ savings }}", r"filled\.txt, line 3: names the field 'savings', which a notice 'filled' does not"),
        ("Title\n{{ offer.name.first }}", r"filled\.txt, line 2: names what is not there"),
        ("Title\n{% if offer %}", r"filled\.txt, line 2: .*[Uu]nexpected end"),
        ("Title\n{{ offer|shout }}", r"filled\.txt, line 2: No filter named 'shout'"),
        ("Title\n{{ saved_minor|money(currency) }}", r"filled\.txt, line 2: TypeError: None is no amount"),
        ("\n \n", "the first line, which is the title, is empty"),
        ("Title\n{{ offer.__class__.__mro__ }}", r"filled\.txt, line 2: .*unsafe"),
        ("{{ offer * 9999 }}", "longer than 200 characters of title"),
    ],
)
def test_a_template_that_would_fail_is_refused_at_start_with_its_line(
    tmp_path: Path, source: str, complaint: str
) -> None:
    with pytest.raises(BadTemplate, match=complaint):
        Texts(folder_with(tmp_path, filled__txt=source))


def test_a_translation_that_names_what_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    catalogue = 'msgid "Your group for %(offer)s is full"\nmsgstr "%(product)s"\n'
    with pytest.raises(BadTemplate, match=r"filled\.txt, line 1: KeyError: 'product'"):
        Texts(folder_with(tmp_path, zh__po=catalogue))


def test_a_catalogue_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match=r"zh\.po, line 2: expected msgid"):
        Texts(folder_with(tmp_path, zh__po='msgid "a"\nhello\n'))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="is not there"):
        Texts(tmp_path / "nowhere")


def test_nothing_in_a_digest_is_lost() -> None:
    items = [{"title": f"Title {at}", "body": f"Body {at}\n"} for at in range(50)]
    text = Texts().render(Kind.DIGEST, {"items": items, "count": 50}, "m-1", "en")
    assert text.title == "50 messages for you"
    assert all(f"Title {at}\n" in text.body and f"Body {at}\n" in text.body for at in range(50))
