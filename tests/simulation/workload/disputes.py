"""Events about disputes."""

from typing import TYPE_CHECKING, Any, Final

from events.times import format_time_ns
from tests import builders as make
from tests.simulation.workload.town import Event, member, recent

if TYPE_CHECKING:
    from tests.simulation.workload.story import Story

_ACTORS: Final = ("cs-1", "cs-2", "cs-3")
_REMEDIES: Final = {
    "order": ("refund", "refund", "refund", "seat", "none"),
    "group": ("refund", "seat"),
    "play": ("none", "assist_voided"),
    "assist": ("assist_counted", "assist_voided"),
    "sanction": ("member_reinstated", "none"),
}
_PARTIES: Final = ("member", "merchant", "platform")


def claimed(story: "Story") -> Event:
    """A member claims something about an order, a group, a play, an assist, a sanction or an invitation."""
    chance = story.chance
    dispute = story.name("d") if chance.random() < 0.95 else recent(chance, list(story.town.disputes), "d-0")
    fields: dict[str, Any] = {"dispute": dispute}
    who, kind = member(chance), chance.random()
    if chance.random() < 0.4:
        fields["incident"] = "outage-1"
    if kind < 0.6 and story.town.orders:
        known = story.town.filled if chance.random() < 0.7 else story.town.seated
        order = recent(chance, known or list(story.town.orders), "o-nobody")
        who = story.town.orders.get(order, {}).get("member", who)
        return make.claimed(order, who, **fields)
    if kind < 0.65:
        group, _ = recent(chance, story.town.groups, ("g9-9", ""))
        return make.claimed(group, who, about="group", **fields)
    if kind < 0.75:
        return make.claimed(recent(chance, story.town.plays, "play-0"), who, about="play", **fields)
    if kind < 0.9 and story.town.assists:
        play, assist, helper = recent(chance, story.town.assists, ("play-0", "a-0", "m-0"))
        return make.claimed(assist, helper, about="assist", play=play, **fields)
    if kind < 0.97:
        return make.claimed("sanction", who, about="sanction", **fields)
    happened_at = format_time_ns(story.now_ns())
    return make.claimed("notice-1", who, about="notice", happened_at=happened_at, **fields)


def argued(story: "Story") -> Event:
    """A party answers, hands something in, or appeals."""
    chance = story.chance
    if not story.town.disputes:
        return claimed(story)
    dispute, party = recent(chance, list(story.town.disputes)[-6:], "d-0"), chance.choice(_PARTIES)
    kind = chance.random()
    if kind < 0.5:
        return make.answered(dispute, party=party)
    if kind < 0.75:
        return make.evidenced(chance.choice(("ab", "cd")) * 32, dispute, party=party)
    return make.appealed(dispute, party=party)


def resolved(story: "Story") -> Event:
    """Customer service decides, with some remedy."""
    chance = story.chance
    if not story.town.disputes:
        return claimed(story)
    dispute, actor = recent(chance, list(story.town.disputes)[-6:], "d-0"), chance.choice(_ACTORS)
    about = story.town.disputes.get(dispute, "") if chance.random() < 0.9 else chance.choice(list(_REMEDIES))
    kind = chance.choice(_REMEDIES.get(about, ("none",)))
    remedy: dict[str, Any] = {}
    if kind == "refund" and chance.random() < 0.6:
        remedy["amount_minor"] = chance.choice((1, 3_000, 20_000))
    if kind == "member_reinstated":
        remedy["member"] = member(chance)
    return make.resolved(kind, dispute, remedy=remedy, actor=actor)
