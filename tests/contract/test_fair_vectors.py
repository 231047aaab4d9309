"""The published vectors of seeds, cuts and draws: kept for ever, and reached by a second implementation too."""

import json
from typing import Any

from events import fair
from services.ledger import draw_rules
from tests.contract import golden

VECTORS: dict[str, Any] = json.loads((golden.GOLDEN / "fair.json").read_bytes())
SEED = bytes.fromhex(VECTORS["seeds"][0]["seed"])


def test_secret_and_seeds_follow_from_the_key() -> None:
    secret = fair.secret_of(bytes.fromhex(VECTORS["market_key"]))
    assert secret.hex() == VECTORS["secret"]
    assert fair.secret_commitment(secret) == VECTORS["secret_commitment"]
    for made in VECTORS["seeds"]:
        seq, index = map(int, made["position"].split("."))
        assert fair.seed_of(secret, made["market"], made["kind"], made["name"], seq, index).hex() == made["seed"]
    assert draw_rules.sha256_hex(SEED) == VECTORS["seed_commitment"]


def test_numbers_cuts_and_draws_follow_from_the_seed_in_both_implementations() -> None:
    for made in VECTORS["numbers"]:
        assert draw_rules.number_below(SEED, made["text"], made["below"]) == made["number"]
        assert fair.uniform(SEED, made["text"], made["below"]) == made["number"]
    for made in VECTORS["cuts"]:
        given = {name: made[name] for name in ("remaining_minor", "helpers_left", "share_percent", "weight")}
        assert draw_rules.cut(SEED, made["position"], made["helper"], **given) == made["cut_minor"]
        assert fair.cut_minor(SEED, made["position"], made["helper"], **given) == made["cut_minor"]


def test_lists_and_drawn_seats_follow_in_both_implementations() -> None:
    tickets = draw_rules.TicketList()
    for member, number, of in VECTORS["list"]["lines"]:
        tickets.add(member, number, of)
    assert tickets.digest == VECTORS["list"]["list_sha256"]
    seats = draw_rules.TicketList()
    for order in VECTORS["seats"]["orders"]:
        seats.seat(order)
    drawn = seats.draw(SEED, VECTORS["seats"]["winners"], many=False)
    assert sorted(drawn) == VECTORS["seats"]["drawn"]
    assert fair.draw_seats(SEED, VECTORS["seats"]["orders"], 2) == set(drawn)
