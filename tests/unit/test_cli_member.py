"""`groupbuy member`: is a share link one that the market allowed?"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.cli.output import CommandError
from deploy.stack_files import ensure_market_key
from events.link import Link, link_key, sign_link

NOW = "2026-01-01T00:00:00Z"
UNTIL_S = 1_767_225_601
LINK = Link("main", "i1", "m1", "group", "g1-0", UNTIL_S)


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    return link_key(bytes.fromhex(ensure_market_key(tmp_path, "main").read_text().strip()))


def _run(data: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["member", *arguments, "--data", str(data)])
    if isinstance(result.exception, CommandError):
        raise result.exception
    return result.exit_code, result.stdout


def test_a_link_that_the_market_allowed_is_told_in_words_and_json(tmp_path: Path, key: bytes) -> None:
    token = sign_link(key, LINK)
    status, words = _run(tmp_path, "check-link", token, "--at", NOW)
    assert status == 0
    assert words == ("A good link: invitation i1 by member m1 to group g1-0, until 2026-01-01T00:00:01.000000Z.\n")
    status, document = _run(tmp_path, "check-link", token, "--at", NOW, "--json")
    assert status == 0
    assert json.loads(document) == {"good": True, **LINK._asdict()}


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (sign_link(b"somebody else's key", LINK), "not_signed_here"),
        ("https://shop.example/x", "not_a_link"),
        ("x.y.z", "not_a_link"),
    ],
)
def test_an_unknown_link_stands_out(tmp_path: Path, key: bytes, token: str, fault: str) -> None:
    status, document = _run(tmp_path, "check-link", token, "--json", "--at", NOW)
    assert status == 1
    assert json.loads(document)["fault"] == fault


def test_a_link_of_another_market_or_of_yesterday_is_no_good(tmp_path: Path, key: bytes) -> None:
    other = sign_link(key, LINK._replace(market="other"))
    for token, at, fault in ((other, NOW, "other_market"), (sign_link(key, LINK), "2026-01-01T00:00:01Z", "over")):
        status, document = _run(tmp_path, "check-link", token, "--at", at, "--json")
        assert (status, json.loads(document)["fault"]) == (1, fault)


def test_the_key_of_links_is_not_the_markets_key(tmp_path: Path, key: bytes) -> None:
    status, document = _run(tmp_path, "link-key", "--json")
    assert status == 0
    assert json.loads(document) == {"market": "main", "link_key": key.hex()}
    assert key.hex() != ensure_market_key(tmp_path, "main").read_text().strip()


def test_without_a_market_or_with_a_strange_time_the_command_says_what_to_do(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(CommandError, match=r"there is no market elsewhere in .*start it once"):
        _run(tmp_path, "check-link", "x.y", "--market", "elsewhere")
    with pytest.raises(CommandError, match="--at: not an RFC 3339 time"):
        _run(tmp_path, "check-link", "x.y", "--at", "now")
