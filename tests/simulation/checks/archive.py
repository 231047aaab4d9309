"""Checks on what is kept: an engine never interrupted decides the same, and the ledger is the journal."""

from events import subjects
from services.ledger.audit import audit
from services.ledger.store import LedgerStore
from services.ledger.verify import verify
from services.matcher.domain.engine import Engine
from services.matcher.domain.facts import Facts
from services.matcher.domain.message import Message
from services.matcher.zones import pinned_zones
from tests.simulation.checks.history import KEY, MARKET, History, log_keys, must, stream


def deciding_again_leads_to_the_same(history: History) -> None:
    """An engine that was never interrupted decides the same entries from the intake, byte for byte."""
    engine = Engine(MARKET, Facts(KEY), pinned_zones())
    again: list[bytes] = []
    for message in stream(history.world, subjects.intake_stream(MARKET)).history:
        tokens = message.subject.split(".")
        again += engine.process(Message(message.seq, message.at_ns, tokens[3], tokens[4], message.body))
    for place, (was, now) in enumerate(zip(history.raws, again, strict=False)):
        must(was == now, f"entry {place} was decided as {was[:300]!r}, is now {now[:300]!r}")
    must(len(again) == len(history.raws), f"{len(history.raws)} entries were decided, {len(again)} are now")


def the_ledger_holds_the_journal(history: History) -> None:
    """The archive holds each record's exact bytes once, can be verified, and its own recount finds nothing."""
    identity = stream(history.world, subjects.journal_stream(MARKET)).config["metadata"][subjects.IDENTITY_METADATA]
    folder = history.world.folder / "ledger"
    with LedgerStore.open("sqlite:", MARKET, data_dir=folder, identity=identity, market_key=KEY) as store:
        archived = [(record.seq, bytes(record.body)) for record in store.records()]
        must(archived == [(one.seq, one.body) for one in history.messages], "the archive is not the journal")
        verified = verify(store, keys=log_keys(history.world))
        must(verified.is_sound, f"the ledger cannot be verified: {verified.fault}")
        report = audit(store)
    faults = {str(check): result for check, result in report.checks.items() if result.faults}
    must(report.clean, f"the audit finds {faults}")
