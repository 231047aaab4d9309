"""Labelled traffic as files, and back: events as CloudEvents, one JSON object a line; labels as lines of their own.

    python -m tests.bench.fraud_traffic --seed 7 --events events.ndjson --labels labels.tsv

An events file holds `play.opened` and `assist.given` (and whatever else the market takes, e.g. orders, or its own
`market.configured`) in the order of their `time`, which counts. A labels file names each assist: its CloudEvent `id`,
a tab, a label, and optionally a tab and what the assist is worth in minor units; or the same as JSON objects with `id`,
`label` and `value_minor`. `honest` is honest; any other word is an attack, reported under its own name. Assists
without a label are not judged.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from deploy.cli.output import CommandError
from events.limits import EVENT_MAX_BYTES
from events.times import NS_PER_S, format_time_ns
from tests.bench.fraud_traffic import Given, Opened

PUBLISHER: Final = "bench"
SOURCE: Final = "/bench/fraud"
HELPER_LIMIT: Final = 1_000
SPREAD_MINOR: Final = 100_000
"""What can be cut off the price of a play in all."""


class Label(NamedTuple):
    """What an assist truly is, and what it is worth; None where nobody said."""

    label: str
    value_minor: int | None = None


def event(kind: str, event_id: str, at_s: int, data: dict[str, Any]) -> bytes:
    """Return the bytes of an event."""
    document = {
        "specversion": "1.0",
        "type": f"groupbuy.{kind}.v1",
        "id": event_id,
        "source": SOURCE,
        "time": format_time_ns(at_s * NS_PER_S),
        "data": {name: value for name, value in data.items() if value is not None},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def as_events(traffic: Iterable[Opened | Given]) -> Iterator[bytes]:
    """Yield the events of labelled traffic."""
    for one in traffic:
        yield opened(one) if isinstance(one, Opened) else given(one)


def opened(one: Opened) -> bytes:
    """Return a bargain that a member opens."""
    terms = {"currency": "CNY", "start_minor": 2 * SPREAD_MINOR, "floor_minor": SPREAD_MINOR}
    data = {"play": one.play, "form": "bargain", "member": one.member, "helper_limit": HELPER_LIMIT}
    return event("play.opened", f"open-{one.play}", one.at_s, {**data, "ttl_s": one.ttl_s, "terms": terms})


def given(one: Given) -> bytes:
    """Return an assist with its signals."""
    signals = {
        "device": one.device,
        "network": one.network,
        "account_age_days": one.account_age_days,
        "channel": one.channel,
    }
    known = {name: value for name, value in signals.items() if value is not None}
    data = {"play": one.play, "assist": one.assist, "member": one.helper, "via": one.via, "signals": known or None}
    return event("assist.given", one.assist, one.at_s, data)


def write(traffic: list[Opened | Given], events: Path, labels: Path) -> None:
    """Write labelled traffic as two files."""
    with events.open("wb") as file:
        file.writelines(line + b"\n" for line in as_events(traffic))
    with labels.open("w") as file:
        file.writelines(f"{one.assist}\t{one.label}\n" for one in traffic if isinstance(one, Given))


def read_events(path: Path) -> Iterator[bytes]:
    """Yield the events of a file. Raises CommandError naming the line that is none."""
    for number, line in enumerate(_lines(path), 1):
        body = line.strip()
        if not body:
            continue
        if len(body) > EVENT_MAX_BYTES or not body.startswith(b"{"):
            raise CommandError(f"{path}, line {number}: expected one CloudEvent, a JSON object of at most 32 KiB")
        yield body


def read_labels(path: Path) -> dict[str, Label]:
    """Return the label of each assist by the id of its event. Raises CommandError naming the line that is none."""
    return dict(
        _label(path, number, line.decode().strip()) for number, line in enumerate(_lines(path), 1) if line.strip()
    )


def _label(path: Path, number: int, line: str) -> tuple[str, Label]:
    try:
        if line.startswith("{"):
            fields = json.loads(line)
            value = fields.get("value_minor")
            return str(fields["id"]), Label(str(fields["label"]), None if value is None else int(value))
        event_id, label, *value = line.split("\t")
        return event_id, Label(label, int(value[0]) if value else None)
    except (ValueError, KeyError, IndexError):
        raise CommandError(
            f"{path}, line {number}: expected the id of an event, a tab and a label, or a JSON object with id and label"
        ) from None


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from None
