"""A dossier of a small market, and ways to change it: every one of them must be found, by both verifiers."""

import hashlib
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Final

import pytest

from services.ledger.dossier import contents as c
from services.ledger.dossier.gather import DossierRequest
from services.ledger.dossier.make import VaultText, make_dossier
from services.ledger.dossier.plainzip import build_zip, read_zip
from services.ledger.leaves import LeafMaker
from services.ledger.note import SigningKey, sign_note
from services.ledger.vault.vault import Vault, vault_file, vault_key_file
from services.ledger.vault.vault_key import ensure_vault_key
from tests.builders import T0, answered, claimed, evidenced, joined, offer, payment, posted, resolved
from tests.dispute_market import decided, signed_ledger
from tests.ledger_records import MARKET, open_store
from tests.model.both import MARKET_KEY


def disputed_ledger(data: Path) -> SigningKey:
    """Make a ledger with a filled group of m-1 and m-2, and the dispute of m-1 about o1; return its key."""
    with open_vault(data) as vault:
        statement = vault.put("m-1", b"It never came: call +86 138 1234 5678", T0)
        photo = vault.put("m-1", b"\x89PNG", T0)
    records = decided(
        offer(),
        posted("o1", "m-1", payment=payment(payment="p1")),
        joined("o2", "m-2", payment=payment(payment="p2")),
        claimed("o1", "m-1", statement=statement),
        evidenced(photo),
        answered(statement="ef" * 32),
        resolved("refund", remedy={"amount_minor": 500}),
    )
    return signed_ledger(data, records)


def open_vault(data: Path) -> Vault:
    return Vault(vault_file(data, MARKET), ensure_vault_key(vault_key_file(data, MARKET)))


def made(data: Path, key: SigningKey, **fields: object) -> bytes:
    """A dossier about d-1, for m-1 unless said otherwise."""
    request = DossierRequest(**{"kind": "dispute", "name": "d-1", "audience": "member", "made_at_ns": T0, **fields})
    with open_store(data, read_only=True) as store, open_vault(data) as vault:

        def from_vault(commitment: str) -> VaultText | None:
            found = vault.get(commitment) if commitment != "ef" * 32 else None
            return None if found is None else VaultText(found.owner, found.salt, found.content)

        return make_dossier(store, request, LeafMaker(MARKET_KEY), key, from_vault).raw


def sealed_anew(files: dict[str, bytes], key: SigningKey) -> bytes:
    """A dossier with other files, listed and signed again, as only whoever has the log's key could make it."""
    manifest = json.loads(files[c.MANIFEST])
    rest = {name: body for name, body in files.items() if name not in (c.MANIFEST, c.MANIFEST_NOTE)}
    manifest["files"] = [
        {"path": name, "size_bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in sorted(rest.items())
    ]
    rest[c.MANIFEST] = json.dumps(manifest).encode()
    text = c.dossier_note_text(key.name, hashlib.sha256(rest[c.MANIFEST]).hexdigest())
    rest[c.MANIFEST_NOTE] = sign_note(text, [key]).encode().encode()
    return build_zip(rest)


def one_byte_changed(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]


def zip_structure_changed(raw: bytes, chance: random.Random) -> bytes:
    """Change a byte outside of every file: in a header, or in the directory at the end."""
    begin = int.from_bytes(raw[-6:-2], "little")
    at = chance.choice([chance.randrange(30), chance.randrange(begin, len(raw))])
    return raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]


def cut(raw: bytes, chance: random.Random) -> bytes:
    return raw[: chance.randrange(len(raw))]


def padded(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.randbytes(chance.randrange(1, 9)) + raw[at:]


def a_file_changed(raw: bytes, chance: random.Random) -> bytes:
    files = read_zip(raw)
    name = chance.choice(sorted(files))
    return build_zip({**files, name: one_byte_changed(files[name], chance)})


def a_file_dropped(raw: bytes, chance: random.Random) -> bytes:
    files = read_zip(raw)
    del files[chance.choice(sorted(files))]
    return build_zip(files)


def a_file_added(raw: bytes, chance: random.Random) -> bytes:
    return build_zip({**read_zip(raw), chance.choice(["more.txt", "entries/999999.json", "texts/x.json"]): b"{}"})


def two_files_swapped(raw: bytes, chance: random.Random) -> bytes:
    files = read_zip(raw)
    one, other = chance.sample(sorted(files), 2)
    return build_zip({**files, one: files[other], other: files[one]})


TAMPERINGS: Final = (
    one_byte_changed,
    zip_structure_changed,
    cut,
    padded,
    a_file_changed,
    a_file_dropped,
    a_file_added,
    two_files_swapped,
)


def resealed_dossiers(raw: bytes, key: SigningKey) -> dict[str, bytes]:
    """Dossiers that somebody with the log's key changed and signed again: proofs and commitments must tell."""
    files = read_zip(raw)
    first = min(name for name in files if name.startswith(c.ENTRIES))
    text = next(name for name in files if name.startswith(c.TEXTS))
    entry = json.loads(files[first])

    def with_entry(**fields: object) -> bytes:
        return sealed_anew({**files, first: json.dumps({**entry, **fields}).encode()}, key)

    part, *others = entry["opened"]
    assert others, "an entry of which several parts are opened"
    told = {**part, "text": part["text"].replace("o1", "o7")}
    assert told != part
    stored = {**json.loads(files[text]), "content": "AAAA"}
    counted = json.loads(files[c.MANIFEST]) | {"entries": 1}
    return {
        "entry of another place": with_entry(leaf_index=entry["leaf_index"] + 1),
        "entry past the end": with_entry(leaf_index=10**9),
        "proof cut": with_entry(proof=entry["proof"][:-1]),
        "proof of short hashes": with_entry(proof=["AAAA", *entry["proof"][1:]]),
        "other name": with_entry(entry="1.2.3"),
        "part told otherwise": with_entry(opened=[told, *others]),
        "part with another salt": with_entry(opened=[{**part, "salt": others[0]["salt"]}, *others]),
        "parts under each other's number": with_entry(
            opened=[{**others[0], "number": part["number"]}, {**part, "number": others[0]["number"]}, *others[1:]]
        ),
        "part that is none": with_entry(opened=[{**part, "number": 99}]),
        "parts out of order": with_entry(opened=[*entry["opened"], part]),
        "unknown field": with_entry(more=1),
        "no base64": with_entry(leaf="%%%%"),
        "text told otherwise": sealed_anew({**files, text: json.dumps(stored).encode()}, key),
        "no checkpoint": sealed_anew({**files, c.CHECKPOINT: b"nothing"}, key),
        "counts": sealed_anew({**files, c.MANIFEST: json.dumps(counted).encode()}, key),
        "missing page": sealed_anew({name: body for name, body in files.items() if name != c.INDEX}, key),
    }


def foreign_zips(folder: Path) -> dict[str, bytes]:
    """Zips that no dossier is, as other tools make them."""

    def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED, link: bool = False) -> bytes:
        path = folder / "foreign.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = compression
                if link:
                    info.external_attr = 0o120777 << 16
                archive.writestr(info, content)
        return path.read_bytes()

    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("a.txt", b"1"), ("a.txt", b"2"))
    return {
        "a bomb": zipped(("a.txt", bytes(50_000_000)), compression=zipfile.ZIP_DEFLATED),
        "an absolute path": zipped(("/etc/passwd", b"x")),
        "a way out": zipped(("../out.txt", b"x")),
        "a way out of windows": zipped(("..\\out.txt", b"x")),
        "a drive": zipped(("c:/out.txt", b"x")),
        "a link": zipped(("a.txt", b"/etc/passwd"), link=True),
        "twice the same": twice,
        "nothing": zipped(),
        "no zip": b"PK",
        "empty": b"",
        "endless": struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65_535, 65_535, 0, 0, 0),
    }
