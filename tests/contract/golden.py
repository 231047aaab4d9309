"""The golden corpus: exact bytes of everything that was ever published, in `events/golden/`.

    python -m tests.contract.golden    adds what is missing and its SHA-256 to the manifest

A file that exists is never changed: what was once published must be read for ever. A new version of a type is
a new type with a new file. Vectors are made from the structs' own functions when they are added, and checked by
independent arithmetic in the tests.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from events import fair
from events import leaf as leaves
from events.record import decode_entry_bytes, encode_entry, encode_record, hash_bytes
from events.refund import refund_id
from tests.contract.example_events import ADDED, BARE, FULL, GROWN, GROWN_AGAIN, name_of
from tests.contract.example_records import DECISIONS, ENTRIES, GROWN_DECISIONS, MARKET_KEY, RECORD, kind_of

GOLDEN: Final = Path(__file__).resolve().parents[2] / "events" / "golden"
MANIFEST: Final = "SHA256SUMS"


def corpus() -> dict[str, bytes]:
    """Return the bytes that this version writes for every example, by path in the corpus."""
    events = {f"events/{name_of(event)}.json": msgspec.json.encode(event) for event in FULL}
    bare = {f"events/{name_of(event)}.bare.json": msgspec.json.encode(event) for event in BARE}
    added = {f"events/{name_of(event)}.{about}.json": msgspec.json.encode(event) for about, event in ADDED.items()}
    grown = {f"events/{name_of(event)}.2.json": msgspec.json.encode(event) for event in GROWN}
    grown |= {f"events/{name_of(event)}.3.json": msgspec.json.encode(event) for event in GROWN_AGAIN}
    decisions = {f"decisions/{kind_of(decision)}.json": msgspec.json.encode(decision) for decision in DECISIONS}
    grown |= {f"decisions/{kind_of(decision)}.2.json": msgspec.json.encode(decision) for decision in GROWN_DECISIONS}
    entries = {f"entries/{name}.json": encode_entry(entry) for name, entry in ENTRIES.items()}
    leaf_files = {f"leaves/{name}.hex": leaf_of(raw).hex().encode() for name, raw in by_stem(entries).items()}
    vectors = (json.dumps(_vectors(by_stem(entries)), indent=1) + "\n").encode()
    return {
        **events,
        **bare,
        **added,
        **grown,
        **decisions,
        **entries,
        "record.json": encode_record(RECORD),
        **leaf_files,
        "vectors.json": vectors,
        "fair.json": (json.dumps(_fair_vectors(), indent=1) + "\n").encode(),
    }


def by_stem(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files by their name without folder and ending."""
    return {path.partition("/")[2].rpartition(".")[0]: content for path, content in files.items()}


def leaf_of(raw: bytes) -> bytes:
    """Return the leaf of an entry under the example key and rule version 1."""
    return leaves.leaf(MARKET_KEY, decode_entry_bytes(raw), 1)


def manifest() -> dict[str, str]:
    """Return the SHA-256 of every file of the corpus, as written down."""
    lines = (GOLDEN / MANIFEST).read_text().splitlines() if (GOLDEN / MANIFEST).exists() else []
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def add_missing() -> list[str]:
    """Write what the corpus lacks and return its paths; nothing that exists is touched."""
    listed = manifest()
    added = []
    for path, content in corpus().items():
        if path in listed or (GOLDEN / path).exists():
            continue
        (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
        (GOLDEN / path).write_bytes(content)
        listed[path] = hashlib.sha256(content).hexdigest()
        added.append(path)
    (GOLDEN / MANIFEST).write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(listed.items())))
    return added


def _vectors(entries: dict[str, bytes]) -> dict[str, Any]:
    return {
        "market_key": MARKET_KEY.hex(),
        "key_commitment": leaves.key_commitment(MARKET_KEY),
        "keyed_hash": {"body": b"not an event".hex(), "keyed_hash": leaves.keyed_hash(MARKET_KEY, b"not an event")},
        "record_hash": hash_bytes(encode_record(RECORD)),
        "rule": RECORD.rule,
        "refunds": [
            {
                "order": "o-1",
                "payment": "4200001234567890",
                "of": "whole",
                "refund": refund_id("o-1", "4200001234567890"),
            },
            {
                "order": "o-1",
                "payment": "4200001234567890",
                "of": "price_by_size",
                "refund": refund_id("o-1", "4200001234567890", of="price_by_size"),
            },
        ],
        "entries": {name: _parts(raw) for name, raw in entries.items()},
    }


def _fair_vectors() -> dict[str, Any]:
    secret = fair.secret_of(MARKET_KEY)
    seed = fair.seed_of(secret, "main", "play", "draw-1", 1041, 7)
    orders = [f"o-{n}" for n in range(1, 6)]
    lines = [["m-1", 2, "a1"], ["m-2", 1, "a2"], ["m-1", -2, "a1"], ["m-3", 1, "o-5"]]
    digest = fair.EMPTY_LIST
    for line in lines:
        digest = fair.extend_list(digest, *line)
    cut = {"remaining_minor": 3_000, "helpers_left": 10, "share_percent": 50}
    return {
        "market_key": MARKET_KEY.hex(),
        "secret": secret.hex(),
        "secret_commitment": fair.secret_commitment(secret),
        "seeds": [
            {"market": "main", "kind": kind, "name": name, "position": "1041.7", "seed": made.hex()}
            for kind, name in (("play", "draw-1"), ("group", "g1041-7"))
            for made in [fair.seed_of(secret, "main", kind, name, 1041, 7)]
        ],
        "seed_commitment": fair.seed_commitment(seed),
        "numbers": [
            {"text": f"t{n}", "below": below, "number": fair.uniform(seed, f"t{n}", below)}
            for n, below in enumerate((2, 3, 100, 10**6, 3 << 61, 3 << 61, 3 << 61, 3 << 61))
        ],
        "cuts": [
            {"position": n, "helper": f"m-{n}", "weight": n, **cut}
            | {"cut_minor": fair.cut_minor(seed, n, f"m-{n}", weight=n, **cut)}
            for n in range(1, 4)
        ],
        "list": {"lines": lines, "list_sha256": digest.hex()},
        "draws": [
            {"draw": n, "tickets": 9 - n, "number": fair.draw_number(seed, digest.hex(), n, 9 - n)} for n in range(1, 4)
        ],
        "seats": {"orders": orders, "winners": 2, "drawn": sorted(fair.draw_seats(seed, orders, 2))},
    }


def _parts(raw: bytes) -> list[dict[str, str]]:
    entry = decode_entry_bytes(raw)
    found = []
    for index, part in enumerate(leaves.parts(entry)):
        salt = leaves.salt(MARKET_KEY, entry, index)
        committed = leaves.commitment(salt, part).hex()
        found.append({"part": part.decode(), "salt": salt.hex(), "commitment": committed})
    return found


if __name__ == "__main__":
    sys.stdout.writelines(f"added {path}\n" for path in add_missing())
