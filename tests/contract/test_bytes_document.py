"""BYTES.md is enough to recompute everything: this page uses its words and its numbers, and nothing of `events/`."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

EVENTS = Path(__file__).resolve().parents[2] / "events"
PAGE = (EVENTS / "BYTES.md").read_text(encoding="utf-8")
BLOCKS = {
    name: bytes.fromhex(text.replace("\n", ""))
    for name, text in re.findall(r"```hex ([a-z0-9-]+)\n(.*?)```", PAGE, re.DOTALL)
}
KEY = BLOCKS["market-key"]
PARTS = [BLOCKS[f"part-{i}"] for i in range(5)]
RULE = 1


def integer(value: int, size_bytes: int) -> bytes:
    return value.to_bytes(size_bytes, "big")


def salt(seq: int, index: int, part: int, i: int) -> bytes:
    text = b"groupbuy-salt-v1\n" + integer(seq, 8) + integer(index, 4) + integer(part, 4) + integer(i, 4)
    return hmac.new(KEY, text, hashlib.sha256).digest()


def members(text: bytes) -> list[bytes]:
    """Cut a compact JSON object or array into its members, byte for byte."""
    depth, in_string, escaped, start, found = 0, False, False, 1, []
    for at, byte in enumerate(text):
        character = chr(byte)
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if not in_string and ((character == "," and depth == 1) or depth == 0):
            found.append(text[start:at].strip())
            start = at + 1
    return [member for member in found if member]


def parts_of(entry: bytes) -> list[bytes]:
    """Cut an entry as section 4 says."""
    fields = dict(member.split(b":", 1) for member in members(entry))
    found = [fields[b'"event"'].strip()] if b'"event"' in fields else []
    for decision in members(fields[b'"decisions"']):
        inner = members(decision)
        seats = [member for member in inner if member.startswith(b'"seats":[{')]
        if not seats:
            found.append(decision)
            continue
        found.append(b"{" + b",".join(member for member in inner if member not in seats) + b"}")
        found += members(seats[0].split(b":", 1)[1])
    return found


def leaf_of(entry: bytes, parts: list[bytes]) -> bytes:
    head = json.loads(entry)
    position = head["seq"], head["index"], head["part"]
    commitments = [hashlib.sha256(salt(*position, i) + part).digest() for i, part in enumerate(parts)]
    return (
        b"groupbuy-leaf-v1\n"
        + integer(position[0], 8)
        + integer(position[1], 4)
        + integer(position[2], 4)
        + integer(head["at"], 8)
        + integer(RULE, 4)
        + integer("event" in head, 1)
        + integer(len(commitments), 4)
        + b"".join(commitments)
    )


def test_the_entry_is_cut_into_the_parts_that_the_page_shows() -> None:
    assert parts_of(BLOCKS["entry"]) == PARTS


@pytest.mark.parametrize("i", range(len(PARTS)))
def test_a_part_has_the_salt_and_commitment_that_the_page_shows(i: int) -> None:
    assert salt(1043, 0, 0, i) == BLOCKS[f"salt-{i}"]
    assert hashlib.sha256(BLOCKS[f"salt-{i}"] + PARTS[i]).digest() == BLOCKS[f"commitment-{i}"]


def test_the_leaf_is_the_one_that_the_page_shows() -> None:
    assert leaf_of(BLOCKS["entry"], PARTS) == BLOCKS["leaf"]


def test_what_is_kept_of_an_input_is_as_the_page_shows() -> None:
    expected = hmac.new(KEY, b"groupbuy-keyed-hash-v1\n" + BLOCKS["input"], hashlib.sha256).digest()
    assert expected == BLOCKS["keyed-hash"]
    assert hashlib.sha256(b"groupbuy-key-v1\n" + KEY).digest() == BLOCKS["key-commitment"]


def test_the_record_has_the_hash_that_the_page_shows_and_holds_the_entry() -> None:
    record = (EVENTS / "golden" / "record.json").read_bytes()
    assert hashlib.sha256(record).digest() == BLOCKS["record-hash"]
    assert b'"entries":[' + BLOCKS["entry"] + b"," in record


def test_the_refunds_are_named_as_the_page_shows() -> None:
    shown = re.search(r"```text refunds\n(.*?)\n```", PAGE, re.DOTALL)
    assert shown is not None
    derived = [
        "r-" + hashlib.sha256(f"o-1\n4200001234567890\n{of}".encode()).hexdigest()[:32]
        for of in ("whole", "price_by_size")
    ]
    assert shown.group(1).split("\n") == derived


def test_a_link_is_made_as_the_page_shows() -> None:
    shown = re.search(r"```text link\n(.*?)\n```", PAGE, re.DOTALL)
    assert shown is not None
    link_key = hmac.new(KEY, b"groupbuy-link-key-v1\n", hashlib.sha256).digest()
    claims = b"main\ni-1\nm-1\ngroup\ng1041-0\n1795600000"
    mac = hmac.new(link_key, b"groupbuy-link-v1\n" + claims, hashlib.sha256).digest()[:16]
    assert link_key == BLOCKS["link-key"]
    assert shown.group(1) == ".".join(urlsafe_b64encode(x).rstrip(b"=").decode() for x in (claims, mac))


def test_every_published_leaf_follows_from_the_page() -> None:
    for path in (EVENTS / "golden" / "entries").iterdir():
        entry = path.read_bytes()
        published = (EVENTS / "golden" / "leaves" / f"{path.stem}.hex").read_text()
        assert leaf_of(entry, parts_of(entry)).hex() == published, path.name
