"""Events about members: what they agree to, whom they avoid, who invites whom, and how they behave."""

from typing import TYPE_CHECKING, Any, Final

from events.times import NS_PER_S, format_time_ns
from tests import builders as make
from tests.simulation.workload.town import Event, friend, member, recent

if TYPE_CHECKING:
    from tests.simulation.workload.story import Story

_CHANNELS: Final = ("email",) * 5 + ("nats",)
_POOLS: Final = ("hangzhou", "north")


def consented(story: "Story") -> Event:
    """A member agrees to something, once or for good."""
    chance = story.chance
    purpose = chance.choice(("invitation",) * 4 + ("reminder",))
    return make.consented(
        friend(chance), purpose=purpose, channel=chance.choice(_CHANNELS), one_time=chance.random() < 0.4
    )


def withdrew(story: "Story") -> Event:
    """A member takes that back, for something or for everything."""
    chance = story.chance
    return make.withdrew(
        friend(chance),
        purpose=chance.choice((None, "invitation", "invitation")),
        channel=chance.choice((None, *_CHANNELS)),
    )


def invited(story: "Story") -> Event:
    """Somebody asks that somebody be invited to a pool, a group or a play."""
    chance = story.chance
    invitation = story.name("i") if chance.random() < 0.9 else recent(chance, story.town.invitations, "i-0")
    fields: dict[str, Any] = {"invitation": invitation, "channel": chance.choice(_CHANNELS)}
    where = chance.random()
    if where < 0.3:
        fields["group"], _ = recent(chance, story.town.groups, ("g9-9", ""))
    elif where < 0.5:
        fields["play"] = recent(chance, story.town.plays, "play-0")
    else:
        fields["pool"] = chance.choice(_POOLS)
    if chance.random() < 0.1:
        fields["useful_until"] = format_time_ns(story.now_ns() + chance.choice((-1, 5)) * NS_PER_S)
    inviter, invitee = friend(chance), friend(chance)
    if inviter == invitee and chance.random() < 0.9:
        invitee = member(chance)
    return make.invited(inviter, invitee, **fields)


def chose(story: "Story") -> Event:
    """A member registers, states preferences, or sets own limits."""
    chance = story.chance
    who, kind = friend(chance), chance.random()
    if kind < 0.1:
        return make.registered(who)
    if kind < 0.4:
        fields = chance.choice(
            (
                {"purposes": ["invitation", "result"]},
                {"purposes": ["invitation"]},
                {"purposes": []},
                {"kinds": ["group", "bargain"]},
                {"labels": ["tea"]},
                {"language": "zh", "quiet": {"begins": "22:00", "ends": "08:00"}},
            )
        )
        return make.preferred(who, **fields)
    limits: dict[str, Any] = chance.choice(
        (
            {"groups": chance.randrange(3)},
            {"assists": chance.randrange(3)},
            {"assists": chance.randrange(3)},
            {"spending": {"amount_minor": 20_000, "currency": "CNY"}},
            {"remove": ["groups"]},
        )
    )
    return make.limited_self(who, **limits)


def apart(story: "Story") -> Event:
    """A member keeps apart from somebody or from a pool, or does so no longer."""
    chance = story.chance
    who, lifted = friend(chance), True if chance.random() < 0.3 else None
    if chance.random() < 0.3:
        return make.pool_blocked(who, chance.choice(_POOLS), lifted=lifted)
    return make.blocked(who, friend(chance), lifted=lifted)


def reported(story: "Story") -> Event:
    """Somebody complains of somebody."""
    return make.reported(member(story.chance), member(story.chance))


def sanctioned(story: "Story") -> Event:
    """An operator sanctions a member for a while, or takes that back."""
    chance = story.chance
    if chance.random() < 0.3:
        return make.reinstated(member(chance))
    rung = chance.choice(("warned", "limited", "banned"))
    return make.sanctioned(member(chance), rung, duration_s=chance.choice((5, 30, 300)))
