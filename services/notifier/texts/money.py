"""Amounts as people write them, exactly: integers all the way, no rounding."""

from typing import Final

# ISO 4217 currencies whose minor unit is not a hundredth (list of 2024-06, table A.1).
_WHOLE: Final = tuple(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(" ")  # noqa: SIM905 - a list of 17 lines
)
_DECIMALS: Final = {
    **dict.fromkeys(_WHOLE, 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_USUAL_DECIMALS: Final = 2


def money(amount_minor: int, currency: str, language: str = "en") -> str:
    """Return an amount in minor units as text: `80.00 CNY`, in Chinese `80.00元` for CNY.

    Raises TypeError for what is no amount, so that a template cannot show one that is not there.
    """
    if type(amount_minor) is not int:
        raise TypeError(f"{amount_minor!r} is no amount in minor units")
    decimals = _DECIMALS.get(currency, _USUAL_DECIMALS)
    sign, digits = "-" if amount_minor < 0 else "", str(abs(amount_minor)).rjust(decimals + 1, "0")
    number = f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"
    if language == "zh" and currency == "CNY":
        return f"{number}元"
    return f"{number} {currency}".rstrip()
