"""`groupbuy notifier`: what could not be sent, channels that were given up, tokens, addresses, configuration."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.cli.notifier_addresses import address_app
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
from deploy.stack_files import first_market
from events.counted import counted
from events.times import format_time_ns
from services.bus.timezones import names
from services.notifier.dispatch.database import Database, OutboxError, outbox_file
from services.notifier.dispatch.dead_letters import (
    LISTED_MAX,
    dead_letter_count,
    dead_letters,
    endpoint_states,
    replay,
    write_endpoint,
)
from services.notifier.dispatch.rows import DeadLetter, EndpointState
from services.notifier.settings import Settings, load_settings, settings_file
from services.notifier.tokens import VALID_MAX_S, Claims, ensure_token_key, sign_token

HOUR_S: Final = 3_600
_BEYOND: Final = "beyond the members' own subjects"

notifier_app = typer.Typer(
    help="What could not be sent, channels, tokens and addresses of the notifier.",
    epilog="Exit status: 0 done, 1 nothing was found, 2 unusable arguments or environment.",
    no_args_is_help=True,
)
notifier_app.add_typer(address_app, name="address")

ChannelOption = Annotated[str | None, typer.Option("--channel", help="Only of this channel, e.g. webhook:shop-a.")]


@notifier_app.command("dead-letters")
def dead_letters_command(
    channel: ChannelOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = LISTED_MAX,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what could not be sent, the oldest first, each with the reason."""
    with _outbox(data, market) as database:
        found, count = dead_letters(database, channel=channel, limit=limit), dead_letter_count(database)
    if as_json:
        print_json({"dead_letters": [_letter(letter) for letter in found], "count": count})
        return
    for letter in found:
        at = format_time_ns(letter.at_ns)
        typer.echo(f"{at}  {letter.id}  {letter.channel}  {letter.kind} to {letter.member}: {letter.why}")
    them = "it" if count == 1 else "them"
    again = f" Send {them} again with `groupbuy notifier replay --all` or `replay ID`." if count else ""
    typer.echo(f"{counted(count, 'dead letter')}.{again}")


@notifier_app.command("replay")
def replay_command(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Dead letters, as `dead-letters` lists.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, or all of --channel.")] = False,
    channel: ChannelOption = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again, linked to their first failure; whether they may be sent is asked anew."""
    if bool(ids) == every:
        raise CommandError("name the dead letters to send again, or all of them with --all")
    with _outbox(data, market) as database:
        revived = replay(database, ids or None, time.time_ns(), channel)
    if as_json:
        print_json({"replayed": [row.id for row in revived]})
    else:
        typer.echo(f"{counted(len(revived), 'dead letter waits', 'dead letters wait')} to be sent again.")
    missing = set(ids or ()) - {row.id for row in revived}
    if missing:
        say(f"no dead letter is called {', '.join(sorted(missing))}; `groupbuy notifier dead-letters` lists them")
        raise typer.Exit(EXIT_CHECK_FAILED)


@notifier_app.command("endpoints")
def endpoints_command(
    enable: Annotated[
        str | None, typer.Option("--enable", metavar="CHANNEL", help="Switch a channel on again.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the channels of the configuration, how they are doing, and what waits on them."""
    settings = _settings(data)
    with _outbox(data, market) as database:
        if enable is not None:
            _enable(database, enable)
        states = endpoint_states(database)
        rows = database.connection.execute("SELECT channel, count(*) FROM notices GROUP BY channel")
        waiting = {str(name): int(count) for name, count in rows}
    listed = [
        _endpoint(name, url, states.get(name, EndpointState(channel=name)), waiting.get(name, 0))
        for name, url in _channels(settings)
    ]
    if as_json:
        print_json({"endpoints": listed})
        return
    if not listed:
        typer.echo(f"no channels {_BEYOND}; {settings_file(data)} may name some")
    for each in listed:
        since = f" since {each['failing_since']}" if each["failing_since"] else ""
        why = f" ({each['why']})" if each["why"] else ""
        typer.echo(f"{each['channel']}  {each['to']}  {each['state']}{since}{why}, {each['waiting']} waiting")


@notifier_app.command("token")
def token_command(
    member: Annotated[str | None, typer.Option("--member", help="For this member's event stream.")] = None,
    addresses: Annotated[bool, typer.Option("--addresses", help="For a backend that notes addresses.")] = False,
    valid_s: Annotated[
        int, typer.Option("--valid-s", min=1, max=VALID_MAX_S, help="Seconds until it expires.")
    ] = HOUR_S,
    data: DataOption = DEFAULT_DATA,
    market: MarketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token for the notifier's HTTP port."""
    if (member is None) == (not addresses):
        raise CommandError("name what the token is for: --member MEMBER or --addresses")
    claims = Claims(
        market=_market(data, market),
        scope="addresses" if addresses else "events",
        member=member,
        until_s=int(time.time()) + valid_s,
    )
    token = sign_token(ensure_token_key(data), claims)
    if as_json:
        print_json({"token": token, "scope": claims.scope, "member": member, "until_s": claims.until_s})
    else:
        typer.echo(token)


@notifier_app.command("check")
def check_command(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Check the configuration, its secrets and every template, without sending anything."""
    from services.notifier.dispatch.build import check_settings

    settings = _settings(data)
    channels = check_settings(settings)
    if as_json:
        print_json({"file": str(settings_file(data)), "channels": channels})
    else:
        file = settings_file(data)
        what = f"{file} can be used" if file.is_file() else f"there is no {file}, so the defaults count"
        typer.echo(f"{what}; channels: {', '.join(channels) or f'none {_BEYOND}'}")


# Helpers


def _market(data: Path, market: str | None) -> str:
    return market or first_market(data)


def _settings(data: Path) -> Settings:
    return load_settings(data, names())


@contextmanager
def _outbox(data: Path, market: str | None) -> Iterator[Database]:
    file = outbox_file(data, _market(data, market))
    if not file.is_file():
        raise CommandError(f"there is no outbox {file}: the notifier makes it when it first runs")
    try:
        with closing(Database(file)) as database:
            yield database
    except OutboxError as error:
        raise CommandError(str(error)) from None


def _enable(database: Database, channel: str) -> None:
    if endpoint_states(database).get(channel, EndpointState(channel=channel)).disabled_at_ns is None:
        raise CommandError(f"{channel} is not switched off; `groupbuy notifier endpoints` lists the channels")
    write_endpoint(database, EndpointState(channel=channel))
    again = f"groupbuy notifier replay --all --channel {channel}"
    say(f"{channel} is switched on; send what could not be sent with `{again}`")


def _channels(settings: Settings) -> list[tuple[str, str]]:
    listed = [(f"webhook:{webhook.name}", webhook.url) for webhook in settings.webhooks]
    if settings.email is not None:
        listed.append(("email", f"{settings.email.host}:{settings.email.port}"))
    if settings.wechat is not None:
        listed.append(("wechat", settings.wechat.api))
    return listed


def _endpoint(name: str, url: str, state: EndpointState, waiting: int) -> dict[str, Any]:
    failing = state.failing_since_ns
    word = "switched off" if state.disabled_at_ns is not None else "failing" if failing is not None else "working"
    return {
        "channel": name,
        "to": url,
        "state": word,
        "failing_since": None if failing is None else format_time_ns(failing),
        "disabled_at": None if state.disabled_at_ns is None else format_time_ns(state.disabled_at_ns),
        "why": state.why,
        "waiting": waiting,
    }


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "channel": letter.channel,
        "member": letter.member,
        "kind": letter.kind,
        "decision": letter.row.notice.decision,
        "why": letter.why,
        "at": format_time_ns(letter.at_ns),
        "attempts": letter.attempts,
        "fact": letter.fact,
        "round": letter.row.round,
    }
