"""What plays need beside the state: the market's facts, its calendar, and rules decoded once for all that are alike."""

from typing import Final

from events.fair import secret_commitment, secret_of, seed_of
from services.matcher.domain.facts import Facts, Zones
from services.matcher.domain.plays.calendar import Calendar
from services.matcher.domain.plays.drawing import Board
from services.matcher.domain.plays.rules import Rules, read_rules
from services.matcher.domain.plays.state import Play, Plays
from services.matcher.domain.positions import unpack_entry

_RULES_REMEMBERED: Final = 10_000
_SEEDS_REMEMBERED: Final = 10_000
_PLAY: Final = "play"
_GROUP: Final = "group"


class PlayIndex:
    """Nothing of it is in a snapshot: the facts because they are secret, the rest because it follows from the state."""

    def __init__(self, market: str, facts: Facts, zones: Zones) -> None:
        """Serve the plays of `market`."""
        self.market = market
        self.boards: dict[str, Board] = {}
        """Draws under way, by play."""
        self._zones = zones
        self._calendar: Calendar | None = None
        self._secret = secret_of(facts.market_key)
        self._commitment = secret_commitment(self._secret) if facts.are_known else None
        self._rules: dict[bytes, Rules] = {}
        self._seeds: dict[int, bytes] = {}

    def is_committed(self, commitment: str | None) -> bool:
        """Tell whether a market's commitment is that of the secret at hand, or of one that is not to be had here."""
        return commitment is not None and commitment == (self._commitment or commitment)

    def day(self, state: Plays, timezone: str, at_ns: int) -> str:
        """Return the day at `at_ns` in the market's time zone, which never goes back: some clocks turn at midnight."""
        if self._calendar is None:
            self._calendar = Calendar(self._zones, timezone)
        return max(self._calendar.day(at_ns), state.day)

    def seed(self, play: str, opened: int) -> bytes:
        """Return the seed of the play that the event at the packed position `opened` opened."""
        seed = self._seeds.get(opened)
        if seed is None:
            if len(self._seeds) >= _SEEDS_REMEMBERED:
                self._seeds.clear()
            seq, index, _ = unpack_entry(opened)
            seed = self._seeds[opened] = seed_of(self._secret, self.market, _PLAY, play, seq, index)
        return seed

    def group_seed(self, group: str) -> bytes:
        """Return the seed of a group whose winners are drawn; its id tells the event that opened it."""
        seq, index = group.removeprefix("g").split("-")
        return seed_of(self._secret, self.market, _GROUP, group, int(seq), int(index))

    def rules(self, play: Play) -> Rules:
        """Return the rules of `play`."""
        found = self._rules.get(play.rules)
        return self.read(play.rules) if found is None else found

    def read(self, text: bytes) -> Rules:
        """Return the rules that a play keeps as `text`, the same for all that are alike."""
        found = self._rules.get(text)
        if found is None:
            if len(self._rules) >= _RULES_REMEMBERED:
                self._rules.clear()
            found = self._rules[text] = read_rules(text)
        return found
