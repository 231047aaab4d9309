"""Tokens open one thing for one member for a time; addresses are kept from everybody else."""

import stat
from pathlib import Path

import msgspec
import pytest

from services.bus.config import ConfigError
from services.notifier.addresses import AddressBook, BadAddress, address_file
from services.notifier.tokens import BadToken, Claims, check_token, ensure_token_key, sign_token, token_key_file

KEY = b"k" * 32
ANN = Claims(market="main", scope="events", member="ann", until_s=2_000)


def check(token: str, member: str | None = "ann", now_s: float = 1_000, market: str = "main") -> Claims:
    return check_token(KEY, token, market, "events", now_s, member)


def test_a_token_opens_its_members_stream_until_it_expires() -> None:
    token = sign_token(KEY, ANN)
    assert check(token) == ANN
    with pytest.raises(BadToken, match="expired"):
        check(token, now_s=2_000)


def test_a_token_for_another_member_market_or_purpose_is_refused_with_its_reason() -> None:
    token = sign_token(KEY, ANN)
    with pytest.raises(BadToken, match="another member's"):
        check(token, member="bob")
    with pytest.raises(BadToken, match="events of market main"):
        check(token, market="other")
    with pytest.raises(BadToken, match="is for events"):
        check_token(KEY, token, "main", "addresses", 1_000)
    with pytest.raises(BadToken, match="is for addresses"):
        check(sign_token(KEY, Claims(market="main", scope="addresses", until_s=2_000)))


@pytest.mark.parametrize("change", ["", ".", "x.y", "é.é", "a" * 2_000])
def test_what_is_no_token_is_refused(change: str) -> None:
    with pytest.raises(BadToken):
        check(change)


def test_a_token_that_was_changed_or_signed_elsewhere_is_refused() -> None:
    body, _, mac = sign_token(KEY, ANN).partition(".")
    other = sign_token(b"o" * 32, ANN)
    for token in (f"{body[:-2]}AA.{mac}", f"{body}.{mac[:-2]}AA", other, f"{body}.", f"{body}=.{mac}"):
        with pytest.raises(BadToken):
            check(token)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = ensure_token_key(tmp_path)
    assert ensure_token_key(tmp_path) == key
    assert stat.S_IMODE(token_key_file(tmp_path).stat().st_mode) == 0o600
    token_key_file(tmp_path).write_text("abc")
    with pytest.raises(ConfigError, match="cannot be used"):
        ensure_token_key(tmp_path)


def test_no_token_is_made_for_what_is_no_member() -> None:
    with pytest.raises(ConfigError, match="is no member"):
        sign_token(KEY, msgspec.structs.replace(ANN, member="a.b"))


def test_addresses_are_noted_changed_and_forgotten(tmp_path: Path) -> None:
    book = AddressBook(address_file(tmp_path, "main"))
    book.set("ann", "email", "ann@example.com")
    book.set("ann", "email", "ann@example.org")
    book.set("ann", "wechat", "o" * 28)
    assert (book.get("ann", "email"), book.get("bob", "email")) == ("ann@example.org", None)
    assert book.count() == {"email": 1, "wechat": 1}
    assert book.remove("ann") == 2
    assert book.get("ann", "email") is None
    assert stat.S_IMODE(address_file(tmp_path, "main").stat().st_mode) == 0o600
    book.close()


@pytest.mark.parametrize(
    ("member", "kind", "address", "why"),
    [
        ("ann", "email", "ann@example.com\r\nBcc: all@example.com", "headers could be injected"),
        ("ann", "email", "Ann <ann@example.com>", "no e-mail address"),
        ("ann", "email", "ann@localhost", "no e-mail address"),
        ("ann", "email", "安@example.com", "no e-mail address"),
        ("ann", "email", f"{'a' * 60}@{'b.' * 120}com", "no e-mail address"),
        ("ann", "wechat", "short", "no openid"),
        ("ann", "pigeon", "loft 3", "expected one of email, wechat"),
        ("a.b", "email", "ann@example.com", "is no member"),
    ],
)
def test_what_cannot_be_an_address_is_refused_without_repeating_it(
    tmp_path: Path, member: str, kind: str, address: str, why: str
) -> None:
    book = AddressBook(address_file(tmp_path, "main"))
    with pytest.raises(BadAddress, match=why) as refused:
        book.set(member, kind, address)
    assert address not in str(refused.value)
    book.close()
