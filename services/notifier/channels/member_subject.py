"""What is sent by decision and policy to the member's own subject: invitations and reminders asked for this way.

Results stand there already, put by the notifier's first pipeline. At least once: the stream drops a repetition only
within its short window, so each message names its notice.
"""

from typing import Any, Final

import msgspec
import nats.errors

from events import subjects
from events.times import format_time_ns
from services.bus.connect import ServiceBroker
from services.bus.journal_stream import AWAY, describe
from services.notifier.dispatch.courier import RETRY_S, Later, Message, Outcome, Taken
from services.notifier.policy.judge import ChannelRules
from services.notifier.texts.messages import text_of
from services.notifier.texts.texts import Texts

CONCURRENCY: Final = 8
_encode: Final = msgspec.json.Encoder().encode


class MemberSubjectCourier:
    """Publishes to `groupbuy.<market>.result.<member>`; `kind` is the channel that members name: `nats` or `sse`."""

    sends_once = False
    retry_s = RETRY_S
    concurrency = CONCURRENCY

    def __init__(self, broker: ServiceBroker, market: str, texts: Texts, kind: str) -> None:
        self.name = kind
        self.rules = ChannelRules(kind=kind)
        self._broker = broker
        self._market = market
        self._texts = texts

    async def carry(self, message: Message) -> Outcome:
        """Publish one message and wait until it is stored."""
        if not self._broker.client.is_connected:
            return Later("there is no connection to the broker", whole_channel=True)
        body = _encode({"notices": [self._document(message)]})
        headers = {subjects.HEADER_MESSAGE_ID: message.id}
        try:
            await self._broker.jetstream.publish(subjects.result(self._market, message.member), body, headers=headers)
        except (*AWAY, nats.errors.Error) as error:
            return Later(f"the broker did not confirm: {describe(error)}", whole_channel=True)
        return Taken(delivered=True)

    async def close(self) -> None:
        """The connection is the service's."""

    def _document(self, message: Message) -> dict[str, Any]:
        notice, text = message.notices[0], text_of(self._texts, message)
        return {
            **notice.fields,
            "notice": message.id,
            "entry": notice.decision.partition("/")[0],
            "at": notice.at_ns,
            "time": format_time_ns(message.at_ns),
            "kind": f"{message.purpose}.{message.kind}",
            "title": text.title,
            "text": text.body,
        }
