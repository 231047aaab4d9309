"""Events about plays and assists."""

from typing import TYPE_CHECKING, Any, Final

from events.times import NS_PER_S, format_time_ns
from tests import builders as make
from tests.simulation.workload.town import Event, friend, member, offer, recent

if TYPE_CHECKING:
    from tests.simulation.workload.story import Story

_HELPERS: Final = 15


def opened(story: "Story") -> Event:
    """A play of some form, short and small."""
    chance = story.chance
    play = story.name("play") if chance.random() < 0.95 else recent(chance, story.town.plays, "play-0")
    fields: dict[str, Any] = {
        "ttl_s": chance.choice((20, 60, 600, 3_600)),
        "new_weight": chance.choice((1, 1, 2)),
        "new_only": chance.random() < 0.1,
        "per_helper_day": chance.choice((None, None, 1)),
    }
    if chance.random() < 0.2:
        fields["ends_at"] = format_time_ns(story.now_ns() + chance.choice((1, 10)) * NS_PER_S)
    form = chance.random()
    if form < 0.4:
        floor = chance.choice((3_980, 990, 990, 3_989))
        terms = {"floor_minor": floor, "share_percent": chance.choice((50, 100, 1))}
        return make.bargain(play, member(chance), helper_limit=chance.choice((2, 3, 6)), terms=terms, **fields)
    if form < 0.7:
        prizes = chance.choice(((("kettle", 1), ("tea", 2)), (("kettle", 1),), (("tea", 40),)))
        terms = {"tickets_to": chance.choice(("sharer", "helper")), "wins": chance.choice(("one", "many"))}
        if chance.random() < 0.5:
            fields["offer"], terms["tickets_per_seat"] = offer(chance), 1
        owner = member(chance) if chance.random() < 0.7 else None
        return make.lottery(play, prizes, member=owner, terms=terms, **fields)
    tiers = chance.choice((((2, "c2"), (4, "c4")), ((1, "c1"),), ((3, "c3"), (9, "c9"))))
    return make.unlock(play, member(chance), tiers=tiers, **fields)


def helped(story: "Story") -> Event:
    """Somebody helps a play, perhaps a second time, perhaps the own one."""
    chance = story.chance
    if not story.town.plays:
        return opened(story)
    play = recent(chance, story.town.plays[-4:], "play-0")
    assist = story.name("a") if chance.random() < 0.95 else "a-same"
    helper = friend(chance) if chance.random() < 0.4 else f"h-{chance.randrange(_HELPERS)}"
    fields: dict[str, Any] = {}
    if chance.random() < 0.3:
        fields["via"] = member(chance)
    if chance.random() < 0.6:
        device, network = f"d{chance.randrange(6)}", f"n{chance.randrange(3)}"
        fields["signals"] = make.signals(device, network, chance.choice((0, 3, 30, 400)))
    return make.event("assist.given", play=play, assist=assist, member=helper, **fields)


def reviewed(story: "Story") -> Event:
    """A review takes an assist back, or lets a held one count."""
    chance = story.chance
    if not story.town.assists:
        return helped(story)
    play, assist, helper = recent(chance, story.town.assists, ("play-0", "a-0", "m-0"))
    return make.voided(play, assist, helper, chance.choice(("void", "void", "count")))


def closed(story: "Story") -> Event:
    """A play is closed before its time."""
    chance = story.chance
    play, cause = recent(chance, story.town.plays[-6:], "play-0"), chance.choice(("bought", "early", "cancelled"))
    fields = {"actor": "amy", "reason": "complaint", "ticket": "t-1"} if cause == "cancelled" else {}
    return make.play_closed(play, cause, **fields)
