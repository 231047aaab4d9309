"""Publishers at work: they publish, submit over NATS or over HTTP, retry, and write down every promise."""

import asyncio
from typing import Any, Final

from services.bus.client import GroupBuyClient, NotPublishedError, UnknownOutcomeError
from tests import builders as make
from tests.simulation.http_client import HttpClient
from tests.simulation.workload.story import Story
from tests.simulation.workload.town import Event

GIVE_UP_S: Final = 30.0
PEACE_GIVE_UP_S: Final = 120.0
FRESH_EVENTS: Final = 6
"""So many new events a publisher submits together after the faults have ended."""


class Promises:
    """What the system has told its publishers, to hold it to."""

    def __init__(self) -> None:
        self.stored: list[tuple[str, list[Event], int]] = []
        """(publisher, events, intake sequence) of acknowledged publishes."""
        self.outcomes: list[tuple[str, Event, dict[str, Any]]] = []
        """(publisher, event, its outcome) of answered submits."""
        self.unknown: list[tuple[str, list[Event]]] = []
        """(publisher, events) that got no answer in time."""
        self.gave_up_in_peace: list[str] = []


class Publisher:
    """One publisher with both of its ways to the market."""

    def __init__(self, client: GroupBuyClient, http: HttpClient, story: Story, promises: Promises) -> None:
        self._client = client
        self._http = http
        self._story = story
        self._promises = promises

    async def list_offers(self) -> None:
        """Publish the offers; nothing is wrong yet, or it is tried for long enough."""
        offers = self._story.offers()
        await self._client.publish_batch(offers)
        for event in offers:
            self._story.town.note(event)

    async def tell(self, events: int, pause_s: float) -> None:
        """Send so many events, a little apart."""
        chance = self._story.chance
        sent = 0
        while sent < events:
            batch = [self._story.next() for _ in range(chance.choice((1, 1, 1, 2, 7, 20)))]
            sent += len(batch)
            way = chance.choice(("publish", "publish", "nats", "http"))
            for together in [batch] if way == "http" else _by_family(batch):
                if not await self._send(together, way, GIVE_UP_S):
                    self._promises.unknown.append((self._story.publisher, together))
            await asyncio.sleep(chance.expovariate(1 / pause_s))

    async def settle(self) -> None:
        """After the faults: send again whatever got no answer, and something new, until it is answered."""
        mine = [events for publisher, events in self._promises.unknown if publisher == self._story.publisher]
        fresh = [self._story.next() for _ in range(FRESH_EVENTS)]
        for way, events in (
            *(("nats", events) for sent in mine for events in _by_family(sent)),
            ("http", fresh),
            *(("publish", events) for events in _by_family([self._story.next()])),
        ):
            if not await self._send(events, way, PEACE_GIVE_UP_S):
                self._promises.gave_up_in_peace.append(f"{self._story.publisher} by {way}: {events[0]['id']}")
                return

    async def _send(self, events: list[Event], way: str, give_up_s: float) -> bool:
        publisher, promises = self._story.publisher, self._promises
        try:
            if way == "publish":
                seq = await self._client.publish_batch(events)
                promises.stored.append((publisher, events, seq))
                self._story.town.believe(events, seq)
                return True
            submit = self._http.submit if way == "http" else self._client.submit
            outcomes = await submit(events, give_up_s)
        except UnknownOutcomeError:
            return False
        except NotPublishedError as error:
            raise AssertionError(f"{publisher} is refused altogether: {error}") from None
        for event, outcome in zip(events, outcomes, strict=True):
            promises.outcomes.append((publisher, event, outcome))
            self._story.town.hear(event, outcome)
        return True


def _by_family(events: list[Event]) -> list[list[Event]]:
    families: dict[str, list[Event]] = {}
    for event in events:
        families.setdefault(make.family_of(event), []).append(event)
    return list(families.values())
