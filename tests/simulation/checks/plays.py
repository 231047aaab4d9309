"""Checks on plays: helpers once and within limits, cuts never below the floor, prizes never more than there are."""

import datetime
import hashlib
from collections import Counter, defaultdict
from typing import Any

import msgspec

from events.times import NS_PER_S
from tests.simulation.checks.history import History, Told, must


class _Play(msgspec.Struct):
    """A play as it stands."""

    form: str
    ends_at: int
    seed_sha256: str
    data: dict[str, Any]
    limit: int | None
    day_cap: int | None
    is_over: bool = False
    counted: dict[int, str] = {}
    """Position -> helper, of assists that count."""
    helpers: set[str] = set()
    """Everybody who ever helped, in whatever way that ended."""
    cuts: dict[int, int] = {}
    won: list[tuple[str, str | None]] = []
    tiers: set[str] = set()
    draws: int = 0


class _Plays:
    """Follows plays and assists."""

    def __init__(self, history: History) -> None:
        self.plays: dict[str, _Play] = {}
        self.days: Counter[tuple[str, str]] = Counter()
        self.zone = history.world.setting.zone
        self.is_forgetful = history.world.setting.is_forgetful
        self.caps = history.world.setting.assist_caps

    def follow(self, told: Told, event: dict[str, Any] | None) -> None:
        """Book one decision."""
        kind, what = told.kind, told.what
        if kind == "play.opened":
            self._opened(told, event)
            return
        play = self.plays.get(getattr(what, "play", None) or "")
        if play is None or not kind.startswith(("play.", "assist.", "price.")):
            return
        if kind in ("assist.counted", "assist.held", "assist.refused"):
            self._helped(told, play, event)
        elif kind in ("assist.voided", "assist.doubted"):
            self._lost(told, play)
        elif kind == "price.cut":
            self._cut(told, play)
        elif kind == "play.corrected":
            self._corrected(told, play)
        elif kind == "play.closed":
            self._closed(told, play)
        elif kind == "play.won":
            self._won(told, play)

    def _opened(self, told: Told, event: dict[str, Any] | None) -> None:
        what = told.what
        assert event is not None, "plays are opened by events"
        known = self.plays.get(what.play)
        # Where what has ended is forgotten at once, its name may be used again.
        may_be = known is None or (known.is_over and self.is_forgetful)
        must(may_be, f"{told.name}: {what.play} is opened twice")
        cap = event["data"].get("per_helper_day", self.caps.get("per_helper_day"))
        self.plays[what.play] = _Play(what.form, what.ends_at, what.seed_sha256, event["data"], what.helper_limit, cap)
        must(what.ends_at > told.entry.at, f"{told.name}: {what.play} ends before it begins")

    def _helped(self, told: Told, play: _Play, event: dict[str, Any] | None) -> None:
        what, at = told.what, told.entry.at
        is_given = event is not None and event["type"] == "groupbuy.assist.given.v1"
        if is_given:
            must(at < play.ends_at, f"{told.name}: {what.play} is helped at or after its end")
            must(not play.is_over, f"{told.name}: {what.play} is helped and was over")
            must(what.member not in play.helpers, f"{told.name}: {what.member} helps {what.play} a second time")
            must(what.member != play.data.get("member"), f"{told.name}: {what.member} helps the own play")
            play.helpers.add(what.member)
        if is_given and told.kind != "assist.refused":
            self._count_day(told, play)
        if told.kind == "assist.counted":
            play.counted[what.position] = what.member
            must(what.helpers == len(play.counted), f"{told.name}: {what.helpers} helpers, counted {len(play.counted)}")
            within = play.is_over or play.limit is None or len(play.counted) <= play.limit
            must(within, f"{told.name}: {len(play.counted)} help {what.play}, allowed are {play.limit}")

    def _count_day(self, told: Told, play: _Play) -> None:
        day = str(datetime.datetime.fromtimestamp(told.entry.at // NS_PER_S, self.zone).date())
        self.days[told.what.member, day] += 1
        most = play.day_cap
        within = most is None or self.days[told.what.member, day] <= most
        must(within, f"{told.name}: {told.what.member} helps more than {most} times on {day}")

    def _lost(self, told: Told, play: _Play) -> None:
        what = told.what
        if not (told.kind == "assist.doubted" and what.over):
            play.counted.pop(what.position, None)
        must(what.helpers == len(play.counted), f"{told.name}: {what.helpers} helpers, counted {len(play.counted)}")
        if not play.is_over:
            play.cuts.pop(what.position, None)

    def _room(self, play: _Play) -> int:
        terms = play.data["terms"]
        return int(terms["start_minor"] - terms["floor_minor"])

    def _cut(self, told: Told, play: _Play) -> None:
        what = told.what
        must(not play.is_over, f"{told.name}: the price of {what.play} is cut after its end")
        must(what.cut_minor >= 1, f"{told.name}: a cut of {what.cut_minor}")
        play.cuts[what.position] = what.cut_minor
        cut, room = sum(play.cuts.values()), self._room(play)
        must(cut <= room, f"{told.name}: {cut} is cut off {what.play}, at most {room} may be")
        price = play.data["terms"]["start_minor"] - cut
        must(what.price_minor == price, f"{told.name}: the price of {what.play} is {what.price_minor}, counted {price}")
        must(what.remaining_minor == room - cut, f"{told.name}: {what.remaining_minor} is left, counted {room - cut}")
        if len(play.counted) == play.limit:
            must(cut == room, f"{told.name}: all helped {what.play} and {room - cut} is left")

    def _corrected(self, told: Told, play: _Play) -> None:
        what = told.what
        if play.form == "bargain":
            left = self._room(play) - sum(play.cuts.values())
            must(what.remaining_minor == left, f"{told.name}: {what.remaining_minor} is left, counted {left}")
        play.tiers -= set(what.revoked or ())

    def _closed(self, told: Told, play: _Play) -> None:
        what = told.what
        must(not play.is_over, f"{told.name}: {what.play} is closed twice")
        play.is_over = True
        if what.cause == "ended":
            must(told.entry.at >= play.ends_at, f"{told.name}: {what.play} ends before its time")
        elif told.entry.publisher is not None:
            must(told.entry.at < play.ends_at, f"{told.name}: {what.play} is closed after its end")
        shown = hashlib.sha256(bytes.fromhex(what.seed)).hexdigest()
        must(shown == play.seed_sha256, f"{told.name}: {what.play} shows another seed than it committed to")
        if what.cause == "bought":
            price = play.data["terms"]["start_minor"] - sum(play.cuts.values())
            must(
                what.price_minor == price, f"{told.name}: {what.play} is sold at {what.price_minor}, reached is {price}"
            )
        play.draws = what.winners or 0

    def _won(self, told: Told, play: _Play) -> None:
        what = told.what
        if play.form == "unlock":
            must(what.prize not in play.tiers, f"{told.name}: {what.prize} of {what.play} is unlocked twice")
            tier = next(row for row in play.data["terms"]["tiers"] if row["reward"] == what.prize)
            must(what.helpers * 10 >= tier["helpers"], f"{told.name}: {what.prize} is unlocked too early")
            play.tiers.add(what.prize)
            return
        play.won.append((what.prize, what.member))
        given = Counter(prize for prize, _ in play.won)
        there = {row["prize"]: row.get("quantity", 1) for row in play.data["terms"]["prizes"]}
        must(given[what.prize] <= there[what.prize], f"{told.name}: {what.prize} is won {given[what.prize]} times")
        must(what.draw == len(play.won), f"{told.name}: draw {what.draw} comes as number {len(play.won)}")
        if play.data["terms"].get("wins", "one") == "one":
            winners = [member for _, member in play.won]
            must(len(set(winners)) == len(winners), f"{told.name}: {what.member} wins {what.play} twice")


def plays_add_up(history: History) -> None:
    """Helpers, cuts and prizes, recounted from the events' own terms; what has ended was told, and in time."""
    books = _Plays(history)
    for told in history.decisions:
        books.follow(told, history.event_of(told.entry))
    drawn: dict[str, int] = defaultdict(int)
    for name, play in books.plays.items():
        drawn[name] = len(play.won) if play.form == "lottery" else play.draws
        must(drawn[name] == play.draws, f"of {name} {drawn[name]} prizes are drawn, announced were {play.draws}")
        if history.world.setting.clock != "event":
            late = not play.is_over and play.ends_at < history.world.loop.now_ns() - 60 * NS_PER_S
            must(not late, f"{name} is open past its end")
