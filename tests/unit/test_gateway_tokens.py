import hashlib
import json
import os
from pathlib import Path

import pytest

from services.matcher.gateway import tokens as tokens_module
from services.matcher.gateway.tokens import TokenError, Tokens, hash_token


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_a_token_stands_for_its_publisher(tmp_path: Path) -> None:
    tokens = Tokens(write(tmp_path / "t", {hash_token("secret"): "shop-a", hash_token("other"): "operator"}))
    assert tokens.publisher_of("secret") == "shop-a"
    assert tokens.publisher_of("other") == "operator"
    assert tokens.publisher_of("Secret") is None
    assert tokens.publisher_of("") is None
    assert tokens.publisher_of("x" * 100_000) is None


def test_the_file_holds_sha256_hashes() -> None:
    assert hash_token("secret") == hashlib.sha256(b"secret").hexdigest()


def test_without_a_file_nobody_is_known() -> None:
    assert Tokens(None).publisher_of("secret") is None


def test_a_token_added_later_is_known_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "LOOK_AGAIN_S", 0.0)
    path = write(tmp_path / "t", {})
    tokens = Tokens(path)
    assert tokens.publisher_of("secret") is None
    write(path, {hash_token("secret"): "shop-a"})
    os.utime(path, ns=(1, 1))
    assert tokens.publisher_of("secret") == "shop-a"


def test_a_file_damaged_later_leaves_the_tokens_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "LOOK_AGAIN_S", 0.0)
    path = write(tmp_path / "t", {hash_token("secret"): "shop-a"})
    tokens = Tokens(path)
    path.write_text("{")
    assert tokens.publisher_of("unknown") is None
    assert tokens.publisher_of("secret") == "shop-a"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"secret": "shop-a"}, "is not a SHA-256"),
        ({hash_token("secret").upper(): "shop-a"}, "is not a SHA-256"),
        ({hash_token("secret"): "shop a"}, "is not the name of a publisher"),
        ({hash_token("secret"): "matcher"}, "is not the name of a publisher"),
        ({hash_token("secret"): "gateway"}, "is not the name of a publisher"),
        ({hash_token("secret"): 5}, "expected a JSON object"),
        ([], "expected a JSON object"),
    ],
)
def test_an_unusable_file_is_told_at_the_start(tmp_path: Path, content: object, told: str) -> None:
    with pytest.raises(TokenError, match=told):
        Tokens(write(tmp_path / "t", content))


def test_a_missing_file_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="absent: No such file"):
        Tokens(tmp_path / "absent")
