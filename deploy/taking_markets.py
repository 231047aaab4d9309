"""A running stack takes the markets that are added to its data directory, and lets go those that are removed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import nats.errors

from deploy.added_markets import AddedMarket, added_markets
from deploy.broker_error import BrokerError
from deploy.identity import IdentityError
from deploy.log_host import known_log_host
from deploy.provision import ProvisionError
from deploy.stack import Stack
from deploy.stack_files import StackError
from deploy.supervisor import Say

LOOK_S: Final = 0.5
AGAIN_S: Final = 10.0
"""How long a market that could not be served waits for the next try."""
_TROUBLE: Final = (StackError, BrokerError, ProvisionError, IdentityError, nats.errors.Error, OSError)


class TakenMarkets:
    """The added markets of a stack's data directory, and what keeps some of them from being served.

    `set_up` configures a market, by name, once its services run.
    """

    def __init__(self, stack: Stack, set_up: Callable[[str], Awaitable[None]], say: Say) -> None:
        self._stack = stack
        self._set_up = set_up
        self._say = say
        self._troubles: dict[str, str] = {}
        self._again_at_s: dict[str, float] = {}
        self._told = ""

    async def run(self) -> None:
        """Look until cancelled."""
        self._stack.say_where(takes_markets=True, troubles={})
        while True:
            try:
                await self.look()
            except _TROUBLE as error:
                # With the folder or a file of it: what is served goes on.
                self._tell(str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Begin with markets that are new, and end those that are gone. Raises StackError for an unusable file."""
        wanted = await asyncio.to_thread(added_markets, self._stack.data)
        wanted.pop(self._stack.market, None)
        for market in [market for market in self._stack.added if market not in wanted]:
            await self._stack.remove(market)
            self._say(f"the market {market} is served no more")
            self._note(market, None)
        for market in [market for market in self._troubles if market not in wanted]:
            self._note(market, None)
        for market, added in wanted.items():
            if market not in self._stack.added and time.monotonic() >= self._again_at_s.get(market, 0.0):
                await self._begin(market, added)

    async def _begin(self, market: str, added: AddedMarket) -> None:
        stack = self._stack
        host = known_log_host(stack.data, market) or stack.plan.log_host
        plan = replace(stack.plan, market=market, http_port=added.http_port, log_host=host)
        try:
            await stack.add(plan)
            await self._set_up(market)
        except _TROUBLE as error:
            if market in stack.added:
                await stack.remove(market)
            sentence = str(error) or type(error).__name__
            self._tell(f"the market {market} is not served: {sentence}")
            self._note(market, sentence)
        else:
            self._note(market, None)
            self._say(f"the market {market} is served, its gateway at {stack.address.added[market].http_url}")

    def _note(self, market: str, trouble: str | None) -> None:
        """Say for everybody how it stands with a market."""
        if trouble is None:
            self._troubles.pop(market, None)
            self._again_at_s.pop(market, None)
        else:
            self._troubles[market] = trouble
            self._again_at_s[market] = time.monotonic() + AGAIN_S
        self._stack.say_where(takes_markets=True, troubles=self._troubles)

    def _tell(self, sentence: str) -> None:
        """Say a sentence once, however often it is true."""
        if sentence != self._told:
            self._told = sentence
            self._say(sentence)
