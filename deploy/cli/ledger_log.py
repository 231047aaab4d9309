"""`groupbuy ledger key | prove`: what somebody needs who trusts nobody, and the keys that a tree is checked with."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, MarketOption
from deploy.copies import is_copy
from deploy.identity import keys_directory
from deploy.stack_files import config_directory
from events.record import parse_entry_id
from services.bus.config import ServiceConfig, load_config
from services.ledger.checkpoint import CheckpointError, read_unverified
from services.ledger.faults import BadQuestion, LedgerBroken, NotFound
from services.ledger.leaves import LeafMaker
from services.ledger.log_key import log_key_file, read_log_key
from services.ledger.market_key import read_market_key
from services.ledger.note import NOTE_MAX_BYTES, NoteError, VerifierKey
from services.ledger.prove import EntryProof, prove_entry
from services.ledger.store import LedgerStore
from services.ledger.tree import has_tree
from services.ledger.verify import Fault
from services.ledger.verify_tree import LogKeys
from services.ledger.witness.ask import WitnessPlace, remembered_by
from services.ledger.witness.look import check_archive

OpenLedger = Callable[[Path, str | None], AbstractContextManager[LedgerStore]]

KeyOption = Annotated[
    str | None,
    typer.Option("--key", metavar="VKEY", help="The log's verifier key that you trust; that of this ledger if absent."),
]
WitnessOption = Annotated[
    str | None,
    typer.Option(
        "--witness", metavar="URL|FILE", help="Also ask a witness, or the file of its memory, what it has cosigned."
    ),
]
AgainstOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="A checkpoint that was kept elsewhere, which the ledger must have grown out of; again for several.",
    ),
]
CHECKPOINT_MAX_BYTES: Final = NOTE_MAX_BYTES
_NO_TREE: Final = "this ledger has no tree yet: it is built when the ledger is next started"


def add_log_commands(app: typer.Typer, opened: OpenLedger) -> None:
    """Add the commands to `app`; `opened` opens a ledger and tells what may go wrong."""

    @app.command("key")
    def key_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
        """Print the verifier key, which others need to check checkpoints."""
        with opened(data, market) as store:
            key = read_log_key(log_key_file(data, store.market)).verifier
        _print(
            msgspec.json.encode({"origin": key.name, "verifier_key": key.text()}).decode() if as_json else key.text()
        )

    @app.command("prove")
    def prove_command(
        entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry: SEQ, SEQ.INDEX or SEQ.INDEX.PART.")],
        key: KeyOption = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show that an entry is in the signed tree: its leaf, its place, the proof and the checkpoint, checked."""
        position = _position(entry)
        with opened(data, market) as store:
            keys = tree_keys(store, data, key)
            if keys is None:
                raise NotFound(_NO_TREE)
            proof = prove_entry(store, position, keys.maker, keys.verifier)
        _print(msgspec.json.encode(proof).decode() if as_json else _in_words(proof))


def tree_keys(store: LedgerStore, data: Path, verifier_key: str | None = None) -> LogKeys | None:
    """Return what the tree of a ledger is checked with, None when the ledger has no tree.

    Raises LedgerError when a key is missing or, of those that were given, is none.
    """
    if not has_tree(store):
        return None
    try:
        given = VerifierKey.parse(verifier_key) if verifier_key is not None else None
    except NoteError as error:
        raise BadQuestion(f"--key: {error}") from None
    verifier = given or read_log_key(log_key_file(data, store.market)).verifier
    maker = LeafMaker(read_market_key(market_key_file(data, store.market)))
    return LogKeys(maker, verifier, _witness_keys(data, store.market))


def witness_fault(store: LedgerStore, keys: LogKeys | None, source: str) -> Fault | None:
    """Return what is wrong between the tree and what a witness cosigned of it, None when nothing is."""
    if keys is None:
        raise NotFound(_NO_TREE)
    try:
        check_archive(store, keys.verifier, remembered_by(source, keys.verifier.name))
    except LedgerBroken as broken:
        return Fault(broken.place, broken.sentence)
    return None


def _witness_keys(data: Path, market: str) -> tuple[VerifierKey, ...]:
    """Return the keys of the witnesses that the ledger's service was told of."""
    config = _service_config(data, market)
    if config is None:
        return ()
    return tuple(WitnessPlace.parse(url, key).key for url, key in config.witnesses.items())


def _service_config(data: Path, market: str) -> ServiceConfig | None:
    path = config_directory(data) / "ledger.json"
    config = load_config(path) if path.is_file() else None
    return config if config is not None and config.market == market else None


def verifying_keys(store: LedgerStore, data: Path, verifier_key: str | None, against: list[Path]) -> LogKeys | None:
    """Return what a ledger is verified with: its keys, and the checkpoints in the files `against`.

    Of several ledgers of a cluster the first signs: a copy has no checkpoint of its own. Raises LedgerError when a
    key or a checkpoint is missing or, of those that were given, is none.
    """
    kept = tuple(map(_read_checkpoint, against))
    keys = tree_keys(store, data, verifier_key)
    if keys is None:
        if kept:
            raise BadQuestion(f"--against: {_NO_TREE}")
        return None
    return msgspec.structs.replace(keys, kept=kept, must_be_signed=not is_copy(data))


def _read_checkpoint(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            note = file.read(CHECKPOINT_MAX_BYTES + 1)
        read_unverified(note)
    except OSError as error:
        raise BadQuestion(f"--against {path}: {error.strerror}") from None
    except CheckpointError as error:
        raise BadQuestion(f"--against {path}: this is no checkpoint: {error}") from None
    return note


def market_key_file(data: Path, market: str) -> Path:
    """Return where the market's key is: where its service was told, else with the other keys."""
    config = _service_config(data, market)
    if config is not None and config.market_key_file is not None:
        return config.market_key_file
    return keys_directory(data) / f"market-{market}.key"


def _position(text: str) -> tuple[int, int, int]:
    try:
        return parse_entry_id(text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _in_words(proof: EntryProof) -> str:
    lines = [
        f"Entry {proof.entry} is leaf {proof.leaf_index} of {proof.tree_size} in the tree that was signed.",
        f"leaf hash  {proof.leaf_hash}",
        *(f"{'proof' if number == 0 else '':<9}  {each}" for number, each in enumerate(proof.proof)),
        f"root       {proof.root}",
        f"key        {proof.verifier_key}",
        "",
        proof.checkpoint,
    ]
    return "\n".join(lines).rstrip("\n")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
