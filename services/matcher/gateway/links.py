"""Tells backends whether a share link was allowed by the market."""

from pathlib import Path

import msgspec

from events.link import BadLink, check_link
from services.bus.config import ConfigError

LINK_KEY_BYTES = 32


class LinkAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a link stands for where it is `good`, else why it is not; `until_s` is in seconds since 1970."""

    good: bool
    invitation: str | None = None
    inviter: str | None = None
    what: str | None = None
    name: str | None = None
    until_s: int | None = None
    fault: str | None = None
    message: str | None = None


class Links:
    """Checks the links of one market with their key, which tells nothing of the market's own."""

    def __init__(self, market: str, key_file: Path) -> None:
        """Read the key. Raises ConfigError when there is none."""
        self._market = market
        try:
            self._key = bytes.fromhex(key_file.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"the key of links {key_file} cannot be read: {error}") from None
        if len(self._key) != LINK_KEY_BYTES:
            raise ConfigError(f"the key of links {key_file} has {len(self._key)} bytes: expected {LINK_KEY_BYTES}")

    def check(self, token: str, now_s: int) -> LinkAnswer:
        """Return what `token` stands for at `now_s` (seconds since 1970)."""
        try:
            link = check_link(self._key, self._market, token, now_s)
        except BadLink as bad:
            return LinkAnswer(good=False, fault=bad.fault, message=str(bad))
        return LinkAnswer(
            good=True,
            invitation=link.invitation,
            inviter=link.inviter,
            what=link.what,
            name=link.name,
            until_s=link.until_s,
        )
