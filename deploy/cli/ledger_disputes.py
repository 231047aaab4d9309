"""`groupbuy ledger disputes | incident`: what waits for a decision, and what one incident touched."""

import json
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from deploy.cli.ledger_log import OpenLedger
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, MarketOption, say
from deploy.stack_files import write_private
from events.counted import counted
from events.ids import are_ids
from events.money import amount
from events.times import format_time_ns, parse_time_ns
from services.ledger.disputes import DisputeState, dispute_queue
from services.ledger.incident import IncidentQuestion, IncidentReport, TouchedOrder, find_incident, remedies
from services.ledger.words import remedy_in_words


def add_dispute_commands(app: typer.Typer, opened: OpenLedger) -> None:
    """Add the commands to `app`; `opened` opens a ledger and tells what may go wrong."""
    _add_disputes(app, opened)
    _add_incident(app, opened)


def _add_disputes(app: typer.Typer, opened: OpenLedger) -> None:
    @app.command("disputes")
    def disputes_command(
        overdue: Annotated[bool, typer.Option("--overdue", help="Only those of which a deadline has passed.")] = False,
        like: Annotated[
            str | None,
            typer.Option("--like", metavar="DISPUTE", help="Those of the same offer, merchant or member, closed too."),
        ] = None,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """List the disputes that wait for a resolution, the next deadline first."""
        if overdue and like is not None:
            raise CommandError("--overdue and --like are two questions: ask one of them")
        with opened(data, market) as store:
            found = dispute_queue(store, overdue=overdue, like=like)
        if as_json:
            _print(f'{{"disputes":{msgspec.json.encode(found).decode()}}}')
            return
        for state in found:
            _print_dispute(state)
        _print(f"{_how_many(len(found), overdue=overdue, like=like)}.")


def _how_many(count: int, *, overdue: bool, like: str | None) -> str:
    if overdue:
        return counted(count, "dispute is overdue", "disputes are overdue")
    if like is not None:
        return counted(count, "dispute is alike", "disputes are alike")
    return counted(count, "dispute waits", "disputes wait")


def _add_incident(app: typer.Typer, opened: OpenLedger) -> None:
    @app.command("incident")
    def incident_command(
        begin: Annotated[str, typer.Option("--from", metavar="TIME", help="When it began (RFC 3339), included.")],
        end: Annotated[str, typer.Option("--to", metavar="TIME", help="When it was over, not included.")],
        offer: Annotated[str | None, typer.Option("--offer", help="Only this offer.")] = None,
        refund_minor: Annotated[
            int | None,
            typer.Option("--refund-minor", min=0, help="Offer this much of what filled orders paid; 0: all of it."),
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", metavar="FILE.ndjson", help="Write the remedies, to be published.")
        ] = None,
        actor: Annotated[str | None, typer.Option("--actor", help="Who answers for the remedies.")] = None,
        approve: Annotated[
            bool, typer.Option("--approve", help="Write the second person's approvals instead.")
        ] = False,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Find every group and payment that an outage or a mispriced offer touched; nothing is applied.

        With --out the remedies are written as events for `groupbuy publish`: seats lost by the clock are restored
        where the group is still open, and with --refund-minor filled orders are refunded.
        """
        answers = None if out is None else _who_answers(actor)
        question = IncidentQuestion(
            from_ns=_time("--from", begin), to_ns=_time("--to", end), offer=offer, refund_minor=refund_minor
        )
        with opened(data, market) as store:
            report = find_incident(store, question)
        if as_json:
            _print(msgspec.json.encode(report).decode())
        else:
            _print_report(report)
        if out is not None and answers is not None:
            events = list(remedies(report, question, answers, approve=approve))
            _write(out, "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events))
            say(f"{out}: {counted(len(events), 'event')}; read the file, then `groupbuy publish {out}`")


def _who_answers(actor: str | None) -> str:
    if actor is None or not are_ids(actor) or "\n" in actor:
        raise CommandError("--out needs --actor NAME, 1 to 64 of A-Z a-z 0-9 . _ -: somebody answers for them")
    return actor


def _time(option: str, text: str) -> int:
    try:
        return parse_time_ns(text)
    except ValueError:
        raise CommandError(
            f"{option} {text[:40]!r}: expected RFC 3339 with an offset, e.g. 2026-11-23T10:00:00Z"
        ) from None


def _print_dispute(state: DisputeState) -> None:
    alike = f", same {' and '.join(state.alike)}" if state.alike else ""
    _print(
        f"{state.dispute}  {state.status}, about {state.about} {state.disputed}, by member {state.member}, opened "
        f"{format_time_ns(state.opened_at_ns)} (entry {state.opened_entry}){alike}"
    )
    _print(f"    {_deadlines(state)}")
    if state.remedy is not None and state.verdict is not None:
        verb = "proposed" if state.status == "proposed" else "decided"
        _print(f"    {verb}: {state.verdict}, {remedy_in_words(state.remedy)}")


def _deadlines(state: DisputeState) -> str:
    """Return what is overdue and since when, or what is to happen next."""
    since = {"answer": state.answer_until, "resolution": state.resolve_until}
    late = [f"the {stage} since {format_time_ns(since[stage])}" for stage in state.overdue]
    is_over = state.deadline_ns is None or "resolution" in state.overdue
    to_come = [] if state.deadline_ns is None or is_over else [f"next deadline {format_time_ns(state.deadline_ns)}"]
    return "; ".join([*([f"OVERDUE: {', '.join(late)}"] if late else []), *to_come]) or "no deadline"


def _print_report(report: IncidentReport) -> None:
    _print(
        f"incident {report.incident}, {format_time_ns(report.from_ns)} to {format_time_ns(report.to_ns)}: "
        f"{counted(len(report.groups), 'group')}, {counted(len(report.orders), 'order')}"
    )
    for order in report.orders:
        _print(f"    {_order_line(order)}")


def _order_line(order: TouchedOrder) -> str:
    money = ""
    if order.payment is not None and order.currency is not None:
        paid, due = (amount(each, order.currency) for each in (order.paid_minor, order.refunded_minor))
        money = f", paid {paid}, {due} of it due back"
    who = f"order {order.order} of member {order.member}, group {order.group}"
    return f"{who}: {order.seat}{money}; remedy: {order.remedy}"


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise CommandError(f"the remedies cannot be written to {path}: {error.strerror}") from None


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
