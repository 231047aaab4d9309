"""Dispatchers over a real broker and a journal that tests write, and the facts that came of it."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from deploy.permissions import NOTIFIER
from events import decisions as d
from events import member_decisions as m
from events import subjects
from events.notice import NoticeFact, decode_fact
from events.record import Entry
from services.bus.connect import ServiceBroker
from services.notifier.channels.email import EmailCourier
from services.notifier.channels.told import ToldFacts
from services.notifier.channels.webhook import GIVE_UP_AFTER_S, WebhookCourier
from services.notifier.channels.wechat import WechatCourier
from services.notifier.dispatch.clock import Clock, SystemClock
from services.notifier.dispatch.condition import Pace
from services.notifier.dispatch.courier import Courier, Message
from services.notifier.dispatch.dispatcher import Dispatcher, DispatchRules, Line
from services.notifier.dispatch.routing import Route
from services.notifier.dispatch.store import Store
from services.notifier.notifier import Notifier
from services.notifier.policy.judge import MarketRules
from services.notifier.policy.purposes import Kind, Notice, Purpose
from services.notifier.settings import EmailSettings, WebhookSettings, WechatSettings, WechatTemplate
from services.notifier.texts.texts import Texts
from services.notifier.zones import zone_of
from tests.builders import encode, market, offer
from tests.journal_writer import MARKET
from tests.notifier_journal import AT_NS, SHOP
from tests.notifier_peers import SECRET, MailPeer, WebhookPeer, WechatPeer
from tests.notifier_setting import Setting, until

NOTICES = subjects.notices_stream(MARKET)
EVERYTHING = frozenset(Purpose)


def webhook_line(peer: WebhookPeer, name: str = "shop-a", **settings: Any) -> Line:
    """A backend's endpoint at a local peer."""
    found = WebhookSettings(name=name, url=peer.url, secret_files=["none"], allow_private=True, **settings)
    courier = WebhookCourier(found, [SECRET])
    route = Route(channel=courier.name, purposes=EVERYTHING, publishers=frozenset(found.publishers))
    return Line(courier, route, Pace(per_s=found.per_s, give_up_after_s=GIVE_UP_AFTER_S))


def email_line(peer: MailPeer, digest_window_s: int = 0, texts: Texts | None = None, **settings: Any) -> Line:
    """Mail through a local server."""
    found = EmailSettings(host="127.0.0.1", port=peer.port, sender="shop@example.com", tls="none", **settings)
    courier = EmailCourier(found, None, texts or Texts(), MARKET)
    route = Route(channel="email", purposes=EVERYTHING, address_kind="email", digest_window_s=digest_window_s)
    return Line(courier, route)


TEMPLATES = {
    Kind.FILLED: WechatTemplate(id="T-filled", data={"thing1": "{{ offer }}", "amount2": "{{ price_minor }}"}),
    Kind.REFUND_DUE: WechatTemplate(id="T-refund", data={"amount1": "{{ refund_minor|money(currency) }}"}),
}


def wechat_courier(peer: WechatPeer, templates: dict[Kind, WechatTemplate] | None = None) -> WechatCourier:
    """Subscribe messages to the stand-in."""
    found = WechatSettings(
        api=f"http://127.0.0.1:{peer.port}", appid=peer.appid, secret_file="none", templates=templates or TEMPLATES
    )
    return WechatCourier(found, peer.secret, Texts(), allow_private=True)


def wechat_line(peer: WechatPeer) -> Line:
    """Subscribe messages as a channel."""
    courier = wechat_courier(peer)
    route = Route(channel="wechat", purposes=EVERYTHING, kinds=frozenset(TEMPLATES), address_kind="wechat")
    return Line(courier, route)


def notice(member: str = "m-1", kind: Kind = Kind.FILLED, decision: str = "3.0.0/1", **more: Any) -> Notice:
    """A notice as the policy makes it, with every field of its kind."""
    from services.notifier.texts.fields import SAMPLES

    fields = {**SAMPLES[kind], **more.pop("fields", {})}
    return Notice(
        **{
            "decision": decision,
            "member": member,
            "kind": kind,
            "at_ns": AT_NS,
            "record": 1,
            "useful_until_ns": AT_NS + 7 * 86_400 * 10**9,
            "fields": fields,
            **more,
        }
    )


def message(*notices: Notice, **more: Any) -> Message:
    """A message as a worker hands it to a courier."""
    first = notices[0] if notices else notice()
    return Message(
        **{
            "id": "0" * 32,
            "member": first.member,
            "kind": first.kind,
            "purpose": first.purpose,
            "notices": notices or (first,),
            "address": "",
            "language": "en",
            "at_ns": AT_NS,
            **more,
        }
    )


@dataclass
class Dispatching:
    """A dispatcher and what it stands on."""

    dispatcher: Dispatcher
    store: Store
    service: ServiceBroker
    notifier: Notifier | None = None

    async def has_taken_in(self, journal_seq: int) -> None:
        """Wait until the notices of a record are in the outbox."""
        await until(
            lambda: self.dispatcher.alarm or self.dispatcher.position_seq >= journal_seq, f"record {journal_seq}"
        )
        assert self.dispatcher.alarm is None, self.dispatcher.alarm

    async def is_done(self, *, waiting: int = 0) -> None:
        """Wait until no more than so many notices wait and every fact is published."""
        for _ in range(4_000):
            left = await self.store.do(lambda: sum(self.store.outbox.waiting().values()))
            through = self.dispatcher.publisher.through
            facts = await self.store.do(lambda through=through or 0: len(self.store.outbox.facts_after(through, 500)))
            if left <= waiting and facts == 0 and through is not None:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{left} notices still wait, {facts} facts are not published")

    async def address(self, member: str, kind: str, address: str) -> None:
        """Note where a member is reached."""
        await self.store.do(lambda: self.store.addresses.set(member, kind, address))

    async def stop(self) -> None:
        """End cleanly."""
        await self.dispatcher.stop()
        await self.store.close()
        await self.service.stop()


async def start_dispatcher(
    setting: Setting, lines: Sequence[Line], clock: Clock | None = None, *, whole: bool = False, **rules: Any
) -> Dispatching:
    """Start a dispatcher over the setting's own data directory; `whole` with a notifier beside it, not started."""
    service = await setting.connect()
    store = Store(setting.config().data_dir, MARKET)
    notifier = notifier_beside(service, store) if whole else None
    # The journal of tests was written some time ago: by the real clock everything in it would come too late.
    useful_for_s = rules.pop("useful_for_s", dict.fromkeys(Purpose, 366 * 86_400))
    dispatch_rules = DispatchRules(
        market=MarketRules(**{"zone": "UTC", **rules.pop("market", {})}),
        since_ns=rules.pop("since_ns", 0),
        useful_for_s=useful_for_s,
        **rules,
    )
    dispatcher = Dispatcher(
        service,
        MARKET,
        NOTIFIER,
        store,
        lines,
        dispatch_rules,
        zone_of,
        clock or SystemClock(),
        random.Random(1),
        None if notifier is None else notifier.results,
    )
    await dispatcher.start()
    return Dispatching(dispatcher, store, service, notifier)


def notifier_beside(service: ServiceBroker, store: Store) -> Notifier:
    """Make the notifier of members' results with its channel of facts."""
    return Notifier(
        service,
        MARKET,
        NOTIFIER,
        facts_of=lambda results, journal: ToldFacts(NOTICES, results, journal, store, SystemClock()),
    )


@asynccontextmanager
async def dispatching(
    setting: Setting, lines: Sequence[Line], clock: Clock | None = None, **rules: Any
) -> AsyncIterator[Dispatching]:
    """Run a dispatcher and end it cleanly."""
    running = await start_dispatcher(setting, lines, clock, **rules)
    try:
        yield running
    finally:
        await running.stop()


async def facts_of(setting: Setting) -> list[NoticeFact]:
    """Every fact in the notices stream, in order."""
    return [decode_fact(message.body) for message in await setting.stored(NOTICES)]


def kinds_of(facts: Sequence[NoticeFact]) -> list[str]:
    """What was said, shortly: `sent`, `deferred/quiet_hours`."""
    return [
        fact.type.removeprefix("groupbuy.notice.").removesuffix(".v1")
        + (f"/{fact.data.reason}" if fact.data.reason is not None else "")
        for fact in facts
    ]


# Entries


def entry(seq: int, *decisions: d.AnyDecision, event: dict[str, Any] | None = None, publisher: str = SHOP) -> Entry:
    """An entry with these decisions, accepted `seq` ns after the beginning."""
    raw = msgspec.Raw(encode(event, AT_NS)) if event is not None else None
    return Entry(
        seq=seq,
        index=0,
        part=0,
        at=AT_NS + seq,
        publisher=publisher if event is not None else None,
        event=raw,
        decisions=list(decisions),
    )


def configured(seq: int, **fields: Any) -> Entry:
    """The market is configured."""
    return entry(seq, d.MarketSet(rule_version=1, tzdata="x"), event=market(**fields), publisher="operator")


def listed(seq: int, **fields: Any) -> Entry:
    """An offer for groups is listed: alone 100.00 CNY, in a group 80.00."""
    event = offer(**{"solo_minor": 10_000, **fields})
    return entry(seq, d.OfferListed(offer=event["data"]["offer"], edition=1), event=event)


def opened(seq: int, group: str = "g-1", order: str = "o-0") -> Entry:
    """A group is open."""
    return entry(
        seq,
        d.GroupOpened(group=group, offer="tea", edition=1, order=order, member="m-0", deadline=AT_NS + 10**15),
    )


def filled(seq: int, group: str = "g-1", members: Sequence[str] = ("m-1",), price_minor: int = 8_000) -> Entry:
    """A group is full."""
    seats = [
        d.SeatRef(order=f"o-{member}", member=member, publisher=SHOP, price_minor=price_minor) for member in members
    ]
    return entry(seq, d.GroupFilled(group=group, offer="tea", cause="target", size=len(seats), seats=seats))


def refund(seq: int, member: str = "m-1", group: str | None = None, amount_minor: int = 500) -> Entry:
    """Money goes back."""
    return entry(
        seq,
        d.RefundDue(
            refund=f"r-{seq}",
            order=f"o-{seq}",
            payment=f"p-{seq}",
            amount_minor=amount_minor,
            currency="CNY",
            cause="withdrawn",
            publisher=SHOP,
            member=member,
            group=group,
        ),
    )


def chose(seq: int, member: str = "m-1", **choices: Any) -> Entry:
    """A member has chosen all of this."""
    return entry(seq, m.MemberChose(member=member, about="preferences", choices=m.Choices(**choices)))


def consent(purpose: str = "invitation", channel: str = "email", **more: Any) -> m.Consent:
    """A consent until it is taken back."""
    return m.Consent(purpose=purpose, channel=channel, **{"standing": True, **more})  # type: ignore[arg-type]


def invited(seq: int, invitee: str = "m-1", inviter: str = "m-9", channel: str = "email", **more: Any) -> Entry:
    """The matcher allows an invitation."""
    return entry(
        seq,
        m.InvitationAllowed(
            **{
                "invitation": f"i-{seq}",
                "inviter": inviter,
                "invitee": invitee,
                "channel": channel,
                "pool": "pool-1",
                "useful_until": AT_NS + 2 * 86_400 * 10**9,
                "link": "a.b",
                "publisher": SHOP,
                **more,
            }
        ),
    )


def courier_of(line: Line) -> Courier:
    """A line's courier."""
    return line.courier
