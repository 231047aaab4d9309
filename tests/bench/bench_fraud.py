"""How well fake assists are told from honest ones, by the market's own rules over labelled traffic, and at what speed.

Every figure counts final states: an assist that was counted and later held, in the light of what came after, is held.
Caught is what is held for review or refused. Wrongly refused is what was refused or voided of the honest; what of
them is held, and so counts nothing until an operator has looked, is a figure of its own.
"""

import gc
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.cli.beibei import BASE_NS, read_records
from events import fair
from events.times import NS_PER_S
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.bench import fraud_events, traffic
from tests.bench.fraud_events import PUBLISHER, Label
from tests.bench.fraud_traffic import ATTACKS, HONEST, Given, Opened, generate

KEY: Final = b"k" * 32
SEEDS: Final = (101, 102, 103)
"""Beside those on which detection was tuned."""
BEIBEI: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "beibei" / "filled-100k.txt.xz"
BEIBEI_TTL_S: Final = 86_400
SPEED_EVENTS: Final = 60_000
STANDING_REASONS: Final = ("member_banned", "member_limited")
DEFAULT_VALUE_MINOR: Final = 100


def run(events: Path | None = None, labels: Path | None = None) -> dict[str, Any]:
    """Measure on the files of others, or on the generator, on real records, and how fast it is."""
    if events is not None and labels is not None:
        return measure(fraud_events.read_events(events), fraud_events.read_labels(labels)).figures()
    tuned, held_out = Score(), Score()
    for seed in SEEDS:
        for score, is_held_out in ((tuned, False), (held_out, True)):
            made = generate(seed, held_out=is_held_out)
            score.add(measure(fraud_events.as_events(made), labels_of(made)))
    return {
        **tuned.figures(),
        "on_variants_held_out": held_out.figures(),
        "on_real_records": on_real_records(),
        "speed": speed(),
    }


def labels_of(made: Iterable[Opened | Given]) -> dict[str, Label]:
    """Return the labels of generated traffic."""
    return {one.assist: Label(one.label) for one in made if isinstance(one, Given)}


class Score:
    """What became of labelled assists."""

    def __init__(self) -> None:
        """Start without any."""
        self.states: dict[str, Counter[str]] = defaultdict(Counter)
        self.values: dict[str, Counter[str]] = defaultdict(Counter)
        self.ruled_out: Counter[str] = Counter()
        """Assists that another rule refused, by label: they say nothing about detection."""

    def note(self, label: str, state: str, value_minor: int) -> None:
        """Count one assist."""
        self.states[label][state] += 1
        self.values[label][state] += value_minor

    def add(self, other: "Score") -> None:
        """Count what another score counted."""
        for label in other.states:
            self.states[label] += other.states[label]
            self.values[label] += other.values[label]
        self.ruled_out += other.ruled_out

    def figures(self) -> dict[str, Any]:
        """Return the shares."""
        honest = self.states[HONEST]
        attacks = sorted(set(self.states) - {HONEST}, key=lambda label: (label not in ATTACKS, label))
        return {
            "honest_assists": honest.total(),
            "honest_refused_share": _share(honest, "refused", "voided"),
            "honest_held_share": _share(honest, "held"),
            "attack_assists": sum(self.states[label].total() for label in attacks),
            "caught_share_by_value": {label: _share(self.values[label], "refused", "held") for label in attacks},
            "doubted_after_close_share": {label: _share(self.states[label], "claimed") for label in attacks},
            "ruled_out": dict(self.ruled_out),
        }


def _share(counts: Counter[str], *states: str) -> float:
    total = counts.total()
    return round(sum(counts[state] for state in states) / total, 4) if total else 0.0


class _Head(msgspec.Struct):
    type: str
    id: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Assist(msgspec.Struct):
    play: str
    assist: str


_head: Final = msgspec.json.Decoder(_Head).decode


class Market:
    """A market with plays in which the time of events counts, fed without a broker."""

    def __init__(self) -> None:
        """Configure it."""
        self.engine = Engine("bench", Facts(KEY), pinned_zones())
        self.seq = 0
        families = ["offer", "order", "group", "refund", "member", "play", "assist", "invitation"]
        self.configuration = {
            "clock": "event",
            "replay_window_s": 30 * 86_400,
            "publishers": {PUBLISHER: families},
            "secret_commitment": fair.secret_commitment(fair.secret_of(KEY)),
        }
        self.is_configured = False

    def feed(self, body: bytes) -> list[dict[str, Any]]:
        """Decide an event; return the decisions, those of due work included."""
        return [decision for raw in self.feed_raw(body) for decision in msgspec.json.decode(raw)["decisions"]]

    def feed_raw(self, body: bytes) -> list[bytes]:
        """Decide an event; return the entries. The first one is preceded by a configuration, unless it is one."""
        head = _head(body)
        family = head.type.split(".")[1]
        if family == "market":
            # The secret behind draws is the benchmark's own, and the time of the events counts.
            document = json.loads(body)
            own = {name: value for name, value in self.configuration.items() if name != "replay_window_s"}
            document["data"] = {**document["data"], **own}
            body, self.is_configured = json.dumps(document).encode(), True
        configured = [] if self.is_configured else self._configure(json.loads(body)["time"])
        return configured + self._process(family, body)

    def _configure(self, at: str) -> list[bytes]:
        self.is_configured = True
        document = {"specversion": "1.0", "type": "groupbuy.market.configured.v1", "id": "market", "source": "/bench"}
        return self._process("market", json.dumps({**document, "time": at, "data": self.configuration}).encode())

    def _process(self, family: str, body: bytes) -> list[bytes]:
        self.seq += 1
        publisher = "operator" if family == "market" else PUBLISHER
        return self.engine.process(Message(seq=self.seq, at=0, publisher=publisher, family=family, body=body))


def measure(events: Iterable[bytes], labels: dict[str, Label]) -> Score:
    """Decide events and return what became of the labelled assists among them."""
    market, states, places = Market(), _States(), {}
    gc.collect()
    for body in events:
        head = _head(body)
        assist = None
        if head.type == "groupbuy.assist.given.v1":
            named = msgspec.json.decode(head.data, type=_Assist)
            assist = (named.play, named.assist)
            places[assist] = head.id
        states.follow(market.feed(body), assist)
    score = Score()
    for assist, event_id in places.items():
        label = labels.get(event_id)
        if label is None:
            continue
        state = states.of.get(assist, "ruled_out")
        if state == "ruled_out":
            score.ruled_out[label.label] += 1
            continue
        score.note(label.label, state, label.value_minor or states.value_minor(assist[0]))
    return score


class _States:
    """The state of each assist as decisions leave it."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], str] = {}
        self._at: dict[tuple[str, int], tuple[str, str]] = {}
        self._values: dict[str, int] = {}

    def value_minor(self, play: str) -> int:
        """Return what one assist is worth in a play."""
        return self._values.get(play, DEFAULT_VALUE_MINOR)

    def follow(self, decisions: list[dict[str, Any]], given: tuple[str, str] | None) -> None:
        """Take decisions in; `given` is the assist that the event gave."""
        for decision in decisions:
            kind = decision["kind"]
            if kind == "play.opened" and "remaining_minor" in decision:
                self._values[decision["play"]] = max(1, decision["remaining_minor"] // decision["helper_limit"])
            elif kind == "refused" and given is not None and decision["reason"] in STANDING_REASONS:
                self.of[given] = "refused"
            elif kind == "assist.doubted":
                self.of[self._at[decision["play"], decision["position"]]] = (
                    "claimed" if decision.get("over") else "held"
                )
            elif kind in ("assist.counted", "assist.held", "assist.refused", "assist.voided"):
                assist = decision["play"], decision["assist"]
                self.of[assist] = kind.split(".")[1]
                self._at[decision["play"], decision["position"]] = assist


def on_real_records() -> dict[str, Any]:
    """Return what becomes of real groups replayed as assists: initiators are helped, participants help."""
    if not BEIBEI.exists():
        return {"skipped": f"{BEIBEI.name} is not in ../shared/data/beibei: the records are not part of the project"}
    labels: dict[str, Label] = {}
    figures = measure(_real_assists(labels), labels).figures()
    names = ("honest_assists", "honest_refused_share", "honest_held_share")
    return {name: figures[name] for name in names}


def _real_assists(labels: dict[str, Label]) -> Iterator[bytes]:
    """Yield a play a record and an assist a participant, line i at second i: the records carry no times."""
    for record in read_records(BEIBEI):
        at_s, play = BASE_NS // NS_PER_S + record.line, f"p{record.line}"
        yield fraud_events.opened(Opened(at_s, play, f"m{record.initiator}", BEIBEI_TTL_S))
        for place, helper in enumerate(record.participants):
            assist = f"a{record.line}-{place}"
            labels[assist] = Label(HONEST)
            yield fraud_events.given(Given(at_s, assist, play, f"m{helper}", None, None, None, None, None, HONEST))


def speed(count: int = SPEED_EVENTS) -> dict[str, Any]:
    """Return what a join and an assist cost, in µs of processor time, offline and in batches of 100."""
    join_us = _cost_us(traffic.configuration(), traffic.offers(), traffic.orders(count), "order")
    configuration = {"publishers": {traffic.PUBLISHER: ["play", "assist"]}}
    configuration["secret_commitment"] = fair.secret_commitment(fair.secret_of(KEY))
    market = traffic.event("market.configured", "market-1", configuration)
    plays, assists = traffic.plays(count // 20), traffic.assists(count, count // 20)
    assist_us = _cost_us(market, plays, assists, "assist")
    return {
        "join_us": round(join_us, 1),
        "assist_us": round(assist_us, 1),
        "assists_per_join": round(join_us / assist_us, 2),
    }


def _cost_us(market: bytes, before: list[bytes], events: list[bytes], family: str) -> float:
    engine = Engine("bench", Facts(KEY), pinned_zones())
    batches = [(family, body) for body in traffic.batches(events, 100)]
    first = "offer" if family == "order" else "play"
    made = [("market", market), *((first, body) for body in traffic.batches(before, 100))]
    for seq, (kind, body) in enumerate(made, 1):
        publisher = "operator" if kind == "market" else traffic.PUBLISHER
        engine.process(Message(seq=seq, at=time.time_ns(), publisher=publisher, family=kind, body=body))
    gc.collect()
    gc.disable()
    begun_s = time.process_time()
    for seq, (kind, body) in enumerate(batches, len(made) + 1):
        engine.process(Message(seq=seq, at=time.time_ns(), publisher=traffic.PUBLISHER, family=kind, body=body))
    spent_s = time.process_time() - begun_s
    gc.enable()
    return spent_s / len(events) * 1e6
