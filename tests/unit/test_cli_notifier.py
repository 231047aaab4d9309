"""`groupbuy notifier`: what could not be sent is seen and sent again, and nothing is made of bad arguments."""

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.cli.output import CommandError
from events.notice import decode_fact
from services.bus.config import ConfigError
from services.bus.journal import JournalPosition
from services.notifier.addresses import AddressBook, address_file
from services.notifier.dispatch.database import Database, outbox_file
from services.notifier.dispatch.dead_letters import write_endpoint
from services.notifier.dispatch.outbox import Outbox
from services.notifier.dispatch.routing import Route, waiting_row
from services.notifier.dispatch.rows import Busy, Ended, EndKind, EndpointState
from services.notifier.policy.judge import Send
from services.notifier.policy.purposes import Purpose
from services.notifier.tokens import check_token, ensure_token_key
from tests.dispatch_setting import notice
from tests.notifier_journal import AT_NS
from tests.notifier_peers import SECRET

ROUTE = Route(channel="webhook:shop", purposes=frozenset(Purpose))


def run(data: Path, *arguments: str, status: int = 0, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, ["notifier", *arguments, "--data", str(data)], input=stdin)
    if isinstance(result.exception, CommandError | ConfigError):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.stdout


def facts(data: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(data, *arguments, "--json", status=status))
    return document


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an endpoint, and two messages that could not be sent there."""
    (tmp_path / "s").write_text(SECRET)
    (tmp_path / "notifier.toml").write_text(
        '[[webhooks]]\nname = "shop"\nurl = "https://shop.example/hook"\nsecret_files = ["s"]\n'
    )
    with closing(Outbox(tmp_path, "main")) as outbox:
        rows = [waiting_row(notice(f"m-{at}", decision=f"{at}.0.0/0"), ROUTE, AT_NS) for at in range(2)]
        outbox.take_in(JournalPosition(1, "0" * 64), rows)
        claim = outbox.claim("webhook:shop", AT_NS, 10, Busy(), lambda *_: Send(), lambda _: "")
        outbox.finish([Ended(parcel=each, kind=EndKind.DEAD, at_ns=AT_NS, why="status 500") for each in claim.parcels])
    return tmp_path


def test_what_could_not_be_sent_is_listed_with_its_reason(data: Path) -> None:
    found = facts(data, "dead-letters")
    assert found["count"] == 2
    assert {letter["why"] for letter in found["dead_letters"]} == {"status 500"}
    assert "status 500" in run(data, "dead-letters")
    assert facts(data, "dead-letters", "--channel", "email")["dead_letters"] == []


def test_one_command_sends_them_again_linked_to_the_first_failure(data: Path) -> None:
    first = facts(data, "dead-letters")["dead_letters"]
    assert facts(data, "replay", first[0]["id"]) == {"replayed": [first[0]["id"]]}
    assert facts(data, "replay", "--all") == {"replayed": [first[1]["id"]]}
    assert facts(data, "dead-letters")["count"] == 0
    assert facts(data, "endpoints")["endpoints"][0]["waiting"] == 2
    with closing(Outbox(data, "main")) as outbox:
        claim = outbox.claim("webhook:shop", time.time_ns(), 10, Busy(), lambda *_: Send(), lambda _: "")
        rows = [held.row for parcel in claim.parcels for held in parcel.held]
        said = [decode_fact(body) for _, body in outbox.facts_after(0, 10)]
    assert {row.round for row in rows} == {2}
    assert {row.first for row in rows} == {fact.id for fact in said}


def test_how_to_send_again_is_told_only_where_there_is_something_to_send(data: Path) -> None:
    ids = [letter["id"] for letter in facts(data, "dead-letters")["dead_letters"]]
    assert "2 dead letters. Send them again with" in run(data, "dead-letters")
    assert run(data, "replay", ids[0]) == "1 dead letter waits to be sent again.\n"
    assert "1 dead letter. Send it again with" in run(data, "dead-letters")
    run(data, "replay", ids[1])
    assert run(data, "dead-letters") == "0 dead letters.\n"


def test_a_market_without_channels_says_so_instead_of_nothing(data: Path) -> None:
    (data / "notifier.toml").unlink()
    assert run(data, "endpoints").startswith("no channels beyond the members' own subjects")
    assert facts(data, "endpoints") == {"endpoints": []}


def test_what_is_no_dead_letter_is_said_so(data: Path) -> None:
    run(data, "replay", "nothing", status=1)
    with pytest.raises(CommandError, match="name the dead letters"):
        run(data, "replay")
    with pytest.raises(CommandError, match="name the dead letters"):
        run(data, "replay", "x", "--all")


def test_an_endpoint_that_was_switched_off_is_listed_and_switched_on_again(data: Path) -> None:
    state = EndpointState(channel="webhook:shop", failing_since_ns=AT_NS, disabled_at_ns=AT_NS, why="status 410")
    with closing(Database(outbox_file(data, "main"))) as database:
        write_endpoint(database, state)
    (found,) = facts(data, "endpoints")["endpoints"]
    assert (found["state"], found["why"]) == ("switched off", "status 410")
    (found,) = facts(data, "endpoints", "--enable", "webhook:shop")["endpoints"]
    assert found["state"] == "working"
    with pytest.raises(CommandError, match="is not switched off"):
        run(data, "endpoints", "--enable", "webhook:shop")


def test_a_token_is_for_one_member_or_for_addresses(data: Path) -> None:
    made = facts(data, "token", "--member", "ann", "--valid-s", "60")
    claims = check_token(ensure_token_key(data), made["token"], "main", "events", time.time(), "ann")
    assert claims.until_s == made["until_s"]
    assert facts(data, "token", "--addresses")["scope"] == "addresses"
    for wrong in ((), ("--member", "ann", "--addresses")):
        with pytest.raises(CommandError, match="name what the token is for"):
            run(data, "token", *wrong)
    with pytest.raises(ConfigError, match="is no member"):
        run(data, "token", "--member", "a.b")


def test_addresses_are_noted_and_forgotten_and_never_shown(data: Path) -> None:
    assert facts(data, "address", "set", "ann", "email", "ann@example.com") == {"member": "ann", "channel": "email"}
    run(data, "address", "set", "ann", "wechat", "-", stdin="o" * 28 + "\n")
    assert facts(data, "address", "count") == {"addresses": {"email": 1, "wechat": 1}}
    with closing(AddressBook(address_file(data, "main"))) as book:
        assert book.get("ann", "wechat") == "o" * 28
    with pytest.raises(CommandError, match="injected"):
        run(data, "address", "set", "ann", "email", "ann@example.com\nBcc: b@c.de")
    with pytest.raises(CommandError, match="injected"):
        run(data, "address", "set", "ann", "email", "-", stdin="ann@example.com\nBcc: b@c.de\n")
    assert facts(data, "address", "remove", "ann") == {"member": "ann", "removed": 2}
    run(data, "address", "remove", "ann", status=1)


def test_a_configuration_is_checked_without_sending_anything(data: Path) -> None:
    assert facts(data, "check")["channels"] == ["webhook:shop"]
    (data / "notifier.toml").write_text("[market]\nlanguage = 'fr'\n")
    with pytest.raises(ConfigError, match="Invalid enum value 'fr'"):
        run(data, "check")


def test_without_an_outbox_the_sentence_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no outbox"):
        run(tmp_path, "dead-letters")


def test_without_a_configuration_the_defaults_are_checked(tmp_path: Path) -> None:
    assert facts(tmp_path, "check")["channels"] == []
