"""What a message says: the text of its notice, or of a digest with all that its notices say."""

from services.notifier.dispatch.courier import Message
from services.notifier.policy.purposes import Kind
from services.notifier.texts.texts import Text, Texts


def text_of(texts: Texts, message: Message) -> Text:
    """Return what a message says in its member's language; a digest says all that its notices say."""
    each = [texts.render(notice.kind, notice.fields, notice.member, message.language) for notice in message.notices]
    if message.kind is not Kind.DIGEST:
        return each[0]
    items = [{"title": text.title, "body": text.body} for text in each]
    return texts.render(Kind.DIGEST, {"items": items, "count": len(items)}, message.member, message.language)
