"""Amounts in the messages to members, in their language."""

from events.money import number


def money(amount_minor: int, currency: str, language: str = "en") -> str:
    """Return an amount in minor units as text: `80.00 CNY`, in Chinese `80.00元` for CNY.

    Raises TypeError for what is no amount, so that a template cannot show one that is not there.
    """
    if type(amount_minor) is not int:
        raise TypeError(f"{amount_minor!r} is no amount in minor units")
    if language == "zh" and currency == "CNY":
        return f"{number(amount_minor, currency)}元"
    return f"{number(amount_minor, currency)} {currency}".rstrip()
