"""Everybody is told why, in English and in Chinese."""

import re

import pytest

from events.reason_sentences import SENTENCES, sentence
from events.reasons import Fault, Reason

CODES = [*Reason, *Fault]
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("code", CODES)
def test_a_reason_has_one_sentence_in_each_language(code: Reason | Fault) -> None:
    english, chinese = SENTENCES[code.value]
    assert re.fullmatch(r"[A-Z][^\n]*[^\s.]\.", english)
    assert not CHINESE.search(english)
    # One sentence: a period inside is a number's or a standard's, never followed by a new beginning.
    assert not re.search(r"[.!?] [A-Z]", english)
    assert CHINESE.search(chinese)
    assert chinese.endswith("。")
    assert chinese.count("。") == 1
    assert (sentence(code), sentence(code, "zh"), sentence(code, "zh-CN")) == (english, chinese, chinese)


def test_no_sentence_stands_for_what_is_no_reason() -> None:
    assert SENTENCES.keys() == {code.value for code in CODES}


def test_no_code_stands_for_two_things() -> None:
    assert len({code.value for code in CODES}) == len(CODES)
    assert len({pair[0] for pair in SENTENCES.values()}) == len(SENTENCES)


def test_a_code_is_its_name_in_small_letters() -> None:
    assert all(code.value == code.name.lower() for code in CODES)
