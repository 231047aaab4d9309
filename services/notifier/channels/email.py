"""E-mail over SMTP (RFC 5321). At least once: a server that took a message and lost its answer gets it again.

The same message has the same Message-ID, by which many mailboxes drop a repetition.
"""

import ssl
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from events.times import NS_PER_S
from services.notifier.addresses import check_address
from services.notifier.dispatch.courier import RETRY_S, Later, Message, Outcome, Refused, Taken
from services.notifier.policy.judge import ChannelRules
from services.notifier.settings import EmailSettings
from services.notifier.texts.messages import text_of
from services.notifier.texts.texts import Texts

TIMEOUT_S: Final = 30.0
PERMANENT: Final = 500
_UNAVAILABLE: Final = 421


class EmailCourier:
    """One mail server that takes our messages."""

    name = "email"
    sends_once = False
    retry_s = RETRY_S

    def __init__(self, settings: EmailSettings, password: str | None, texts: Texts, market: str) -> None:
        """Make it ready; `password` goes with the settings' user name."""
        self.rules = ChannelRules(kind="email")
        self.concurrency = settings.concurrency
        self._settings = settings
        self._password = password
        self._texts = texts
        self._market = market
        self._tls = ssl.create_default_context() if settings.tls != "none" else None

    async def carry(self, message: Message) -> Outcome:
        """Hand a message to the server. Raises for what cannot be a message, which nothing mends."""
        mail = self._mail(message)
        settings = self._settings
        try:
            await aiosmtplib.send(
                mail,
                hostname=settings.host,
                port=settings.port,
                sender=settings.sender,
                recipients=[message.address],
                username=settings.username,
                password=self._password,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                tls_context=self._tls,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            return _answered(refused.recipients[0].code, refused.recipients[0].message)
        except aiosmtplib.SMTPAuthenticationError as refused:
            return Later(f"the mail server does not let us in: {refused.code}", whole_channel=True)
        except aiosmtplib.SMTPResponseException as answer:
            return _answered(answer.code, answer.message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Later(f"the mail server cannot be reached: {type(error).__name__}", whole_channel=True)
        return Taken()

    async def close(self) -> None:
        """There is nothing to let go of: each message has a connection of its own."""

    def _mail(self, message: Message) -> EmailMessage:
        check_address("email", message.address)
        text = text_of(self._texts, message)
        settings = self._settings
        mail = EmailMessage(policy=SMTP)
        # A header with a line break would be two: the library refuses it.
        mail["From"] = Address(settings.sender_name, addr_spec=settings.sender)
        mail["To"] = message.address
        mail["Subject"] = text.title
        mail["Date"] = format_datetime(datetime.fromtimestamp(message.at_ns // NS_PER_S, UTC))
        mail["Message-ID"] = f"<{message.id}.{self._market}@{settings.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(text.body)
        return mail


def _answered(code: int, text: str) -> Outcome:
    why = f"the mail server answered {code} {text[:100]}"
    if code >= PERMANENT:
        return Refused(why)
    return Later(why, whole_channel=code == _UNAVAILABLE)
