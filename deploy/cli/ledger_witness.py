"""`groupbuy ledger witness`: the second, independent process that remembers how long a log was."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from deploy.cli.output import EXIT_CHECK_FAILED, CommandError, JsonOption
from services.bus.http import HttpError
from services.bus.service import LOG_FORMAT
from services.ledger.faults import LedgerError
from services.ledger.log_key import ensure_witness_key, read_log_key
from services.ledger.note import COSIGNATURE, NoteError, SigningKey, VerifierKey
from services.ledger.witness.look import LogReport, check_memory, check_served
from services.ledger.witness.memory import WitnessMemory
from services.ledger.witness.serve import run_witness
from services.ledger.witness.witness import Witness

DEFAULT_STATE: Final = Path("groupbuy-witness")
DEFAULT_PORT: Final = 8090
DEFAULT_NAME: Final = "localhost/witness"


def witness_command(
    log: Annotated[
        list[str],
        typer.Option("--log", metavar="VKEY", help="Verifier key of a log to witness (`groupbuy ledger key`)."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help=f"The name that it signs under, for ever; as before, or {DEFAULT_NAME}, when absent."
        ),
    ] = None,
    state: Annotated[
        Path, typer.Option("--state", metavar="DIR", help="Its own key and memory; not the ledger's directory.")
    ] = DEFAULT_STATE,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 takes any.")
    ] = DEFAULT_PORT,
    check: Annotated[
        bool, typer.Option("--check", help="Do not serve: say what is known of each log; status 1 on an alarm.")
    ] = False,
    served: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="URL", help="With --check: also look at the log served there, .../ledger/MARKET."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cosign a log's checkpoints as long as they go on from those seen before; raise an alarm when they do not.

    Speaks C2SP tlog-witness. Alarms: the log, /metrics, DIR/*.alarm.json with both checkpoints, and --check.
    """
    if served is not None and (not check or len(log) != 1):
        raise CommandError("--from goes with --check and one --log")
    try:
        key = _own_key(state / "witness.key", name)
        witness = Witness(key, _logs(log), WitnessMemory(state))
        if check:
            _tell(_look(witness, served), as_json=as_json)
            return
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        asyncio.run(run_witness(witness, host, port))
    except (LedgerError, HttpError) as error:
        raise CommandError(str(error)) from None


def _own_key(path: Path, name: str | None) -> SigningKey:
    """Return the witness's key, made at the first run; without a name it keeps the one that it has."""
    if name is None and path.exists():
        return read_log_key(path, COSIGNATURE)
    return ensure_witness_key(path, name or DEFAULT_NAME)


def _logs(keys: list[str]) -> list[VerifierKey]:
    try:
        return [VerifierKey.parse(key) for key in keys]
    except NoteError as error:
        raise CommandError(f"--log: {error}") from None


def _look(witness: Witness, url: str | None) -> list[LogReport]:
    reports = check_memory(witness)
    if url is not None:
        (log,) = witness.logs.values()
        reports.append(check_served(witness, log, url))
    return reports


def _tell(reports: list[LogReport], *, as_json: bool) -> None:
    is_sound = all(report.sound for report in reports)
    if as_json:
        document = {"sound": is_sound, "logs": reports}
        sys.stdout.write(f"{msgspec.json.encode(document).decode()}\n")
    else:
        for report in reports:
            sentence = report.sentence.removeprefix(f"{report.origin}: ")
            sys.stdout.write(f"{'ok   ' if report.sound else 'ALARM'} {report.origin}: {sentence}\n")
    if not is_sound:
        raise typer.Exit(EXIT_CHECK_FAILED)
