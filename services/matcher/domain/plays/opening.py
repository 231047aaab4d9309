"""Opening a play (RULES.md section 9)."""

from events import play_decisions as p
from events.fair import seed_commitment
from events.limits import LOTTERIES_PER_OFFER, PLAY_HELPERS_MAX
from events.play import PlayOpened, PlayOpenedEvent
from events.reasons import Reason
from events.times import NS_PER_S, parse_time_ns
from services.matcher.domain.plays.forms import FORMS
from services.matcher.domain.plays.rules import terms_of
from services.matcher.domain.positions import pack_entry
from services.matcher.domain.terms import DAY_S, Refusal
from services.matcher.domain.turn import Turn


def open_play(turn: Turn, event: PlayOpenedEvent) -> None:
    """Open a play, and commit to its seed."""
    data = event.data
    _check_room(turn, data)
    form = FORMS.get(data.form)
    if form is None:
        raise Refusal(Reason.PLAY_FORM_UNKNOWN)
    opening = form.open(data, terms_of(data))
    ends_ns = _ends_ns(turn, data)
    seed = turn.tree.plays.seed(data.play, pack_entry(turn.seq, turn.index, 0))
    turn.emit(
        p.PlayOpened(
            play=data.play,
            form=data.form,
            member=data.member,
            ends_at=ends_ns,
            helper_limit=None if opening.helper_limit == PLAY_HELPERS_MAX else opening.helper_limit,
            seed_sha256=seed_commitment(seed),
            publisher=turn.publisher,
            **opening.told,
        )
    )


def _check_room(turn: Turn, data: PlayOpened) -> None:
    market, plays = turn.state.market, turn.state.plays
    assert market is not None
    if data.play in plays.plays:
        raise Refusal(Reason.PLAY_EXISTS)
    if len(plays.plays) >= market.play_capacity:
        raise Refusal(Reason.CAPACITY)
    if not turn.tree.plays.is_committed(market.secret_commitment):
        raise Refusal(Reason.DRAWS_NOT_COMMITTED)
    if data.offer is not None and data.offer not in turn.state.offers:
        raise Refusal(Reason.OFFER_UNKNOWN)
    if data.offer is not None and len(plays.by_offer.get(data.offer, ())) >= LOTTERIES_PER_OFFER:
        raise Refusal(Reason.CAPACITY)


def _ends_ns(turn: Turn, data: PlayOpened) -> int:
    ends_ns = None if data.ends_at is None else parse_time_ns(data.ends_at)
    if ends_ns is not None and ends_ns <= turn.now:
        raise Refusal(Reason.PLAY_INCONSISTENT, "ends_at")
    if data.ttl_s is None:
        return turn.now + DAY_S * NS_PER_S if ends_ns is None else ends_ns
    after_ttl = turn.now + data.ttl_s * NS_PER_S
    return after_ttl if ends_ns is None else min(ends_ns, after_ttl)
