"""`ledger dossier`: gathers what concerns a dispute, an order or a group, opens what the reader may see, proves all."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final

import msgspec

from events import decisions as d
from events import schemas
from events.counted import counted
from events.leaf import salt
from events.record import decode_entry_bytes
from events.times import format_time_ns
from services.ledger.chain import place_of_record
from services.ledger.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from services.ledger.dossier import contents as c
from services.ledger.dossier.gather import DossierRequest, Told, concerned, reader_of
from services.ledger.dossier.opening import Part, Reader, event_of, holds_what_is_hidden, parts_for
from services.ledger.dossier.page import ToldEntry, ToldNotice, ToldText, explanation, index_page
from services.ledger.dossier.plainzip import build_zip
from services.ledger.explaining.table import explanation_of
from services.ledger.explaining.words import LANGUAGES
from services.ledger.faults import BadQuestion, LedgerBroken, NotFound
from services.ledger.history import FoundEntry, read_record
from services.ledger.lean import EntryPosition, decode_lean_record
from services.ledger.leaves import LeafMaker
from services.ledger.note import SigningKey, sign_note
from services.ledger.notices import notice_in_words
from services.ledger.store import LedgerStore
from services.ledger.tiles import TiledTree
from services.ledger.words import decision_in_words, event_in_words, source_in_words

_encode: Final = msgspec.json.Encoder().encode


class VaultText(msgspec.Struct, frozen=True):
    """What the vault says of a commitment: the content with its salt and whose it is, or that it was erased."""

    owner: str
    salt: bytes = b""
    content: bytes | None = None
    erased_at: str | None = None


FromVault = Callable[[str], VaultText | None]
"""Gives what the vault has under a commitment, None when it never had anything."""


class MadeDossier(msgspec.Struct, frozen=True):
    """A dossier: its bytes, and what its manifest says."""

    raw: bytes
    manifest: c.Manifest


def make_dossier(
    store: LedgerStore, request: DossierRequest, maker: LeafMaker, key: SigningKey, from_vault: FromVault
) -> MadeDossier:
    """Return the dossier that is asked for.

    Raises NotFound when the ledger knows nothing of it or it is not signed yet, BadQuestion when it cannot be said for
    whom it is or the reader's checkpoint is of another log, LedgerBroken when the archive is not what was signed.
    """
    matter = concerned(store, request)
    entries = matter.entries
    reader = Reader(request.audience, request.reader or reader_of(request, entries))
    reader.learn(entries)
    signed, note = _signed(store, key)
    writer = _Writer(store, maker, TiledTree(store.tiles, signed.size), signed, reader)
    keeps_all = request.kind == "group" or request.audience == "auditor"
    for found in entries:
        writer.add(found, keep_shut=keeps_all or found.position in matter.disputed)
    if not writer.told:
        raise NotFound(f"nothing in {request.kind} {request.name} is for {reader.audience} {reader.name} to see")
    writer.add_notices(matter.notices)
    writer.add_texts(entries, from_vault)
    writer.files[c.CHECKPOINT] = note
    if request.since is not None:
        writer.add_since(request.since, key)
    return _sealed(request, writer, store, key)


def _signed(store: LedgerStore, key: SigningKey) -> tuple[Checkpoint, bytes]:
    """Return the newest checkpoint, one that a witness cosigned if it covers as much."""
    newest, cosigned = store.checkpoint(), store.cosigned()
    if newest is None:
        raise NotFound("nothing has been signed yet: the ledger signs a second after it has archived something")
    try:
        signed = open_checkpoint(newest.encode(), key.verifier)
        with_witness = open_checkpoint(cosigned.encode(), key.verifier) if cosigned is not None else None
    except CheckpointError as error:
        raise LedgerBroken("the checkpoint", str(error)) from None
    if cosigned is not None and with_witness is not None and with_witness.size == signed.size:
        return with_witness, cosigned.encode()
    return signed, newest.encode()


class _Writer:
    """The files of a dossier, as they come together."""

    def __init__(
        self, store: LedgerStore, maker: LeafMaker, tree: TiledTree, signed: Checkpoint, reader: Reader
    ) -> None:
        self._store = store
        self._maker = maker
        self._tree = tree
        self._signed = signed
        self.reader = reader
        self.files: dict[str, bytes] = {}
        self.told: list[ToldEntry] = []
        self.notices: list[ToldNotice] = []
        self.texts: list[ToldText] = []
        self.erased: list[str] = []
        self.rule_versions: set[int] = set()
        self._record = 0
        self._leaves: dict[EntryPosition, tuple[int, bytes]] = {}

    def add(self, found: FoundEntry, *, keep_shut: bool) -> None:
        """Add an entry; one of which the reader sees nothing only where `keep_shut` says that it belongs to it."""
        parts = parts_for(found, self.reader)
        if not keep_shut and not any(part.is_open for part in parts):
            return
        leaf_index, leaf = self._leaf_of(found)
        if leaf_index >= self._signed.size:
            raise NotFound(f"entry {found.name} is not signed yet: try again in a second")
        self.rule_versions.add(int.from_bytes(leaf[41:45], "big"))
        name = f"{c.ENTRIES}{len(self.told) + 1:06d}.json"
        self.files[name] = _encode(
            c.EntryFile(
                entry=found.name,
                leaf_index=leaf_index,
                leaf=_base64(leaf),
                proof=list(map(_base64, self._tree.inclusion_proof(leaf_index))),
                opened=list(self._opened(found, parts)),
            )
        )
        self.told.append(self._tell(found, parts, name))
        self._add_schemas(found, parts)

    def _leaf_of(self, found: FoundEntry) -> tuple[int, bytes]:
        """Return (number, leaf) of an entry; entries come in order, so that each record is taken apart once."""
        if self._record != found.record:
            summary = self._store.summary(found.record)
            if summary is None:
                raise LedgerBroken(place_of_record(found.record), "the index knows nothing of it: run `verify`")
            body = read_record(self._store, found.record)
            places = [entry.position for entry in decode_lean_record(body, place_of_record(found.record)).entries]
            leaves = self._maker.leaves_of(found.record, body)
            self._record = found.record
            self._leaves = {
                place: (summary.first_leaf + number, leaf)
                for number, (place, leaf) in enumerate(zip(places, leaves, strict=True))
            }
        return self._leaves[found.position]

    def _opened(self, found: FoundEntry, parts: Sequence[Part]) -> Iterable[c.OpenedPart]:
        entry = decode_entry_bytes(found.raw)
        for number, part in enumerate(parts):
            if part.is_open:
                salted = salt(self._maker.market_key, entry, number)
                yield c.OpenedPart(number=number, salt=_base64(salted), text=part.text.decode())

    def _tell(self, found: FoundEntry, parts: Sequence[Part], name: str) -> ToldEntry:
        event = event_of(found)
        sees_event = event is not None and parts[0].is_open
        if sees_event and event is not None:
            cause = event_in_words(event, found.entry.publisher)
        elif found.entry.publisher is not None:
            cause = "something that others reported"
        else:
            cause = source_in_words(found, None)
        seen = [part.decision for part in parts if part.is_open and part.decision is not None]
        # What a suspicion was counted from stays shut; why, in words that name no threshold, need not.
        own = [part.decision for part in parts if part.decision is not None and self._is_own_but_shut(part)]
        return ToldEntry(
            entry=found.name,
            file=name,
            at_ns=found.entry.at,
            claimed_at=event.time if sees_event and event is not None else None,
            cause=cause,
            outcome=[_in_words(decision, self.reader) for decision in seen],
            why=list(dict.fromkeys(each for decision in (*seen, *own) for each in _explained(decision))),
            opened=sum(part.is_open for part in parts),
            shut=sum(not part.is_open for part in parts),
        )

    def _is_own_but_shut(self, part: Part) -> bool:
        return (
            self.reader.audience == "member"
            and not part.is_open
            and part.decision is not None
            and self.reader.owns(part.decision)
            and holds_what_is_hidden(part.decision, self.reader)
        )

    def _add_schemas(self, found: FoundEntry, parts: Sequence[Part]) -> None:
        event = event_of(found)
        if event is not None and parts[0].is_open:
            name = str(event.__struct_config__.tag)
            self._add_schema(name, _event_schemas()[name])
        for part in parts:
            if part.is_open and part.decision is not None:
                kind = str(part.decision.__struct_config__.tag)
                self._add_schema(f"decision.{kind}", _decision_schemas()[kind])

    def _add_schema(self, name: str, schema: schemas.Schema) -> None:
        self.files[f"{c.SCHEMAS}{name}.json"] = msgspec.json.format(_encode(schema), indent=1)

    def add_notices(self, notices: Iterable[Told]) -> None:
        """Add what was told: to an auditor all of it, to a member what that member was told, to a merchant nothing."""
        for told in notices:
            if self.reader.audience == "merchant" or self.reader.name not in ("", told.fact.data.member):
                continue
            name = f"{c.NOTICES}{len(self.notices) + 1:06d}.json"
            self.files[name] = told.raw
            self.notices.append(ToldNotice(file=name, at_ns=told.fact.at_ns, sentence=notice_in_words(told.fact)))

    def add_texts(self, entries: Sequence[FoundEntry], from_vault: FromVault) -> None:
        """Add what the opened events commit to, as far as it is the reader's and has not been erased."""
        for commitment in _commitments(entries, self.reader):
            text = from_vault(commitment)
            if text is None:
                state = "not in the vault"
            elif text.erased_at is not None:
                state = f"erased {text.erased_at}"
                self.erased.append(commitment)
            elif self.reader.audience != "auditor" and text.owner != self.reader.name:
                state = "not for this reader"
            else:
                assert text.content is not None, "what is not erased has a content"
                state = f"{c.TEXTS}{commitment}.json"
                self.files[state] = _encode(c.TextFile(salt=_base64(text.salt), content=_base64(text.content)))
            self.texts.append(ToldText(commitment=commitment, state=state))

    def add_since(self, held: bytes, key: SigningKey) -> None:
        """Add the proof that the tree grew out of the checkpoint that the reader holds."""
        try:
            before = open_checkpoint(held, key.verifier)
        except CheckpointError as error:
            raise BadQuestion(f"--since: {error}") from None
        if not 1 <= before.size <= self._signed.size:
            raise BadQuestion(
                f"--since: it has {counted(before.size, 'leaf', 'leaves')}, the signed tree {self._signed.size}"
            )
        if TiledTree(self._store.tiles, before.size).root() != before.root:
            leaves = counted(before.size, "leaf has", "leaves have")
            raise LedgerBroken("the checkpoint held", f"the first {leaves} another root here")
        proof = self._tree.consistency_proof(before.size) if before.size < self._signed.size else []
        self.files[c.SINCE] = held
        self.files[c.CONSISTENCY] = _encode(c.ConsistencyFile(proof=list(map(_base64, proof))))


@cache
def _event_schemas() -> dict[str, schemas.Schema]:
    return schemas.event_schemas()


@cache
def _decision_schemas() -> dict[str, schemas.Schema]:
    return schemas.decision_schemas()


def _explained(decision: d.AnyDecision) -> Iterable[str]:
    """Yield why a decision was made, in each language; the explanations name no threshold and nobody else."""
    told, fields = explanation_of(decision), msgspec.structs.asdict(decision)
    rule = f" (RULES.md {told.rule})" if told.rule else ""
    yield from (f"{told.text(language, fields)}{rule}" for language in LANGUAGES)


def _in_words(decision: d.AnyDecision, reader: Reader) -> str:
    """Return a decision in words; of a closing only what all may know, its seats are told one by one."""
    if isinstance(decision, d.Closing) and reader.audience != "auditor":
        decision = msgspec.structs.replace(decision, seats=[seat for seat in decision.seats if reader.owns(seat)])
    return decision_in_words(decision)


def _commitments(entries: Sequence[FoundEntry], reader: Reader) -> list[str]:
    found: dict[str, None] = {}
    for each in entries:
        event = event_of(each)
        if event is None or not parts_for(each, reader)[0].is_open:
            continue
        for field in ("statement", "evidence"):
            commitment = getattr(getattr(event, "data", None), field, None)
            if isinstance(commitment, str):
                found[commitment] = None
    return list(found)


def _sealed(request: DossierRequest, writer: _Writer, store: LedgerStore, key: SigningKey) -> MadeDossier:
    """Return the dossier of the files that came together, with the manifest that the log signs."""
    manifest = c.Manifest(
        format=c.FORMAT,
        market=store.market,
        origin=key.name,
        about=f"{request.kind} {request.name}",
        audience=request.audience,
        reader=writer.reader.name,
        made_at=format_time_ns(request.made_at_ns),
        rule_versions=sorted(writer.rule_versions),
        entries=len(writer.told),
        parts_opened=sum(told.opened for told in writer.told),
        parts_shut=sum(told.shut for told in writer.told),
        erased=writer.erased,
        files=[],
    )
    files = writer.files
    files[c.EXPLANATION] = explanation(manifest, writer.told, writer.notices, writer.texts).encode()
    files[c.INDEX] = index_page(manifest, writer.told, writer.notices, writer.texts).encode()
    manifest.files = [
        c.FileLine(path=path, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
        for path, body in sorted(files.items())
    ]
    files[c.MANIFEST] = msgspec.json.format(_encode(manifest), indent=1)
    text = c.dossier_note_text(key.name, hashlib.sha256(files[c.MANIFEST]).hexdigest())
    files[c.MANIFEST_NOTE] = sign_note(text, [key]).encode().encode()
    return MadeDossier(build_zip(files), manifest)


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode()
