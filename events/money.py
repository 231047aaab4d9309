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


def amount(amount_minor: int, currency: str) -> str:
    """Return an amount in minor units of `currency` (ISO 4217) as people read it, `9.90 CNY`.

    Without a currency it cannot be known where the point stands, and it is told in minor units.
    """
    return f"{number(amount_minor, currency)} {currency}" if currency else f"{amount_minor} (minor units)"


def number(amount_minor: int, currency: str) -> str:
    """Return an amount in minor units without its currency, with the point where `currency` has it: `9.90`."""
    decimals = _DECIMALS.get(currency, _USUAL_DECIMALS)
    sign, digits = "-" if amount_minor < 0 else "", str(abs(amount_minor)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"
