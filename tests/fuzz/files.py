"""Files, records and notes with changes in them: refused with a sentence, or read; never an exception of another kind.

What is signed or hashed must be refused with any change that makes it say something else.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from deploy.cli.event_file import check_lines
from deploy.cli.output import CommandError
from events.link import BadLink, Link, check_link, link_key, sign_link
from events.record import BadRecord, decode_record
from services.bus.config import ConfigError, ServiceConfig, load_config
from services.bus.timezones import names
from services.ledger.checkpoint import CheckpointError, open_checkpoint
from services.ledger.dossier.check import verify_dossier
from services.ledger.faults import LedgerBroken
from services.ledger.lean import decode_lean_record
from services.ledger.note import COSIGNATURE, SigningKey
from services.ledger.tree import CHECKPOINT_META
from services.ledger.witness.memory import WitnessMemory
from services.ledger.witness.request import encode_request
from services.ledger.witness.witness import Witness
from services.matcher.log import Standing
from services.matcher.snapshots import STATE_SCHEMA, Snapshot, SnapshotStore
from services.notifier.settings import load_settings, settings_file
from tests.builders import MARKET_KEY
from tests.dossier_tampering import disputed_ledger, made
from tests.fuzz.mutating import Mutator
from tests.fuzz.rules import Found
from tests.histories import histories, read_history
from tests.ledger_records import MARKET, open_store

NOW: Final = "2026-11-26T10:00:00Z"
CONFIGURATION: Final = b"""[market]
quiet_hours = "22:00-08:00"
timezone = "Asia/Shanghai"
urgent = ["refund_due"]
language = "zh"
digest_window_s = 60

[http]
port = 8090

[[webhooks]]
name = "shop-a"
url = "https://shop-a.example/groupbuy"
secret_files = ["shop-a.secret"]
publishers = ["shop-a"]
purposes = ["result", "operator_alert"]

[email]
host = "mail.example"
sender = "groupbuy@shop-a.example"
username = "groupbuy"
password_file = "mail.secret"
"""


@dataclass(frozen=True)
class Target:
    """Something that is read. `read` returns what it means, or None where it was refused with a sentence.

    With `whole` any change must be refused, unless what is read means the same as before.
    """

    name: str
    originals: tuple[bytes, ...]
    read: Callable[[bytes], object | None]
    whole: bool = False


def targets(folder: Path) -> list[Target]:
    """Return everything that is read, made anew in `folder`."""
    data = folder / "data"
    key = disputed_ledger(data)
    with open_store(data, read_only=True) as store:
        checkpoint = (store.meta(CHECKPOINT_META) or "").encode()
    return [
        *_records(),
        _service_configuration(folder),
        _notifier_configuration(folder),
        _snapshot(folder),
        Target("checkpoint", (checkpoint,), lambda raw: _checkpoint(raw, key), whole=True),
        _witness(folder, key, checkpoint),
        Target("dossier", (made(data, key),), lambda raw: _dossier(raw, key), whole=True),
        _link(),
        _event_file(),
    ]


def fuzz_files(seed: int, changes: int, folder: Path) -> Counter[str]:
    """Read `changes` changed copies of each target; return how many were refused and read. Raises Found."""
    tally: Counter[str] = Counter()
    for target in targets(folder):
        chance = random.Random(f"{seed} {target.name}")
        mutator = Mutator(chance.choice, target.originals)
        meant = {original: target.read(original) for original in target.originals}
        for original, meaning in meant.items():
            if meaning is None:
                raise Found(f"{target.name}: what is right was refused: {original[:500]!r}")
        for _ in range(changes):
            original = chance.choice(target.originals)
            tally[f"{target.name}: {_try(target, mutator, original, meant[original])}"] += 1
    return tally


def _try(target: Target, mutator: Mutator, original: bytes, meaning: object) -> str:
    change = mutator.pick((mutator.any_bytes, mutator.any_bytes, mutator.document))
    while (changed := change(original)) == original:
        pass
    try:
        found = target.read(changed)
    except Exception as error:
        raise Found(f"{target.name}: {type(error).__name__}: {error}, for {changed[:2_000]!r}") from error
    if target.whole and found is not None and found != meaning:
        raise Found(f"{target.name}: a change was not noticed: {changed[:2_000]!r}")
    return "refused" if found is None else "read"


def _records() -> list[Target]:
    bodies = tuple(stored.body for path in histories() for stored in read_history(path)[:20])

    def for_services(raw: bytes) -> object | None:
        try:
            return decode_record(raw)
        except BadRecord:
            return None

    def for_the_ledger(raw: bytes) -> object | None:
        try:
            return decode_lean_record(raw, "record 1")
        except LedgerBroken:
            return None

    return [Target("record", bodies, for_services), Target("record for the ledger", bodies, for_the_ledger)]


def _service_configuration(folder: Path) -> Target:
    config = ServiceConfig(
        service="gateway",
        market="main",
        nats_url="nats://127.0.0.1:4222",
        user="gateway",
        nkey_seed_file=folder / "gateway.nk",
        data_dir=folder,
        http_port=8080,
        peers={"matcher": "http://127.0.0.1:8081"},
    )
    raw = msgspec.json.format(msgspec.json.encode(config, enc_hook=str), indent=1)

    def read(changed: bytes) -> object | None:
        (folder / "service.json").write_bytes(changed)
        try:
            return load_config(folder / "service.json")
        except ConfigError:
            return None

    return Target("configuration of a service", (raw,), read)


def _notifier_configuration(folder: Path) -> Target:
    place = folder / "notifier"
    place.mkdir()

    def read(changed: bytes) -> object | None:
        settings_file(place).write_bytes(changed)
        try:
            return load_settings(place, names())
        except ConfigError:
            return None

    return Target("configuration of the notifier", (CONFIGURATION,), read)


def _snapshot(folder: Path) -> Target:
    store = SnapshotStore(folder / "snapshots", "main")
    snapshot = Snapshot(
        schema=STATE_SCHEMA, market="main", journal="j" * 32, standing=Standing(seq=7, hash="ab" * 32), state=b"state"
    )
    store.save(snapshot)
    (file,) = (folder / "snapshots").iterdir()

    def read(changed: bytes) -> object | None:
        file.write_bytes(changed)
        loaded = store.load("j" * 32)
        return loaded[0] if loaded else None

    return Target("snapshot", (file.read_bytes(),), read, whole=True)


def _checkpoint(raw: bytes, key: SigningKey) -> object | None:
    try:
        return open_checkpoint(raw, key.verifier)
    except CheckpointError:
        return None


def _witness(folder: Path, key: SigningKey, checkpoint: bytes) -> Target:
    """A witness that starts anew for each request: it cosigns what the log has signed, and nothing else."""
    request = encode_request(0, [], checkpoint.decode())
    own = SigningKey("witness.example", bytes(32), COSIGNATURE)
    signed = _checkpoint(checkpoint, key)

    def read(changed: bytes) -> object | None:
        memory = WitnessMemory(folder / "witness")
        for file in memory.directory.iterdir():
            file.unlink()
        answer = Witness(own, [key.verifier], memory, now_s=lambda: 1.0).add_checkpoint(changed)
        if answer.status != 200:
            return None
        kept = memory.checkpoint(key.name)
        return None if kept is None else _checkpoint(kept, key)

    assert signed is not None, "the ledger signs its checkpoint"
    return Target("request to a witness", (request,), read, whole=True)


def _dossier(raw: bytes, key: SigningKey) -> object | None:
    report = verify_dossier(raw, key.verifier)
    return report if report.sound else None


def _link() -> Target:
    key = link_key(MARKET_KEY)
    token = sign_link(key, Link(MARKET, "i-1", "m-1", "group", "g1-0", 2_000_000_000)).encode()

    def read(changed: bytes) -> object | None:
        try:
            return check_link(key, MARKET, changed.decode("utf-8", "replace"), 1_900_000_000)
        except BadLink:
            return None

    return Target("share link", (token,), read, whole=True)


def _event_file() -> Target:
    examples = Path(__file__).resolve().parents[2] / "examples"

    def read(changed: bytes) -> object | None:
        try:
            return check_lines(changed.splitlines(), NOW)
        except CommandError:
            return None

    return Target("file of events", tuple(path.read_bytes() for path in sorted(examples.glob("*.ndjson"))), read)
