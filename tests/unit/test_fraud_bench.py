"""Labelled traffic: the same for the same seed, readable from files of anybody, judged by what it truly is."""

from pathlib import Path

import msgspec
import pytest

from deploy.cli.main import main
from deploy.cli.output import CommandError
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.zones import pinned_zones
from tests.bench import bench_fraud, fraud_events
from tests.bench.fraud_events import Label
from tests.bench.fraud_traffic import ATTACKS, HONEST, Given, Opened, generate

SMALL = 800


@pytest.fixture(scope="module")
def made() -> list[Opened | Given]:
    """A small town with one attack of each kind."""
    return generate(7, honest=SMALL, attacks=1)


def test_the_same_seed_draws_the_same_traffic_and_another_seed_another(made: list[Opened | Given]) -> None:
    assert generate(7, honest=SMALL, attacks=1) == made
    assert generate(8, honest=SMALL, attacks=1) != made
    assert generate(7, honest=SMALL, attacks=1, held_out=True) != made


def test_every_attack_is_drawn_among_honest_trees_of_many_sizes(made: list[Opened | Given]) -> None:
    given = [one for one in made if isinstance(one, Given)]
    assert {one.label for one in given} == {HONEST, *ATTACKS}
    sizes: dict[str, int] = {}
    for one in given:
        if one.label == HONEST:
            sizes[one.play] = sizes.get(one.play, 0) + 1
    assert min(sizes.values()) == 1 and max(sizes.values()) > 50
    assert [one.at_s for one in made] == sorted(one.at_s for one in made)


def test_traffic_is_judged_through_the_whole_rules(made: list[Opened | Given]) -> None:
    score = bench_fraud.measure(fraud_events.as_events(made), bench_fraud.labels_of(made))
    figures = score.figures()
    assert figures["honest_assists"] >= SMALL and set(figures["caught_share_by_value"]) == set(ATTACKS)
    assert figures["honest_refused_share"] <= 0.005
    assert figures["caught_share_by_value"]["device_farm"] >= 0.95


def test_what_is_written_to_files_is_judged_alike(made: list[Opened | Given], tmp_path: Path) -> None:
    events, labels = tmp_path / "events.ndjson", tmp_path / "labels.tsv"
    fraud_events.write(made, events, labels)
    from_files = bench_fraud.run(events, labels)
    direct = bench_fraud.measure(fraud_events.as_events(made), bench_fraud.labels_of(made)).figures()
    assert from_files == direct


def test_attacks_of_others_are_reported_under_their_own_names() -> None:
    opened = Opened(1_800_000_000, "p1", "owner")
    given = [
        Given(1_800_000_000 + n, f"a{n}", "p1", f"m{n}", None, "ab" * 32, None, None, None, HONEST) for n in range(1, 9)
    ]
    labels = {one.assist: Label("tablet_wall", 500) for one in given}
    figures = bench_fraud.measure(fraud_events.as_events([opened, *given]), labels).figures()
    assert figures["caught_share_by_value"] == {"tablet_wall": 1.0}
    assert figures["honest_assists"] == 0


def test_what_an_attack_wins_weighs_its_assists() -> None:
    score = bench_fraud.Score()
    score.note("ring", "held", 900)
    score.note("ring", "counted", 100)
    score.note("ring", "refused", 0)
    assert score.figures()["caught_share_by_value"] == {"ring": 0.9}


def test_labels_are_lines_with_tabs_or_json_objects(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_text('a1\thonest\na2\tring\t250\n\n{"id": "a3", "label": "burst", "value_minor": 7}\n')
    assert fraud_events.read_labels(path) == {"a1": Label("honest"), "a2": Label("ring", 250), "a3": Label("burst", 7)}


@pytest.mark.parametrize("line", ["a1", '{"id": "a1"}', "a1\tring\tmuch", "{"])
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labels"
    path.write_text(f"a0\thonest\n{line}\n")
    with pytest.raises(CommandError, match="line 2: expected the id of an event, a tab and a label"):
        fraud_events.read_labels(path)


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("[1]\n")
    with pytest.raises(CommandError, match="line 1: expected one CloudEvent"):
        list(fraud_events.read_events(path))


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read"):
        fraud_events.read_labels(tmp_path / "nowhere")


def test_events_without_labels_are_unusable_arguments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["groupbuy", "bench", "fraud", "--events", "e.ndjson"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "together" in capsys.readouterr().err


def test_real_records_that_are_absent_are_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_fraud, "BEIBEI", Path("/nowhere/filled.txt.xz"))
    assert "not in ../shared/data/beibei" in bench_fraud.on_real_records()["skipped"]


def test_a_follower_and_a_snapshot_lead_to_the_same_memory(made: list[Opened | Given]) -> None:
    market = bench_fraud.Market()
    follower = Engine("bench", Facts(bench_fraud.KEY), pinned_zones())
    for place, body in enumerate(fraud_events.as_events(made)):
        for raw in market.feed_raw(body):
            follower.evolve(raw)
        if place % 500 == 0:
            market.engine = Engine.restore("bench", Facts(bench_fraud.KEY), market.engine.snapshot(), pinned_zones())
    assert msgspec.msgpack.decode(follower.snapshot(), strict=False) == msgspec.msgpack.decode(
        market.engine.snapshot(), strict=False
    )
    assert follower.state.standing.book.watches and follower.state.standing.ledge.records
