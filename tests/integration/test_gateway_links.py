"""`GET /markets/<market>/links/<token>`: a backend asks whether the market allowed a share link."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.broker import EmbeddedBroker
from events.link import Link, link_key, sign_link
from services.bus.config import ConfigError
from services.matcher.gateway.links import Links
from tests.gateway_setting import TOKEN, Answer, Setting, open_market
from tests.journal_writer import MARKET

KEY = link_key(b"k" * 32)
GOOD = Link(MARKET, "i-1", "m-1", "group", "g1-0", 4_000_000_000)
YEAR_2000_S = 946_684_800


@pytest.fixture
async def market(fresh_broker: EmbeddedBroker, tmp_path: Path) -> AsyncIterator[Setting]:
    async with open_market(fresh_broker, tmp_path / "data") as made:
        yield made


def _tell_key(market: Setting) -> None:
    market.link_key_file = market.data / "links.key"
    market.link_key_file.write_text(f"{KEY.hex()}\n")


async def _ask(market: Setting, token: str, of: str = MARKET, bearer: str = TOKEN) -> Answer:
    return await market.call("GET", f"/markets/{of}/links/{token}", headers={"authorization": f"Bearer {bearer}"})


async def test_a_backend_learns_what_a_link_stands_for_and_which_is_none(market: Setting) -> None:
    _tell_key(market)
    await market.start_gateway()
    answer = await _ask(market, sign_link(KEY, GOOD))
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == {
        "good": True,
        "invitation": "i-1",
        "inviter": "m-1",
        "what": "group",
        "name": "g1-0",
        "until_s": 4_000_000_000,
    }
    for token, fault in [
        (sign_link(b"a forger's", GOOD), "not_signed_here"),
        (sign_link(KEY, GOOD._replace(market="other")), "other_market"),
        (sign_link(KEY, GOOD._replace(until_s=YEAR_2000_S)), "over"),
        ("nonsense", "not_a_link"),
        ("%C3%A9.%00", "not_a_link"),
    ]:
        answer = await _ask(market, token)
        assert (answer.status, answer.json["good"], answer.json["fault"]) == (200, False, fault)
        assert len(answer.json["message"]) > 20


async def test_only_a_publisher_of_the_market_may_ask(market: Setting) -> None:
    _tell_key(market)
    await market.start_gateway()
    token = sign_link(KEY, GOOD)
    assert (await _ask(market, token, bearer="wrong")).code == "unauthorized"
    assert (await _ask(market, token, of="other")).code == "not_found"


async def test_a_gateway_without_the_key_of_links_says_so(market: Setting) -> None:
    await market.start_gateway()
    answer = await _ask(market, sign_link(KEY, GOOD))
    assert (answer.status, answer.code) == (404, "not_found")
    assert "link_key_file" in answer.json["error"]["message"]


@pytest.mark.parametrize("content", ["", "ab" * 31, "no hexadecimal"])
def test_a_gateway_does_not_start_with_a_damaged_key_of_links(tmp_path: Path, content: str) -> None:
    path = tmp_path / "links.key"
    path.write_text(content)
    with pytest.raises(ConfigError, match="the key of links"):
        Links(MARKET, path)
