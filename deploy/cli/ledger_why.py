"""`groupbuy ledger why`: an entry explained, with a letter for the member whom it concerns."""

from typing import Annotated, Final, Literal

import typer

from deploy.cli.ledger_print import print_json, print_line
from deploy.cli.ledger_replay import LedgerAccess
from deploy.cli.output import DEFAULT_DATA, CommandError, DataOption, JsonOption, MarketOption
from events.record import parse_entry_id
from events.times import format_time_ns
from services.ledger.explaining.words import Language
from services.ledger.history import check_name
from services.ledger.why import Why, why

_ADDRESSED: Final = {"en": "To member {member}:", "zh": "致会员 {member}："}
_TO_ANYBODY: Final = {"en": "To whom it concerns:", "zh": "致相关人员："}


def add_why_command(app: typer.Typer, access: LedgerAccess) -> None:
    """Add the command to `app`."""

    @app.command("why")
    def why_command(
        entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The entry: SEQ, SEQ.INDEX or SEQ.INDEX.PART.")],
        language: Annotated[Literal["en", "zh"], typer.Option("--lang", help="The language of the letter.")] = "en",
        member: Annotated[
            str | None, typer.Option("--for", metavar="MEMBER", help="Whom to write to; who asked when absent.")
        ] = None,
        is_letter: Annotated[bool, typer.Option("--letter", help="Print the letter alone.")] = False,
        data: DataOption = DEFAULT_DATA,
        market: MarketOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Explain an entry: the rule, the facts, what led to it, its notices, and a letter for the member."""
        try:
            position = parse_entry_id(entry)
        except ValueError as error:
            raise CommandError(str(error)) from None
        with access.opened(data, market) as store:
            if member is not None:
                check_name("member", member)
            found = why(store, position, member)
        if as_json:
            print_json(found)
        elif is_letter:
            print_line(found.letter[language])
        else:
            _print_why(found, language)


def _print_why(found: Why, language: Language) -> None:
    print_line(f"entry {found.entry}, record {found.record}, rule version {found.rule_version}: {found.source}")
    if found.claimed_at is not None:
        print_line(f"  claimed  {found.claimed_at}")
    print_line(f"  accepted {found.accepted_at}")
    for decision in found.decisions:
        print_line(f"  rule {decision.rule or 'not named'}: {decision.in_words}")
    if found.led_by:
        print_line("what led to it")
    for each in found.led_by:
        print_line(f"  {each.entry}  {format_time_ns(each.at_ns)}  ({each.about}) {each.in_words}")
    print_line("why somebody was told, or was not")
    for sentence in found.told:
        print_line(f"  {sentence}")
    print_line("")
    print_line(_ADDRESSED[language].format(member=found.member) if found.member is not None else _TO_ANYBODY[language])
    print_line(found.letter[language])
