"""Decisions about standing in words that an operator can read out."""

from typing import Final

from events import standing_decisions as st
from events.counted import counted
from events.times import format_time_ns

STANDING: Final = (
    st.MemberReported,
    st.MemberWarned,
    st.MemberLimited,
    st.MemberBanned,
    st.MemberReinstated,
    st.AssistDoubted,
)
StandingDecision = (
    st.MemberReported | st.MemberWarned | st.MemberLimited | st.MemberBanned | st.MemberReinstated | st.AssistDoubted
)


def standing_in_words(decision: StandingDecision) -> str:
    """Return what was decided, in one sentence."""
    if isinstance(decision, st.AssistDoubted):
        stays = "; the play is over, so it counts until a review voids it" if decision.over else ""
        why = f"score {decision.score}: {', '.join(decision.reasons)}, since entry {decision.because}"
        return f"the assist at position {decision.position} of play {decision.play} is held for review, {why}{stays}"
    whose = f"member {decision.member}"
    if isinstance(decision, st.MemberReported):
        return f"{whose} has been reported by {counted(decision.reports, 'member')}"
    by = "" if decision.actor is None else f", by {decision.actor}, reason {decision.reason}, ticket {decision.ticket}"
    if isinstance(decision, st.MemberReinstated):
        was = f", {decision.was} before" if decision.was else ""
        return f"{whose} is reinstated{was}: {'its time is over' if decision.cause == 'expired' else 'undone'}{by}"
    kind = str(decision.__struct_config__.tag).removeprefix("member.")
    entries = ", ".join(decision.evidence_entries) or "none"
    return (
        f"{whose} is {kind} until {format_time_ns(decision.until)}, ground {decision.ground}{by}; "
        f"{decision.strikes} strikes, evidence in entries {entries}"
    )
