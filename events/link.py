"""Share links: a token that only the market can make, so that a link which nobody was allowed to send stands out.

Token: base64url without padding of the claims, a dot, base64url of the first 16 bytes of HMAC-SHA256 over
"groupbuy-link-v1\\n" and the claims. Claims: market, invitation, inviter, what, name, end in seconds since 1970, one a
line. The key is HMAC-SHA256 of "groupbuy-link-key-v1\\n" under the market's key, so that it can be handed to whoever
checks links and tells nothing of the market's key. The invitee is not named: links are passed on.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, Literal, NamedTuple

from events.ids import are_ids, is_name

TOKEN_MAX_CHARS: Final = 1_024
_PREFIX: Final = b"groupbuy-link-v1\n"
_KEY_PREFIX: Final = b"groupbuy-link-key-v1\n"
_MAC_BYTES: Final = 16

LinkFault = Literal["not_a_link", "not_signed_here", "other_market", "over"]


class Link(NamedTuple):
    """Who may share what until when (seconds since 1970, half-open), and under which invitation."""

    market: str
    invitation: str
    inviter: str
    what: str
    """`group`, `play` or `pool`."""
    name: str
    until_s: int


class BadLink(Exception):
    """A token is no link of this market; `fault` says why, the message in a sentence."""

    def __init__(self, fault: LinkFault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault: LinkFault = fault


def link_key(market_key: bytes) -> bytes:
    """Return the 32-byte key of a market's links."""
    return hmac.digest(market_key, _KEY_PREFIX, "sha256")


def sign_link(key: bytes, link: Link) -> str:
    """Return the token of `link` under the key of its market's links."""
    claims = "\n".join([*link[:-1], str(link.until_s)]).encode()
    return f"{_text(claims)}.{_text(_mac(key, claims))}"


def check_link(key: bytes, market: str, token: str, now_s: int) -> Link:
    """Return the link that `token` stands for. Raises BadLink where it is none of this market, or over at `now_s`."""
    link = read_link(key, token)
    if link.market != market:
        raise BadLink("other_market", f"the link is of the market {link.market}, not {market}")
    if now_s >= link.until_s:
        raise BadLink("over", f"the link was good until {link.until_s} (s since 1970)")
    return link


def read_link(key: bytes, token: str) -> Link:
    """Return the link that `token` stands for, over or not. Raises BadLink where it was not signed with `key`."""
    claims_text, dot, mac_text = token.partition(".")
    if not dot or len(token) > TOKEN_MAX_CHARS:
        raise BadLink("not_a_link", "the token has not the form of a link: two parts with a dot between them")
    claims, mac = _bytes(claims_text), _bytes(mac_text)
    if not hmac.compare_digest(mac, _mac(key, claims)):
        raise BadLink("not_signed_here", "the token was not signed by this market: nobody was allowed to send it")
    market, invitation, inviter, what, name, until = claims.decode().split("\n")
    assert is_name(market) and is_name(inviter) and are_ids(f"{invitation}\n{name}"), "only good links are signed"
    return Link(market, invitation, inviter, what, name, int(until))


def _mac(key: bytes, claims: bytes) -> bytes:
    return hmac.digest(key, _PREFIX + claims, "sha256")[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise BadLink("not_a_link", "the token has not the form of a link: it is not base64url") from None
    if _text(raw) != text:
        raise BadLink("not_a_link", "the token has not the form of a link: it is not base64url as we write it")
    return raw
