"""The recount of plays: helpers, cuts to the last unit, commitments kept, prizes drawn as many as announced.

Whether each cut and draw is the one that the seed gives is for `check-draw` to say.
"""

from hashlib import sha256

from events import decisions as d
from events import play_decisions as p
from events.counted import counted
from events.limits import PLAY_HELPERS_MAX
from events.record import Entry
from events.standing_decisions import AssistDoubted
from services.ledger.audit_accounts import Check, DrawnGroup, PlayAccount, Recount


class PlayRecount:
    """Follows plays, assists and the seeds of drawn groups through the entries."""

    def __init__(self, recount: Recount) -> None:
        self._recount = recount
        self._drawing: dict[str, None] = {}

    def entry(self, entry: Entry) -> None:
        """Add an entry; all draws come before the next input is answered."""
        if self._drawing and entry.publisher is not None:
            self._check_drawn()
        for decision in entry.decisions:
            if isinstance(decision, p.PlayOpened):
                self._opened(decision)
            elif isinstance(decision, (*p.PLAY_DECISIONS, *p.ASSIST_DECISIONS, AssistDoubted)):
                self._of_play(decision)
            elif isinstance(decision, d.GroupOpened) and decision.seed_sha256 is not None:
                self._recount.drawn_groups.put(decision.group, DrawnGroup(decision.seed_sha256))
            elif isinstance(decision, d.GroupFilled) and decision.seed is not None:
                self._drawn_group(decision)

    def _opened(self, decision: p.PlayOpened) -> None:
        # A play that the matcher has forgotten may be opened anew under the same name.
        known = self._recount.plays.get(decision.play)
        if known is not None and not known.is_closed:
            self._recount.fail(Check.PLAYS, f"play {decision.play} is opened, but was open since entry {known.entry}")
        self._recount.totals.plays += 1
        self._recount.look(Check.DRAWS)
        account = PlayAccount(
            seed_sha256=decision.seed_sha256,
            helper_limit=decision.helper_limit or PLAY_HELPERS_MAX,
            entry=self._recount.entry,
            remaining_minor=decision.remaining_minor,
        )
        self._recount.plays.put(decision.play, account)

    def _of_play(self, decision: d.AnyDecision) -> None:
        name: str = getattr(decision, "play")  # noqa: B009  # every decision of these families names its play
        account = self._recount.plays.get(name)
        self._recount.look(Check.PLAYS)
        if account is None:
            self._recount.fail(Check.PLAYS, f"play {name} was never opened")
        elif isinstance(decision, p.PlayClosed):
            self._closed(decision, account)
        elif isinstance(decision, p.PriceCut):
            self._cut(decision, account)
        elif isinstance(decision, p.PlayCorrected):
            account.remaining_minor = decision.remaining_minor
        elif isinstance(decision, p.PlayWon):
            account.drawn += decision.draw is not None
            if account.drawn == account.to_draw:
                self._drawing.pop(name, None)
        else:
            self._assist(decision, account)

    def _assist(self, decision: d.AnyDecision, account: PlayAccount) -> None:
        if isinstance(decision, p.AssistCounted):
            self._recount.totals.assists_counted += 1
            account.helpers += 1
            if account.helpers > account.helper_limit and not account.is_closed:
                self._recount.fail(
                    Check.PLAYS,
                    f"play {decision.play} counts {counted(account.helpers, 'helper')}, "
                    f"allowed are {account.helper_limit}",
                )
        elif isinstance(decision, p.AssistVoided):
            account.helpers -= decision.was == "counted"
        elif isinstance(decision, AssistDoubted):
            account.helpers -= not decision.over
        else:
            return
        if decision.helpers != account.helpers:
            helpers = counted(decision.helpers, "helper")
            self._recount.fail(Check.PLAYS, f"play {decision.play} is told with {helpers}, counted {account.helpers}")

    def _cut(self, decision: p.PriceCut, account: PlayAccount) -> None:
        left = None if account.remaining_minor is None else account.remaining_minor - decision.cut_minor
        account.remaining_minor = decision.remaining_minor
        all_helped = account.helpers == account.helper_limit
        wrong = left != decision.remaining_minor or decision.cut_minor < 1 or left < 0 or (all_helped and left > 0)
        if wrong or account.is_closed:
            self._recount.fail(
                Check.PLAYS,
                f"play {decision.play}: {decision.cut_minor} is cut at position {decision.position}, then "
                f"{decision.remaining_minor} is left; counted is {left}" + (", and it is over" * account.is_closed),
            )

    def _closed(self, decision: p.PlayClosed, account: PlayAccount) -> None:
        if account.is_closed:
            self._recount.fail(Check.PLAYS, f"play {decision.play} is closed a second time")
        account.is_closed, account.to_draw, account.drawn = True, decision.winners or 0, 0
        if account.to_draw:
            self._drawing[decision.play] = None
        if _commitment(decision.seed) != account.seed_sha256:
            self._recount.fail(Check.DRAWS, f"play {decision.play} shows another seed than it committed to")
        if decision.helpers != account.helpers or decision.remaining_minor != account.remaining_minor:
            self._recount.fail(
                Check.PLAYS,
                f"play {decision.play} is closed with {counted(decision.helpers, 'helper')} and "
                f"{decision.remaining_minor} to cut; counted are {account.helpers} and {account.remaining_minor}",
            )

    def _drawn_group(self, decision: d.GroupFilled) -> None:
        self._recount.look(Check.DRAWS)
        known = self._recount.drawn_groups.get(decision.group)
        if known is None or _commitment(decision.seed or "") != known.seed_sha256:
            self._recount.fail(Check.DRAWS, f"group {decision.group} shows another seed than it committed to")

    def _check_drawn(self) -> None:
        for name in self._drawing:
            account = self._recount.plays.get(name)
            assert account is not None, "what is being drawn was opened"
            self._recount.fail(
                Check.DRAWS,
                f"of play {name} {counted(account.drawn, 'prize is', 'prizes are')} drawn, "
                f"announced were {account.to_draw}",
            )
        self._drawing.clear()


def _commitment(seed: str) -> str:
    try:
        return sha256(bytes.fromhex(seed)).hexdigest()
    except ValueError:
        return ""
