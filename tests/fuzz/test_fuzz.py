"""Whatever comes: one outcome for every input, a sentence for every file, and nothing changed by what is refused."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.record import BadRecord, decode_record
from services.matcher.domain import gate
from services.matcher.domain.terms import Refusal
from tests.fuzz import rules
from tests.fuzz.files import fuzz_files, targets
from tests.fuzz.rules import Found, FuzzedMarket, all_markets, fuzz, play_market
from tests.fuzz.service import fuzz_service
from tests.ways import interpreted_only

CORPUS = Path(__file__).parent / "corpus"
"""What was found once, in a folder for each thing that is read; the rules' are bodies of intake messages."""


def corpus(of: str) -> list[Path]:
    found = sorted((CORPUS / of).iterdir())
    assert found, f"the corpus of {of} is there"
    return found


def test_ten_thousand_messages_that_nearly_are_events_get_one_outcome_each_and_change_nothing_when_refused() -> None:
    done = fuzz(seed=12, messages=10_000)
    assert done.messages >= 10_000
    assert done.compared > 50, "states were compared around refused input"
    assert len(done.outcomes) > 60, "all families were reached"


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), market=st.integers(0, len(all_markets()) - 1))
def test_no_mutant_that_hypothesis_makes_upsets_the_rules(data: st.DataObject, market: int) -> None:
    told = all_markets()[market]
    place = data.draw(st.integers(0, len(told) - 1))
    fuzzed = FuzzedMarket()
    for event in told[:place]:
        fuzzed.take(*event)

    def pick(options):  # type: ignore[no-untyped-def]
        return data.draw(st.sampled_from(options))

    mutator = rules.Mutator(pick, [event.body for event in told])
    for mutant in rules.mutants(mutator, told[place], pick):
        fuzzed.take(*mutant)
    fuzzed.check()


@pytest.mark.parametrize("path", corpus("message"), ids=lambda path: path.name)
def test_a_message_that_was_found_once_is_decided(path: Path) -> None:
    market = FuzzedMarket()
    for event in all_markets()[0][:40]:
        market.take(*event)
    market.take(market.engine.state.now, "shop-a", "order", path.read_bytes())
    market.check()


def test_changed_files_records_and_notes_are_refused_with_a_sentence_or_read(tmp_path: Path) -> None:
    tally = fuzz_files(seed=3, changes=150, folder=tmp_path)
    for target in {name.rpartition(":")[0] for name in tally}:
        assert tally[f"{target}: refused"] > 50, target


def _found_of(name: str) -> list[Path]:
    folder = CORPUS / name.replace(" ", "-")
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_a_file_that_was_found_once_is_refused_with_a_sentence(tmp_path: Path) -> None:
    by_name = {target.name: target for target in targets(tmp_path)}
    tried = 0
    for name, target in by_name.items():
        for path in _found_of(name):
            assert target.read(path.read_bytes()) is None, path
            tried += 1
    assert tried, "there is a corpus"


def test_a_record_whose_text_is_no_utf8_is_a_bad_record() -> None:
    (found,) = [path for path in corpus("record") if path.name.startswith("no-utf8")]
    with pytest.raises(BadRecord):
        decode_record(found.read_bytes())


@pytest.mark.slow
def test_a_running_stack_outlives_a_storm_of_what_nearly_are_events() -> None:
    tally = fuzz_service(seed=5, events=2_000)
    assert tally["published"] > 1_500
    assert tally["entries"] > tally["published"]


@interpreted_only
def test_a_rule_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("services.matcher.domain.gate.check_time", broken)
    with pytest.raises(Found, match="planted"):
        play_market(3, all_markets())


@interpreted_only
def test_a_refusal_that_changes_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = gate.check_right

    def meddling(state, message, publisher, event):  # type: ignore[no-untyped-def]
        try:
            kept(state, message, publisher, event)
        except Refusal:
            state.counter += 1
            raise

    monkeypatch.setattr(gate, "check_right", meddling)
    monkeypatch.setattr(rules, "LOOK_EVERY", 1)
    with pytest.raises(Found, match=r"counter|another"):
        play_market(3, all_markets())
