"""What a fresh market gets: its configuration by the operator, and a sample offer to try."""

from collections.abc import Sequence
from typing import Final

import msgspec
import nats.errors
from msgspec.structs import replace
from nats.aio.client import Client
from nats.js.errors import APIError

from deploy.permissions import OPERATOR
from deploy.stack import Stack
from deploy.stack_files import StackError, ensure_market_key
from events import subjects
from events.fair import secret_commitment, secret_of
from events.leaf import key_commitment
from events.market import MarketConfigured, MarketConfiguredEvent
from events.offer import OfferPublished, OfferPublishedEvent, OfferTerms

SOURCE: Final = "/groupbuy/first-run"
SAMPLE_OFFER: Final = "sample-tea"
PUBLISH_TIMEOUT_S: Final = 10.0
_encode: Final = msgspec.json.Encoder().encode


def first_configuration(publishers: Sequence[str]) -> MarketConfigured:
    """Return the configuration that a new market starts with; the operator changes it by an event."""
    return MarketConfigured(
        publishers={
            publisher: ["offer", "order", "group", "refund", "play", "assist", "invitation"] for publisher in publishers
        },
        offer_defaults=OfferTerms(currency="CNY", group_ttl_s=86_400, hold_s=900),
    )


def sample_offer() -> OfferPublished:
    """Return the offer that a first order can name: tea at 9.90 instead of 12.90 for groups of two."""
    return OfferPublished(offer=SAMPLE_OFFER, size=2, solo_minor=1290, group_minor=990, merge="allowed")


async def set_up_market(
    stack: Stack,
    time: str,
    configured: MarketConfigured,
    offers: Sequence[OfferPublished] = (),
    market: str | None = None,
) -> int:
    """Configure a market of the stack, its first by default, when it is fresh, as the operator; list its first offers.

    The configuration commits to the market's key and to the secret behind its draws, so that nobody can exchange
    them unnoticed.
    Returns the sequence of the last message in the intake. What is there already is left as it is: each message
    is only taken at its own place in the intake, so that a set-up that was cut short is completed by the next.
    """
    market = market or stack.market
    batches: list[tuple[str, list[MarketConfiguredEvent] | list[OfferPublishedEvent]]] = [
        ("market", [configuration_event(time, _committed(stack, market, configured))])
    ]
    if offers:
        batches.append(("offer", [offer_event(time, offer) for offer in offers]))
    last_seq = await stack.intake_last_seq(market)
    if last_seq >= len(batches):
        return last_seq
    async with stack.connected(OPERATOR) as client:
        for place, (family, events) in enumerate(batches):
            if place >= last_seq:
                await _publish_at(client, market, family, _encode(events), place)
    return len(batches)


def configuration_event(time: str, configured: MarketConfigured) -> MarketConfiguredEvent:
    """Return the event that configures a market."""
    return MarketConfiguredEvent(specversion="1.0", id="configured", source=SOURCE, time=time, data=configured)


def offer_event(time: str, offer: OfferPublished) -> OfferPublishedEvent:
    """Return the event that lists an offer."""
    return OfferPublishedEvent(specversion="1.0", id=f"offer-{offer.offer}", source=SOURCE, time=time, data=offer)


def _committed(stack: Stack, market: str, configured: MarketConfigured) -> MarketConfigured:
    key = bytes.fromhex(ensure_market_key(stack.data, market).read_text(encoding="ascii").strip())
    return replace(configured, key_commitment=key_commitment(key), secret_commitment=secret_commitment(secret_of(key)))


async def _publish_at(client: Client, market: str, family: str, body: bytes, last_seq: int) -> None:
    headers = {subjects.HEADER_LAST_SEQUENCE: str(last_seq)}
    subject = subjects.intake(market, OPERATOR, family)
    try:
        await client.jetstream(timeout=PUBLISH_TIMEOUT_S).publish(subject, body, headers=headers)
    except APIError as error:
        raise StackError(f"the market {market} could not be set up: {error.description}") from None
    except nats.errors.Error as error:
        raise StackError(f"the market {market} could not be set up: the broker does not answer ({error})") from None
