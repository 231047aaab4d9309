"""What is in a dossier, file by file; JSON, hashes and salts in base64.

manifest.json     what the dossier is about, for whom, and size and SHA-256 of every other file but manifest.note
manifest.note     a signed note of the log: ORIGIN/dossier, SHA-256 of manifest.json in hexadecimal
checkpoint.note   the signed tree, with the cosignatures of witnesses
entries/N.json    an entry: its leaf, its place in the tree, the proof of that, and the parts that are opened
since.note, consistency.json    the checkpoint that the reader held, and the proof that the tree grew out of it
notices/N.json    what the reader was told, or was not: the archived fact; the log vouches for it by manifest.note
texts/H.json      a text or file from the vault that an event commits to with H
schemas/T.json    the schemas of what is opened
explanation.txt, index.html     the same in words
"""

from typing import Final, Literal

import msgspec

FORMAT: Final = "groupbuy-dossier-1"
MANIFEST: Final = "manifest.json"
MANIFEST_NOTE: Final = "manifest.note"
CHECKPOINT: Final = "checkpoint.note"
SINCE: Final = "since.note"
CONSISTENCY: Final = "consistency.json"
EXPLANATION: Final = "explanation.txt"
INDEX: Final = "index.html"
ENTRIES: Final = "entries/"
NOTICES: Final = "notices/"
TEXTS: Final = "texts/"
SCHEMAS: Final = "schemas/"
ENTRIES_MAX: Final = 20_000

Audience = Literal["member", "merchant", "auditor"]


class FileLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One file as the manifest knows it."""

    path: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the dossier is; `reader` is the member or merchant that it is for, "" for an auditor."""

    format: str
    market: str
    origin: str
    about: str
    audience: Audience
    reader: str
    made_at: str
    rule_versions: list[int]
    entries: int
    parts_opened: int
    parts_shut: int
    erased: list[str]
    """Commitments to texts that have been erased from the vault."""
    files: list[FileLine]


class OpenedPart(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A part of an entry that the reader may see: its exact text, and the salt of its commitment."""

    number: int
    salt: str
    text: str


class EntryFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One entry with the proof of its place."""

    entry: str
    leaf_index: int
    leaf: str
    proof: list[str]
    opened: list[OpenedPart]


class ConsistencyFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The proof from the checkpoint in since.note to that in checkpoint.note."""

    proof: list[str]


class TextFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A text or file that an event commits to: SHA-256 of salt and content."""

    salt: str
    content: str


def dossier_note_text(origin: str, manifest_sha256: str) -> str:
    """Return what the log signs of a dossier: two lines, so that it can never be taken for a checkpoint of three."""
    return f"{origin}/dossier\n{manifest_sha256}\n"
