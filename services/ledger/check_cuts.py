"""What each form of play must have told, step by step, given its seed: cuts, tickets, draws and rewards made again."""

from collections.abc import Iterator
from typing import Any

from events import decisions as d
from events import play_decisions as p
from events.assist import AssistGivenEvent
from events.counted import counted
from events.decode import decode_archived
from events.limits import PLAY_HELPERS_MAX
from events.play import PlayOpened
from events.record import Entry
from events.standing_decisions import AssistDoubted
from services.ledger.draw_rules import TicketList, cut


class FormCheck:
    """Follows one play from its opening; every method yields a sentence for what is not as it must be."""

    def __init__(self, seed: bytes, data: PlayOpened, opened: p.PlayOpened) -> None:
        self.seed = seed
        self.data = data
        self.opened = opened
        self.terms: dict[str, Any] = data.terms
        self.helper_limit = opened.helper_limit or PLAY_HELPERS_MAX
        self.helpers = 0
        self.closed: p.PlayClosed | None = None
        self._counted: p.AssistCounted | None = None

    def follow(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Add a decision of the play."""
        if isinstance(decision, p.AssistCounted):
            self._counted = decision
            self.helpers += 1
            yield from self._same("helpers", decision.helpers, self.helpers)
            if self.helpers > self.helper_limit and self.closed is None:
                yield f"{self.helpers} helped, allowed are {self.helper_limit}"
        elif isinstance(decision, p.AssistVoided):
            self.helpers -= decision.was == "counted"
            yield from self._same("helpers", decision.helpers, self.helpers)
        elif isinstance(decision, AssistDoubted):
            self.helpers -= not decision.over
            yield from self._same("helpers", decision.helpers, self.helpers)
        elif isinstance(decision, p.PlayClosed):
            if self.closed is not None:
                yield "it is closed a second time"
            self.closed = decision
            yield from self._same("helpers", decision.helpers, self.helpers)
        yield from self.step(entry, decision)

    def step(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Add a decision, as the form has it."""
        raise NotImplementedError

    def missing(self) -> Iterator[str]:
        """Yield what should have followed by the end and did not."""
        yield from ()

    def figures(self) -> dict[str, Any]:
        """Return what was counted and drawn, for people."""
        return {"helpers": self.helpers}

    def helper_of(self, position: int) -> tuple[str, int]:
        """Return (helper, weight) of the assist that was counted just before, at `position`."""
        counted = self._counted
        if counted is None or counted.position != position:
            return "", 1
        return counted.member, self.data.new_weight if counted.new_member else 1

    @staticmethod
    def _same(what: str, told: object, expected: object) -> Iterator[str]:
        if told != expected:
            yield f"{what} is told as {told}, it is {expected}"


class OtherCheck(FormCheck):
    """A form that draws nothing, or is not known here: its helpers are counted, its seed is compared."""

    def step(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Nothing more is to be made again."""
        del entry, decision
        yield from ()


class BargainCheck(FormCheck):
    """Makes every cut again."""

    def __init__(self, seed: bytes, data: PlayOpened, opened: p.PlayOpened) -> None:
        super().__init__(seed, data, opened)
        self.remaining_minor = int(self.terms["start_minor"]) - int(self.terms["floor_minor"])
        self.cuts: dict[int, int] = {}

    def step(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Follow what can still be cut."""
        del entry
        if isinstance(decision, p.PriceCut):
            yield from self._cut(decision)
        elif isinstance(decision, p.PlayCorrected):
            self.remaining_minor += self.cuts.pop(decision.position, 0)
            yield from self._same("what can still be cut", decision.remaining_minor, self.remaining_minor)
        elif isinstance(decision, p.PlayClosed | p.PlayOpened):
            yield from self._same("what can still be cut", decision.remaining_minor, self.remaining_minor)
            price_minor = int(self.terms["floor_minor"]) + self.remaining_minor
            yield from self._same("the price", decision.price_minor, price_minor)

    def _cut(self, decision: p.PriceCut) -> Iterator[str]:
        helper, weight = self.helper_of(decision.position)
        expected = cut(
            self.seed,
            decision.position,
            helper,
            remaining_minor=self.remaining_minor,
            helpers_left=self.helper_limit - self.helpers + 1,
            share_percent=int(self.terms.get("share_percent", 50)),
            weight=weight,
        )
        yield from self._same(f"the cut at position {decision.position}", decision.cut_minor, expected)
        self.cuts[decision.position] = decision.cut_minor
        self.remaining_minor -= decision.cut_minor
        yield from self._same("what can still be cut", decision.remaining_minor, self.remaining_minor)

    def figures(self) -> dict[str, Any]:
        """Return the cuts that stand."""
        return {**super().figures(), "cuts": len(self.cuts), "remaining_minor": self.remaining_minor}


class UnlockCheck(FormCheck):
    """Counts again what was unlocked."""

    def __init__(self, seed: bytes, data: PlayOpened, opened: p.PlayOpened) -> None:
        super().__init__(seed, data, opened)
        self.reached = 0
        self.won: list[str] = []
        self._weights: dict[int, int] = {}

    def step(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Follow how far the play has come."""
        del entry
        if isinstance(decision, p.PlayAdvanced):
            self._weights[decision.position] = self.helper_of(decision.position)[1]
            self.reached += self._weights[decision.position]
            yield from self._same("how far it has come", decision.reached, self.reached)
        elif isinstance(decision, p.PlayCorrected):
            self.reached -= self._weights.pop(decision.position, 0)
            yield from self._same("how far it has come", decision.reached, self.reached)
            self.won = [reward for reward in self.won if reward not in (decision.revoked or ())]
        elif isinstance(decision, p.PlayWon):
            self.won.append(decision.prize)
            if decision.prize not in self._unlocked():
                yield f"{decision.prize} is not unlocked with {self.reached}"

    def missing(self) -> Iterator[str]:
        """Yield rewards that were reached and not told."""
        yield from (f"{reward} is unlocked and was not told" for reward in self._unlocked() if reward not in self.won)

    def _unlocked(self) -> list[str]:
        return [str(tier["reward"]) for tier in self.terms["tiers"] if int(tier["helpers"]) <= self.reached]

    def figures(self) -> dict[str, Any]:
        """Return what is unlocked."""
        return {**super().figures(), "reached": self.reached, "rewards": self.won}


class LotteryCheck(FormCheck):
    """Writes the list of tickets again, and draws over it."""

    def __init__(self, seed: bytes, data: PlayOpened, opened: p.PlayOpened) -> None:
        super().__init__(seed, data, opened)
        self.list = TicketList()
        self.expected: list[tuple[str, str]] = []
        self.won: list[tuple[str, str]] = []
        self._of: dict[int, tuple[str, int]] = {}
        self._seats: list[d.SeatRef] = []

    def step(self, entry: Entry, decision: d.AnyDecision) -> Iterator[str]:
        """Follow the list of tickets, and the draws over the final one."""
        if isinstance(decision, p.PlayTicketed):
            yield from self._ticketed(entry, decision)
        elif isinstance(decision, p.AssistHeld):
            self._held(entry)
        elif isinstance(decision, p.PlayCorrected):
            name, tickets = self._of.pop(decision.position, ("", 0))
            if tickets:
                self.list.add(name, -tickets, f"a{decision.position}")
            yield from self._same("the number of tickets", decision.tickets, sum(self.list.tickets.values()))
        elif isinstance(decision, p.PlayClosed):
            yield from self._close(decision)
        elif isinstance(decision, p.PlayWon):
            yield from self._win(decision)

    def _ticketed(self, entry: Entry, decision: p.PlayTicketed) -> Iterator[str]:
        if decision.member is not None and decision.position is not None:
            given = self._tickets_of_assist(decision.position)
            yield from self._same(f"the tickets at position {decision.position}", decision.tickets, given)
            if decision.tickets:
                self._of[decision.position] = decision.member, decision.tickets
            self.list.add(decision.member, decision.tickets, f"a{decision.position}")
        else:
            yield from self._same("the tickets of a seat", decision.tickets, int(self.terms.get("tickets_per_seat", 0)))
            for page in entry.decisions:
                if isinstance(page, d.GroupFilled) and (page.group, page.page) == (decision.group, decision.page):
                    for seat in page.seats:
                        self.list.add(seat.member, decision.tickets, seat.order)
        yield from self._same("the number of tickets", decision.total, sum(self.list.tickets.values()))

    def _tickets_of_assist(self, position: int) -> int:
        return int(self.terms.get("tickets_per_assist", 1)) * self.helper_of(position)[1]

    def _held(self, entry: Entry) -> None:
        """Give who shared a place in the list, which tickets of a held assist would go to."""
        event = None if entry.event is None else decode_archived(entry.event)
        if isinstance(event, AssistGivenEvent) and self.terms.get("tickets_to", "sharer") == "sharer":
            self.list.enter(event.data.via or self.data.member or "")

    def _close(self, decision: p.PlayClosed) -> Iterator[str]:
        tickets = self.list.tickets
        entrants = sum(1 for held in tickets.values() if held)
        yield from self._same("the number of tickets", decision.tickets, sum(tickets.values()))
        yield from self._same("the number of entrants", decision.entrants, entrants)
        yield from self._same("the digest of the list", decision.list_sha256, self.list.digest)
        if decision.cause == "cancelled":
            return
        many = self.terms.get("wins", "one") == "many"
        prizes = [str(row["prize"]) for row in self.terms["prizes"] for _ in range(int(row.get("quantity", 1)))]
        winners = self.list.draw(self.seed, len(prizes), many=many)
        self.expected = list(zip(winners, prizes, strict=False))
        yield from self._same("the number of winners", decision.winners, len(self.expected))

    def _win(self, decision: p.PlayWon) -> Iterator[str]:
        place = len(self.won)
        self.won.append((decision.member or "", decision.prize))
        yield from self._same("the number of the draw", decision.draw, place + 1)
        if place >= len(self.expected):
            yield f"draw {place + 1} is one too many"
        elif self.expected[place] != self.won[place]:
            yield (
                f"draw {place + 1} gives {self.expected[place][1]} to {self.expected[place][0]}; told was "
                f"{decision.prize} to {decision.member}"
            )

    def missing(self) -> Iterator[str]:
        """Yield draws that have not been told."""
        if len(self.won) < len(self.expected):
            yield f"{len(self.won)} of {counted(len(self.expected), 'draw is', 'draws are')} told in these entries"

    def figures(self) -> dict[str, Any]:
        """Return the list's digest and the winners."""
        winners = [{"draw": n + 1, "member": member, "prize": prize} for n, (member, prize) in enumerate(self.expected)]
        tickets = sum(self.list.tickets.values())
        return {**super().figures(), "tickets": tickets, "list_sha256": self.list.digest, "winners": winners}
