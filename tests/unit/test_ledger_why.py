"""`ledger why`: every decision and refusal has its explanation, and a letter tells a member no more than is its own."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest

from deploy.cli.main import main
from events.decisions import AnyDecision
from events.money import amount
from events.notice import SUPPRESSED, NoticeData, NoticeFact, encode_fact
from events.reasons import Fault, Reason
from events.record import parse_entry_id
from events.times import format_time_ns
from services.ledger.explaining.table import DECISIONS, REASONS, explanation_of
from services.ledger.explaining.words import LANGUAGES, Explanation
from services.ledger.faults import NotFound
from services.ledger.notices import Arrived, archive_notices
from services.ledger.why import Why, why
from tests.builders import (
    T0,
    S,
    assist,
    bargain,
    blocked,
    cancelled,
    joined,
    offer,
    paid,
    play_market,
    posted,
    ticked,
    voided,
)
from tests.contract.example_records import DECISIONS as EXAMPLES
from tests.dispute_market import decided
from tests.ledger_market import Story
from tests.ledger_records import open_store

KINDS: dict[str, Any] = {str(kind.__struct_config__.tag): kind for kind in AnyDecision.__args__}
THRESHOLDS = ("threshold", "score", "weight", "count", "window", "limit")
"""How fields of a decision about conduct are called that would tell a cheat how far it may go."""
CONDUCT = ("member.warned", "member.limited", "member.banned", "member.reinstated", "assist.held", "assist.voided")


def causes_of(kind: Any) -> tuple[str, ...]:
    """The causes that a kind of decision may have."""
    hint = get_type_hints(kind).get("cause")
    return get_args(hint) if get_origin(hint) is Literal else ()


# The table


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_decision_is_explained_in_both_languages(kind: str) -> None:
    for key in (kind, *(f"{kind}/{cause}" for cause in causes_of(KINDS[kind]))):
        assert key in DECISIONS, f"add {key!r} to its family's module in services/ledger/explaining"


@pytest.mark.parametrize("reason", [*map(str, Reason), *map(str, Fault)])
def test_every_reason_and_fault_is_explained_in_both_languages(reason: str) -> None:
    assert reason in REASONS, f"add {reason!r} to its family's module in services/ledger/explaining"


@pytest.mark.parametrize("key", sorted({**DECISIONS, **REASONS}))
def test_an_explanation_says_the_same_in_both_languages(key: str) -> None:
    told: Explanation = {**DECISIONS, **REASONS}[key]
    assert told.rule
    assert told.en.endswith(".")
    assert told.zh.endswith("。")
    assert told.zh != told.en
    assert any("\u4e00" <= character <= "\u9fff" for character in told.zh)
    assert _fields(told.en) == _fields(told.zh)


@pytest.mark.parametrize("key", sorted(DECISIONS))
def test_what_is_filled_in_is_a_field_of_the_decision(key: str) -> None:
    kind = KINDS.get(key.split("/", maxsplit=1)[0])
    if kind is not None:
        assert _fields(DECISIONS[key].en) <= set(kind.__struct_fields__)


@pytest.mark.parametrize("key", sorted(key for key in DECISIONS if key.split("/")[0] in CONDUCT))
def test_what_explains_a_decision_about_conduct_prints_no_threshold(key: str) -> None:
    assert not any(word in field for field in _fields(DECISIONS[key].en) for word in THRESHOLDS)


@pytest.mark.parametrize("decision", EXAMPLES, ids=lambda decision: str(decision.__struct_config__.tag))
def test_an_explanation_is_filled_in_for_every_example(decision: Any) -> None:
    for language in LANGUAGES:
        text = explanation_of(decision).text(language, msgspec.structs.asdict(decision))
        assert "{" not in text
        assert text.strip()


def test_what_no_table_has_is_explained_in_general() -> None:
    class Unheard(msgspec.Struct, tag_field="kind", tag="unheard.of"):
        pass

    told = explanation_of(Unheard())  # type: ignore[arg-type]
    assert told.en == "It was decided: unheard.of."
    assert told not in DECISIONS.values()


def test_words_that_stand_in_a_decision_are_told_in_the_letters_language() -> None:
    told = DECISIONS["refund.closed"]
    assert told.text("zh", {"refund": "r-1", "status": "settled"}) == "支付方对退款 r-1 的答复：已退款。"
    assert told.text("en", {"refund": "r-1", "status": "settled"}).endswith("refund r-1: settled.")


def test_money_is_told_as_people_read_it() -> None:
    assert (amount(8_000, "CNY"), amount(5, "CNY"), amount(80, "JPY")) == ("80.00 CNY", "0.05 CNY", "80 JPY")


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


# An entry


def asked(folder: Path, story: Story, entry: str, member: str | None = None) -> Why:
    with open_store(folder) as store:
        store.append(story.records())
        return why(store, parse_entry_id(entry), member)


def filled() -> Story:
    """Two friends fill a group, and then one cancels (entry 7)."""
    story = Story(offer()).at(10).tell(posted("o1", "ann"), joined("o2", "bob"))
    story.at(20).tell(paid("o1", payment="p1"), paid("o2", payment="p2"))
    return story.at(30).tell(cancelled("o2"))


def test_an_entry_says_who_was_told_of_it_and_who_was_not_and_why(tmp_path: Path) -> None:
    facts = [
        NoticeFact(
            type=SUPPRESSED,
            id=f"{digit * 32}.1",
            source="/groupbuy/main/notifier",
            time="2026-03-02T12:00:00Z",
            data=NoticeData(
                at_ns=1,
                notice=digit * 32,
                decision="6.0.0/1",
                record=1,
                as_of=1,
                member=member,
                purpose="result",
                kind="filled",
                channel="email",
                reason="no_address",
            ),
        )
        for digit, member in (("a", "ann"), ("b", "bob"))
    ]
    with open_store(tmp_path) as store:
        store.append(filled().records())
        archive_notices(store, "S", [Arrived(at + 1, encode_fact(fact)) for at, fact in enumerate(facts)])
        everybody = why(store, parse_entry_id("6.0.0")).told
        of_ann = why(store, parse_entry_id("6.0.0"), "ann").told
        of_another = why(store, parse_entry_id("7.0.0")).told
    assert sum("no address of the member was known" in sentence for sentence in everybody) == 2
    assert any("to ann by email was not sent" in sentence for sentence in of_ann)
    assert not any("bob" in sentence for sentence in of_ann)
    assert len(of_another) == 1 and of_another[0].startswith("nothing was told")


def test_an_entry_names_rule_facts_and_what_led_to_it(tmp_path: Path) -> None:
    found = asked(tmp_path, filled(), "7.0.0")
    assert [(each.kind, each.rule) for each in found.decisions] == [
        ("seat.released", "6, order.cancelled"),
        ("refund.due", "6, order.cancelled"),
    ]
    assert [each.entry for each in found.led_by] == ["3.0.0", "4.0.0", "6.0.0"]
    assert found.rule_version == 1
    assert found.member == "bob"


def test_claimed_and_accepted_time_stand_beside_each_other(tmp_path: Path) -> None:
    story = Story(offer()).at(10).tell(posted("o1", "ann", time="2026-01-01T00:00:04Z"))
    found = asked(tmp_path, story, "3")
    assert (found.claimed_at_ns, found.accepted_at_ns) == (T0 + 4 * S, T0 + 10 * S)
    claimed, accepted = format_time_ns(T0 + 4 * S), format_time_ns(T0 + 10 * S)
    assert f"happened at {claimed}; it was accepted at {accepted}" in found.letter["en"]
    assert claimed in found.letter["zh"]


def test_a_letter_names_no_other_member_and_no_other_order(tmp_path: Path) -> None:
    found = asked(tmp_path, filled(), "6.0.0", "bob")
    for letter in found.letter.values():
        assert "o2" in letter
        assert "80.00 CNY" in letter
        assert "ann" not in letter
        assert "o1" not in letter


def test_who_is_kept_apart_from_whom_is_not_told(tmp_path: Path) -> None:
    story = Story(offer()).tell(posted("o1", "ann"), blocked("ann", "bob"), joined("o2", "bob", group="g3-0"))
    found = asked(tmp_path, story, "5.0.0")
    assert found.decisions[0].rule == "4.4 and 8"
    assert "ann" not in found.letter["en"]
    # The operator sees why.
    assert any(each.entry == "4.0.0" for each in found.led_by)


def test_work_by_deadline_says_that_nobody_had_to_do_anything(tmp_path: Path) -> None:
    story = Story(offer(hold_s=60)).tell(posted("o1", "ann")).at(60).tell(ticked())
    found = asked(tmp_path, story, "4.0.0")
    assert found.claimed_at is None
    assert "no payment had come when the time for it was over" in found.letter["en"]
    assert "its time had come" in found.letter["en"]
    assert "时间已到" in found.letter["zh"]
    assert [each.entry for each in found.led_by] == ["3.0.0"]


def test_a_repetition_leads_to_the_original(tmp_path: Path) -> None:
    event = posted("o1", "ann", id="e-again", time="2026-01-01T00:00:00Z")
    found = asked(tmp_path, Story(offer()).tell(event, event), "4.0.0")
    assert [each.entry for each in found.led_by] == ["3.0.0"]
    assert "entry 3.0.0" in found.letter["en"]


def test_what_does_not_exist_is_not_explained(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no entry 99\.0\.0"):
        asked(tmp_path, filled(), "99")


# At the command line

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    with open_store(tmp_path) as store:
        store.append(filled().records())

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["groupbuy", "ledger", "why", *arguments, "--data", str(tmp_path)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert "Traceback" not in written.out + written.err
        return int(ended.value.code or 0), written.out, written.err

    return command


def test_an_entry_is_explained_at_the_command_line(run: Run) -> None:
    status, out, _ = run("7")
    assert status == 0
    assert "rule 6, order.cancelled:" in out
    assert "why somebody was told, or was not\n  nothing was told" in out
    assert "To member bob:" in out
    status, out, _ = run("7", "--letter", "--lang", "zh")
    assert out.startswith("团 g3-0 中的订单 o2 已取消。")
    status, out, _ = run("7", "--json")
    assert set(msgspec.json.decode(out)["letter"]) == {"en", "zh"}


@pytest.mark.parametrize(
    ("arguments", "status"), [(("x",), 2), (("99",), 1), (("7", "--for", "a b"), 2), (("7", "--lang", "fr"), 2)]
)
def test_a_question_that_cannot_be_answered_gets_a_sentence(arguments: tuple[str, ...], status: int, run: Run) -> None:
    ended, _, err = run(*arguments)
    assert ended == status
    assert err


def test_a_sanction_is_explained_by_its_ground_and_led_to_by_its_evidence(tmp_path: Path) -> None:
    events = (bargain(), assist(member="h-1", assist="a-1"), voided("b1", "a-1", "h-1"))
    with open_store(tmp_path) as store:
        store.append(
            decided(*events, configured=play_market(standing={"warn_at": 5, "limit_at": 900, "ban_at": 1_000}))
        )
        found = why(store, (4, 0, 1))
    assert [each.kind for each in found.decisions] == ["member.warned"]
    assert [(each.entry, each.about) for each in found.led_by] == [("4.0.0", "evidence")]
    assert "followed from what had been decided before" in found.source
    for language, ground, course in (
        ("en", "help was found not to count", "by hand"),
        ("zh", "助力经审核无效", "人工"),
    ):
        letter = found.letter[language]
        assert ground in letter and course in letter
        assert "strike" not in letter and "5 " not in letter.partition("until")[0]
