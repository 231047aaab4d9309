"""`groupbuy vault put|get` and `groupbuy member erase`: texts that the log only commits to, and forgetting them."""

import getpass
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from deploy.cli.ledger import open_ledger
from deploy.cli.ledger_dossier import ActorOption
from deploy.cli.member import member_app
from deploy.cli.output import (
    DEFAULT_DATA,
    EXIT_CHECK_FAILED,
    CommandError,
    DataOption,
    JsonOption,
    MarketOption,
    print_json,
    say,
)
from deploy.stack_files import first_market, write_private
from events.ids import is_name
from events.times import format_time_ns
from services.ledger.acts import acts_file, record_act
from services.ledger.disputes import open_disputes_of
from services.ledger.faults import BadQuestion, LedgerBroken, LedgerError, NotFound
from services.ledger.vault.vault import CONTENT_MAX_BYTES, Erasure, Vault, vault_file, vault_key_file
from services.ledger.vault.vault_key import ensure_vault_key

ERASED: Final = "member.erased"
WAITS: Final = "member.erasure_waits"

vault_app = typer.Typer(
    help="Texts and files that events only commit to: encrypted, beside the ledger, and able to forget.",
    no_args_is_help=True,
)


@vault_app.command("put")
def put_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The text or file; - reads standard input.")],
    owner: Annotated[str, typer.Option("--member", help="Whose it is: a member's pseudonym, or a publisher.")],
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep a text or file and print the commitment to put into an event (`statement`, `evidence`)."""
    content = _read(file)
    with _vault(data, market) as (vault, _):
        commitment = vault.put(owner, content, time.time_ns())
    if as_json:
        print_json({"commitment": commitment, "member": owner, "bytes": len(content)})
    else:
        sys.stdout.write(f"{commitment}\n")


@vault_app.command("get")
def get_command(
    commitment: Annotated[str, typer.Argument(metavar="COMMITMENT", help="What `put` printed.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to; standard output if absent.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
) -> None:
    """Give back a text or file; status 1 when it was erased, or is not what was put in."""
    with _vault(data, market) as (vault, _):
        found = vault.get(commitment)
    if out is None:
        sys.stdout.buffer.write(found.content)
        sys.stdout.buffer.flush()
        return
    try:
        write_private(out, found.content)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None


@member_app.command("erase")
def erase_command(
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's pseudonym.")],
    actor: ActorOption = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget every text and file of a member; waits, and says for what, while a dispute of the member is open.

    The log holds pseudonyms and commitments and stays as it is: proofs hold. Ask again when the dispute is over.
    """
    if not is_name(member):
        raise CommandError(f"{member[:80]!r} cannot be a member: expected 1 to 64 of A-Z a-z 0-9 _ -")
    with open_ledger(data, market) as store:
        waits_for = open_disputes_of(store, member)
        name = store.market
    now_ns, who = time.time_ns(), actor or getpass.getuser()
    with _vault(data, name) as (vault, _):
        erasure = vault.ask_to_erase(member, now_ns, waits_for)
        if erasure.done_ns is None:
            facts = {"member": member, "waits_for": waits_for} if waits_for else {"member": member}
            # On the record first: what is erased must never be erased unseen.
            record_act(acts_file(data, name), now_ns, WAITS if waits_for else ERASED, who, facts)
            if not waits_for:
                vault.erase(member, now_ns)
                erasure = vault.ask_to_erase(member, now_ns, [])
    _tell([erasure], as_json=as_json)
    if erasure.done_ns is None:
        raise typer.Exit(EXIT_CHECK_FAILED)


@member_app.command("erasures")
def erasures_command(data: DataOption = DEFAULT_DATA, market: MarketOption = None, as_json: JsonOption = False) -> None:
    """List who asked to be erased, and what those wait for that are not yet; status 1 while one waits."""
    with _vault(data, market) as (vault, _):
        found = vault.erasures()
    _tell(found, as_json=as_json)
    if any(erasure.done_ns is None for erasure in found):
        raise typer.Exit(EXIT_CHECK_FAILED)


def _tell(erasures: list[Erasure], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f'{{"erasures":{msgspec.json.encode(erasures).decode()}}}\n')
        return
    for erasure in erasures:
        if erasure.done_ns is not None:
            sys.stdout.write(f"{erasure.member} is erased since {format_time_ns(erasure.done_ns)}\n")
        else:
            asked = format_time_ns(erasure.asked_ns)
            which = ", ".join(erasure.waits_for)
            sys.stdout.write(f"{erasure.member} asked on {asked} and WAITS while these are open: {which}\n")


@contextmanager
def _vault(data: Path, market: str | None) -> Iterator[tuple[Vault, str]]:
    """Open the vault of a market and turn what may go wrong into a sentence and an exit status."""
    name = market or first_market(data)
    if not is_name(name):
        raise CommandError(f"{name[:80]!r} cannot be a market: expected 1 to 64 of A-Z a-z 0-9 _ -")
    try:
        with Vault(vault_file(data, name), ensure_vault_key(vault_key_file(data, name))) as vault:
            yield vault, name
    except BadQuestion as error:
        raise CommandError(str(error)) from None
    except (NotFound, LedgerBroken) as error:
        say(str(error))
        raise typer.Exit(EXIT_CHECK_FAILED) from None
    except LedgerError as error:
        raise CommandError(str(error)) from None


def _read(file: str) -> bytes:
    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
            return stream.read(CONTENT_MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None
