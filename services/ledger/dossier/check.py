"""`ledger verify-dossier`: a dossier checked offline, with nothing but the log's key; everything is computed anew."""

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from events.record import entry_id
from events.undecodable import UNDECODABLE
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from services.ledger.dossier import contents as c
from services.ledger.dossier.plainzip import BadZip, read_zip
from services.ledger.merkle import ProofError, leaf_hash, verify_consistency, verify_inclusion
from services.ledger.note import NoteError, VerifierKey, open_note

_LEAF_PREFIX: Final = b"groupbuy-leaf-v1\n"
_leaf_header: Final = struct.Struct(">17sQIIQIBI")
_HASH_BYTES: Final = 32
_ALWAYS: Final = (c.MANIFEST, c.MANIFEST_NOTE, c.CHECKPOINT, c.EXPLANATION, c.INDEX)

T = TypeVar("T")


class DossierFault(Exception):
    """What is wrong with a dossier: the file, or `zip`, and a sentence."""

    def __init__(self, where: str, sentence: str) -> None:
        super().__init__(f"{where}: {sentence}")
        self.where = where
        self.sentence = sentence


class DossierReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a dossier was found to be."""

    sound: bool
    origin: str = ""
    about: str = ""
    audience: str = ""
    made_at: str = ""
    entries: int = 0
    parts_opened: int = 0
    parts_shut: int = 0
    tree_size: int = 0
    cosigned_by: list[str] = []
    since_size: int | None = None
    where: str | None = None
    sentence: str | None = None


def verify_dossier(
    raw: bytes, key: VerifierKey, witnesses: Sequence[VerifierKey] = (), since: bytes | None = None
) -> DossierReport:
    """Return what the dossier in `raw` is, or the first thing that is wrong with it.

    `key` is the log's, `witnesses` are those that must have cosigned, `since` is the checkpoint that the reader holds.
    """
    try:
        return _Check(raw, key).run(witnesses, since)
    except DossierFault as fault:
        return DossierReport(sound=False, where=fault.where, sentence=fault.sentence)


class _Check:
    """One dossier being checked."""

    def __init__(self, raw: bytes, key: VerifierKey) -> None:
        try:
            self._files = read_zip(raw)
        except BadZip as bad:
            raise DossierFault("zip", str(bad)) from None
        self._key = key

    def run(self, witnesses: Sequence[VerifierKey], since: bytes | None) -> DossierReport:
        manifest = self._manifest()
        signed = self._checkpoint(c.CHECKPOINT)
        cosigned_by = [self._cosignature(witness) for witness in witnesses]
        since_size = self._since(signed, since)
        opened, shut = self._entries(signed)
        if (len(self._under(c.ENTRIES)), opened, shut) != (
            manifest.entries,
            manifest.parts_opened,
            manifest.parts_shut,
        ):
            raise DossierFault(c.MANIFEST, "it counts other entries or parts than there are")
        for name in self._under(c.TEXTS):
            self._text(name)
        return DossierReport(
            sound=True,
            origin=manifest.origin,
            about=manifest.about,
            audience=manifest.audience,
            made_at=manifest.made_at,
            entries=manifest.entries,
            parts_opened=opened,
            parts_shut=shut,
            tree_size=signed.size,
            cosigned_by=cosigned_by,
            since_size=since_size,
        )

    # Files

    def _manifest(self) -> c.Manifest:
        """Return the manifest, once the log's signature of it and every file in it have been checked."""
        raw = self._file(c.MANIFEST)
        digest = hashlib.sha256(raw).hexdigest()
        try:
            note = open_note(self._file(c.MANIFEST_NOTE), [self._key])
        except NoteError as error:
            raise DossierFault(c.MANIFEST_NOTE, str(error)) from None
        if note.text != c.dossier_note_text(self._key.name, digest):
            raise DossierFault(c.MANIFEST, "it is not the one that the log signed")
        manifest = _decode(c.MANIFEST, raw, c.Manifest)
        if manifest.format != c.FORMAT or manifest.origin != self._key.name:
            raise DossierFault(c.MANIFEST, f"it is no {c.FORMAT} of the log {self._key.name}")
        self._check_files(manifest.files)
        return manifest

    def _check_files(self, lines: Sequence[c.FileLine]) -> None:
        listed = {line.path: line for line in lines}
        there = self._files.keys() - {c.MANIFEST, c.MANIFEST_NOTE}
        if len(listed) != len(lines):
            raise DossierFault(c.MANIFEST, "it lists a file twice")
        for name in sorted(listed.keys() ^ there):
            raise DossierFault(name, "it is missing" if name in listed else "the manifest does not know it")
        for name, line in sorted(listed.items()):
            content = self._files[name]
            if (len(content), hashlib.sha256(content).hexdigest()) != (line.size_bytes, line.sha256):
                raise DossierFault(name, "it is not the file that the manifest lists: it was changed")
        for name in _ALWAYS:
            self._file(name)

    def _file(self, name: str) -> bytes:
        content = self._files.get(name)
        if content is None:
            raise DossierFault(name, "it is missing")
        return content

    def _under(self, folder: str) -> list[str]:
        return sorted(name for name in self._files if name.startswith(folder))

    # What was signed

    def _checkpoint(self, name: str) -> Checkpoint:
        try:
            return open_checkpoint(self._file(name), self._key)
        except CheckpointError as error:
            raise DossierFault(name, str(error)) from None

    def _cosignature(self, witness: VerifierKey) -> str:
        try:
            open_note(self._file(c.CHECKPOINT), [witness])
        except NoteError as error:
            raise DossierFault(c.CHECKPOINT, f"witness {witness.name}: {error}") from None
        return witness.name

    def _since(self, signed: Checkpoint, held: bytes | None) -> int | None:
        """Return how many leaves the reader's checkpoint has, after checking that the tree grew out of it."""
        if c.SINCE not in self._files:
            if held is not None:
                raise DossierFault(c.SINCE, "it is missing: this dossier does not go on from the checkpoint you hold")
            return None
        before = self._checkpoint(c.SINCE)
        if held is not None and held != self._files[c.SINCE]:
            raise DossierFault(c.SINCE, "it is not the checkpoint that you hold")
        proof = _decode(c.CONSISTENCY, self._file(c.CONSISTENCY), c.ConsistencyFile).proof
        try:
            verify_consistency(before.size, signed.size, _hashes(c.CONSISTENCY, proof), before.root, signed.root)
        except ProofError as error:
            raise DossierFault(c.CONSISTENCY, str(error)) from None
        return before.size

    # What is in the tree

    def _entries(self, signed: Checkpoint) -> tuple[int, int]:
        """Return how many parts are opened and how many are shut, after checking each."""
        opened = shut = 0
        for name in self._under(c.ENTRIES):
            entry = _decode(name, self._files[name], c.EntryFile)
            commitments = _check_entry(name, entry, signed)
            opened += len(entry.opened)
            shut += commitments - len(entry.opened)
        return opened, shut

    def _text(self, name: str) -> None:
        text = _decode(name, self._files[name], c.TextFile)
        digest = hashlib.sha256(_bytes(name, text.salt) + _bytes(name, text.content)).hexdigest()
        if name != f"{c.TEXTS}{digest}.json":
            raise DossierFault(name, "it is not what was committed to")


def _check_entry(name: str, entry: c.EntryFile, signed: Checkpoint) -> int:
    """Return how many parts an entry has, after checking its place in the tree and the parts that are opened."""
    leaf = _bytes(name, entry.leaf)
    try:
        verify_inclusion(entry.leaf_index, signed.size, leaf_hash(leaf), _hashes(name, entry.proof), signed.root)
    except ProofError as error:
        raise DossierFault(name, str(error)) from None
    commitments = _check_leaf(name, entry.entry, leaf)
    numbers = [part.number for part in entry.opened]
    if numbers != sorted(set(numbers)) or any(not 0 <= number < len(commitments) for number in numbers):
        raise DossierFault(name, "its opened parts are not some of its parts, in order")
    for part in entry.opened:
        digest = hashlib.sha256(_bytes(name, part.salt) + part.text.encode("utf-8", "surrogatepass")).digest()
        if digest != commitments[part.number]:
            raise DossierFault(name, f"its part {part.number} is not what was committed to")
    return len(commitments)


def _check_leaf(name: str, entry: str, leaf: bytes) -> list[bytes]:
    """Return the commitments in a leaf, which must be that of the entry named."""
    body = leaf[_leaf_header.size :]
    if len(leaf) < _leaf_header.size or leaf[: len(_LEAF_PREFIX)] != _LEAF_PREFIX:
        raise DossierFault(name, "its leaf is none")
    _, seq, index, part, _, _, _, count = _leaf_header.unpack(leaf[: _leaf_header.size])
    if entry != entry_id(seq, index, part) or len(body) != count * _HASH_BYTES:
        raise DossierFault(name, "its leaf is that of another entry")
    return [body[at : at + _HASH_BYTES] for at in range(0, len(body), _HASH_BYTES)]


def _decode(name: str, raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNDECODABLE as error:
        raise DossierFault(name, f"it cannot be read: {error}") from None


def _hashes(name: str, encoded: Sequence[str]) -> list[bytes]:
    return [_bytes(name, each) for each in encoded]


def _bytes(name: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise DossierFault(name, "something in it is no base64") from None
