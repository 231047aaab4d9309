"""A running stack under what nearly are events: by the broker, by requests over the broker, and over HTTP.

Afterwards everything has its outcome, the ledger verifies, the books balance, and no log shows a traceback.
"""

import asyncio
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from deploy.cli.archive import archive
from deploy.cli.event_file import check_lines
from deploy.first_run import first_configuration, sample_offer, set_up_market
from deploy.permissions import OPERATOR
from deploy.reach import http_get
from deploy.stack import Stack, StackPlan
from deploy.stack_files import logs_directory, read_token
from events import subjects
from events.limits import PAYLOAD_MAX_BYTES
from services.ledger.audit import audit
from services.ledger.verify import verify
from tests.bench.driving import wait_level
from tests.fuzz.mutating import Mutator
from tests.fuzz.rules import Found

MARKET: Final = "main"
SHOP: Final = "local"
EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
FRESH_EVERY: Final = 500
"""After so many mutants the examples are told anew, with other ids, so that there is always something open."""
ASKED_EVERY: Final = 20
"""One mutant in so many goes through the gateway, half of them over HTTP."""
IN_FLIGHT_MAX: Final = 256
STATUSES: Final = frozenset({200, 202, 400, 401, 404, 413, 415, 429, 503, 504})
HTTP_ANSWER_MAX_BYTES: Final = 8 << 20


Sent = tuple[str, str, bytes]
"""Publisher, family and body of a message."""


class Material:
    """Events of every family that are right just now, under ids of their own, and mutants of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._round = 0

    def fresh(self) -> list[Sent]:
        """Return (publisher, family, body) of every example, its names changed so that it happens anew."""
        self._round += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        found: list[Sent] = []
        for path in sorted(EXAMPLES.glob("*.ndjson")):
            lines = path.read_bytes().replace(b"first-", b"r%d-" % self._round).splitlines()
            found += [
                (OPERATOR if event.publisher == OPERATOR else SHOP, event.family, msgspec.json.encode(event.document))
                for event in check_lines(lines, now)
            ]
        return found

    def mutator(self, told: list[Sent]) -> Mutator:
        """Return what changes these."""
        mutator = Mutator(self.chance.choice, [body for _, _, body in told])
        mutator.made = self._round * 1_000_000
        return mutator


class Storm:
    """One run: sends, counts what the doors say, and looks at what remains."""

    def __init__(self, stack: Stack, http: httpx2.AsyncClient, seed: int) -> None:
        self.stack = stack
        self.material = Material(seed)
        self.tally: Counter[str] = Counter()
        self._http = http
        self._url = f"{stack.address.http_url}/markets/{MARKET}/events"
        self._token = read_token(stack.data, SHOP)

    async def blow(self, events: int) -> None:
        """Send `events` mutants, and what is right in between. Raises Found where a door answers wrongly."""
        async with self.stack.connected(SHOP) as shop, self.stack.connected(OPERATOR) as operator:
            doors = {
                name: client.jetstream(publish_async_max_pending=IN_FLIGHT_MAX)
                for name, client in ((SHOP, shop), (OPERATOR, operator))
            }
            sent = 0
            while sent < events:
                told = self.material.fresh()
                mutator = self.material.mutator(told)
                for publisher, family, body in told:
                    await self._publish(doors[publisher], publisher, family, body)
                for _ in range(min(FRESH_EVERY, events - sent)):
                    sent += 1
                    publisher, family, body = self.material.chance.choice(told)
                    mutant = mutator.body(body)
                    if sent % ASKED_EVERY or publisher == OPERATOR:
                        await self._publish(doors[publisher], publisher, family, mutant)
                    elif sent % (2 * ASKED_EVERY):
                        await self._post(mutant)
                    else:
                        await self._ask(shop, family, mutant)
            for door in doors.values():
                await door.publish_async_completed()

    async def _publish(self, door: JetStreamContext, publisher: str, family: str, body: bytes) -> None:
        if len(body) > PAYLOAD_MAX_BYTES:
            return
        await door.publish_async(subjects.intake(MARKET, publisher, family), body, wait_stall=60)
        self.tally["published"] += 1

    async def _post(self, body: bytes) -> None:
        kind = "application/cloudevents-batch+json" if body.lstrip()[:1] == b"[" else "application/cloudevents+json"
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        answer = await self._http.post(self._url, content=body, headers=headers)
        self.tally[f"http {answer.status_code}"] += 1
        if answer.status_code not in STATUSES:
            raise Found(f"HTTP {answer.status_code} {answer.text[:300]!r} for {body[:2_000]!r}")
        self._look(answer.content, body)

    async def _ask(self, client: Client, family: str, body: bytes) -> None:
        try:
            answer = await client.request(subjects.submit(MARKET, SHOP, family), body, timeout=15)
        except nats.errors.TimeoutError:
            raise Found(f"no answer within 15 s for {body[:2_000]!r}") from None
        self.tally["asked"] += 1
        self._look(answer.data, body)

    @staticmethod
    def _look(answer: bytes, body: bytes) -> None:
        """Raise Found unless an answer has outcomes, or an error with a sentence."""
        said = msgspec.json.decode(answer)
        if not (said.get("outcomes") or (said.get("error") or said).get("message")):
            raise Found(f"an answer without outcome or sentence, {answer[:300]!r}, for {body[:2_000]!r}")


async def _check(stack: Stack) -> Counter[str]:
    """Raise Found where something is undecided, unsound or ill."""
    await wait_level(stack)
    status, body = await http_get(f"{stack.address.http_url}/healthz")
    if status != 200:
        raise Found(f"the stack is not well: {body[:500]!r}")
    for log in logs_directory(stack.data).glob("*.log"):
        text = log.read_text(errors="replace")
        if "Traceback" in text:
            raise Found(f"a traceback in {log.name}: {text[text.index('Traceback') :][:2_000]}")
    with archive(stack.data, MARKET) as store:
        report, accounts = verify(store), audit(store)
        if report.fault is not None:
            raise Found(f"the ledger does not verify: {report.fault}")
        if not accounts.clean:
            raise Found(f"the audit is not clean: {accounts}")
        return Counter({"entries": report.entries, "records": report.records})


async def _run(seed: int, events: int) -> Counter[str]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        async with (
            Stack(StackPlan(data=Path(folder), market=MARKET, publishers=(SHOP,)), lambda _: None) as stack,
            httpx2.AsyncClient(trust_env=False, timeout=30) as http,
        ):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            await set_up_market(stack, now, first_configuration([SHOP]), [sample_offer()])
            storm = Storm(stack, http, seed)
            await storm.blow(events)
            storm.tally.update(await _check(stack))
            if any(stack.supervisor.restarts.values()):
                raise Found(f"services died: {stack.supervisor.restarts}")
            return storm.tally


def fuzz_service(seed: int, events: int) -> Counter[str]:
    """Send `events` mutants to a running stack; return what its doors said and what it archived. Raises Found."""
    return asyncio.run(_run(seed, events))
