"""`groupbuy ledger dossier | verify-dossier | acts`: what readers are handed, and how they check it offline."""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from deploy.cli.ledger_log import OpenLedger, tree_keys
from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    one_of,
)
from deploy.stack_files import write_private
from events.counted import counted
from events.times import format_time_ns
from services.ledger.acts import acts_file, read_acts, record_act
from services.ledger.dossier.check import DossierReport, verify_dossier
from services.ledger.dossier.contents import Audience
from services.ledger.dossier.gather import DossierRequest, Kind
from services.ledger.dossier.make import MadeDossier, VaultText, make_dossier
from services.ledger.dossier.plainzip import SIZE_MAX_BYTES
from services.ledger.faults import NotFound
from services.ledger.log_key import log_key_file, read_log_key
from services.ledger.note import COSIGNATURE, NOTE_MAX_BYTES, NoteError, VerifierKey
from services.ledger.store import LedgerStore
from services.ledger.vault.vault import Erased, Vault, vault_file, vault_key_file
from services.ledger.vault.vault_key import ensure_vault_key

MADE: Final = "dossier.made"
ActorOption = Annotated[str | None, typer.Option("--actor", help="Who does it, for the record; your login if absent.")]


def add_dossier_commands(app: typer.Typer, opened: OpenLedger) -> None:
    """Add the commands to `app`; `opened` opens a ledger and tells what may go wrong."""
    _add_dossier(app, opened)
    _add_verify_dossier(app)
    _add_acts(app, opened)


def _add_dossier(app: typer.Typer, opened: OpenLedger) -> None:
    @app.command("dossier")
    def dossier_command(
        audience: Annotated[str, typer.Option("--for", metavar="member|merchant|auditor", help="Who reads it.")],
        out: Annotated[Path, typer.Option("--out", metavar="FILE.zip", help="Where it is written.")],
        dispute: Annotated[str | None, typer.Option("--dispute", help="A dispute.")] = None,
        order: Annotated[str | None, typer.Option("--order", help="An order.")] = None,
        group: Annotated[str | None, typer.Option("--group", help="A group.")] = None,
        member: Annotated[str | None, typer.Option("--member", help="The member who reads it.")] = None,
        publisher: Annotated[str | None, typer.Option("--publisher", help="The merchant who reads it.")] = None,
        since: Annotated[
            Path | None, typer.Option("--since", metavar="CHECKPOINT_FILE", help="The checkpoint the reader holds.")
        ] = None,
        actor: ActorOption = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Gather what concerns a dispute, an order or a group, with proofs that anybody can check offline.

        What concerns others stays shut but committed. That it was made is recorded among the ledger's acts.
        """
        named: dict[Kind, str | None] = {"dispute": dispute, "order": order, "group": group}
        kind, name = one_of(named, "--dispute, --order and --group")
        request = DossierRequest(
            kind=kind,
            name=name,
            audience=_audience(audience),
            reader=_reader(audience, member, publisher),
            since=_read(since, "--since", NOTE_MAX_BYTES) if since is not None else None,
            made_at_ns=time.time_ns(),
        )
        with opened(data, market) as store:
            made, facts = _make_and_record(store, request, data, actor or getpass.getuser())
        _write(out, made.raw)
        if as_json:
            _print(msgspec.json.encode({"file": str(out), **facts, "bytes": len(made.raw)}).decode())
        else:
            manifest = made.manifest
            parts = f"{counted(manifest.parts_opened, 'part')} opened, {manifest.parts_shut} shut"
            entries = counted(manifest.entries, "entry", "entries")
            _print(f"{out}: {manifest.about}, {entries}, {parts}; recorded in the acts")


def _add_verify_dossier(app: typer.Typer) -> None:
    @app.command("verify-dossier")
    def verify_dossier_command(
        file: Annotated[Path, typer.Argument(metavar="FILE", help="The dossier.")],
        key: Annotated[str, typer.Option("--key", metavar="VKEY", help="The log's verifier key that you trust.")],
        witness_key: Annotated[
            list[str] | None,
            typer.Option("--witness-key", metavar="VKEY", help="A witness who must have cosigned; again for another."),
        ] = None,
        since: Annotated[
            Path | None, typer.Option("--since", metavar="CHECKPOINT_FILE", help="The checkpoint that you hold.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Check a dossier offline, with nothing but the log's key; nothing is unpacked."""
        try:
            log = VerifierKey.parse(key)
            witnesses = [VerifierKey.parse(each, COSIGNATURE) for each in witness_key or ()]
        except NoteError as error:
            raise CommandError(str(error)) from None
        held = _read(since, "--since", NOTE_MAX_BYTES) if since is not None else None
        report = verify_dossier(_read(file, "the dossier", SIZE_MAX_BYTES + 1), log, witnesses, held)
        _print(msgspec.json.encode(report).decode() if as_json else _in_words(report))
        if not report.sound:
            raise typer.Exit(EXIT_CHECK_FAILED)


def _add_acts(app: typer.Typer, opened: OpenLedger) -> None:
    @app.command("acts")
    def acts_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
        """List what was done with ledger and vault: dossiers made, members erased; status 1 if the list was changed."""
        count = 0
        with opened(data, market) as store:
            for act in read_acts(acts_file(data, store.market)):
                count += 1
                facts = ", ".join(f"{name} {_value(value)}" for name, value in act.facts.items())
                _print(msgspec.json.encode(act).decode() if as_json else f"{act.at}  {act.act} by {act.actor}: {facts}")
        if not as_json:
            _print(f"{counted(count, 'act')}, each as it was written.")


def _make_and_record(
    store: LedgerStore, request: DossierRequest, data: Path, actor: str
) -> tuple[MadeDossier, dict[str, Any]]:
    """Return a dossier and what is recorded of it: first it is on the record, then in somebody's hands."""
    made = _make(store, request, data)
    facts = {
        "about": made.manifest.about,
        "audience": made.manifest.audience,
        "reader": made.manifest.reader,
        "entries": made.manifest.entries,
    }
    record_act(acts_file(data, store.market), request.made_at_ns, MADE, actor, facts)
    return made, facts


def _make(store: LedgerStore, request: DossierRequest, data: Path) -> MadeDossier:
    keys = tree_keys(store, data)
    if keys is None:
        raise NotFound("this ledger has no tree yet: it is built when the ledger is next started")
    key = read_log_key(log_key_file(data, store.market))
    path = vault_file(data, store.market)
    if not path.exists():
        return make_dossier(store, request, keys.maker, key, lambda _: None)
    with Vault(path, ensure_vault_key(vault_key_file(data, store.market))) as vault:
        return make_dossier(store, request, keys.maker, key, lambda commitment: _from_vault(vault, commitment))


def _from_vault(vault: Vault, commitment: str) -> VaultText | None:
    try:
        found = vault.get(commitment)
    except Erased as erased:
        return VaultText(erased.owner, erased_at=format_time_ns(erased.at_ns))
    except NotFound:
        return None
    return VaultText(found.owner, found.salt, found.content)


def _audience(text: str) -> Audience:
    if text not in ("member", "merchant", "auditor"):
        raise CommandError(f"--for {text[:40]}: expected member, merchant or auditor")
    return text  # type: ignore[return-value]  # one of the three, as has just been seen


def _reader(audience: str, member: str | None, publisher: str | None) -> str | None:
    if (member is not None and audience != "member") or (publisher is not None and audience != "merchant"):
        raise CommandError("--member goes with --for member, --publisher with --for merchant")
    return member if audience == "member" else publisher


def _read(path: Path, what: str, at_most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(at_most)
    except OSError as error:
        raise CommandError(f"{what} {path} cannot be read: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    try:
        write_private(path, content)
    except OSError as error:
        raise CommandError(f"the dossier cannot be written to {path}: {error.strerror}") from None


def _in_words(report: DossierReport) -> str:
    if not report.sound:
        return f"NOT SOUND  {report.where}: {report.sentence}"
    opened = f"{counted(report.parts_opened, 'part is', 'parts are')} what was committed to"
    shut = counted(report.parts_shut, "stays shut", "stay shut")
    entries = counted(report.entries, "entry is", "entries are")
    lines = [
        f"sound: {report.about} of the log {report.origin}, for {report.audience}, made {report.made_at}",
        f"{entries} in the signed tree of {report.tree_size}; {opened}, {shut}",
    ]
    if report.cosigned_by:
        lines.append(f"cosigned by {', '.join(report.cosigned_by)}")
    if report.since_size is not None:
        lines.append(f"the tree goes on from the checkpoint of {counted(report.since_size, 'leaf', 'leaves')}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
