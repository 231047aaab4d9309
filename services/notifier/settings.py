"""The notifier's own configuration: DATA/notifier.toml, checked whole when it is loaded. No file: the defaults, and no
channels but the members' own subjects.

Secrets stand in files of their own, named here relative to the configuration.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from events.ids import is_name
from events.times import parse_time_ns
from events.undecodable import UNDECODABLE
from services.bus.config import ConfigError
from services.notifier.policy.purposes import Kind, Purpose
from services.notifier.policy.quiet import QuietHours, parse_quiet_hours

FILE_NAME: Final = "notifier.toml"
SECRET_MAX_BYTES: Final = 4_096
URL_MAX_CHARS: Final = 2_048
_CLOSED_LISTS: Final[dict[str, tuple[str, ...]]] = {
    "purposes": tuple(Purpose),
    "useful_for_s": tuple(Purpose),
    "urgent": tuple(Kind),
    "templates": tuple(Kind),
    "language": ("en", "zh"),
    "tls": ("starttls", "tls", "none"),
}
"""The names that a field knows, for whoever has written another."""
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}").fullmatch

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=100_000)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class _Strict(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A table of the configuration in which a misspelt name is an error."""


class MarketSettings(_Strict, kw_only=True, frozen=True):
    """What counts for all members of the market.

    `quiet_hours` (HH:MM-HH:MM) and `timezone` count for members who have chosen none; without `timezone` the zone of
    the market's own configuration does. `urgent` lists the kinds that ignore quiet hours; invitations never do.
    `templates` is a folder of the market's own texts. `since` (RFC 3339) tells from which decisions on anybody is told.
    """

    quiet_hours: str | None = None
    timezone: str | None = None
    urgent: list[Kind] = []
    language: Literal["en", "zh"] = "en"
    templates: Path | None = None
    digest_window_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 60
    useful_for_s: dict[Purpose, Seconds] = {}
    since: str | None = None

    @property
    def quiet(self) -> QuietHours | None:
        """The market's quiet hours."""
        return None if self.quiet_hours is None else parse_quiet_hours(self.quiet_hours)


class HttpSettings(_Strict, kw_only=True, frozen=True):
    """Where members' event streams and the address book are served; `streams_max` at once."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    host: str = "127.0.0.1"
    streams_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 4_000


class EmailSettings(_Strict, kw_only=True, frozen=True):
    """The mail server that takes our messages, and who they are from."""

    host: str
    port: Port = 587
    sender: str
    sender_name: str = ""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None
    purposes: tuple[Purpose, ...] = (Purpose.RESULT, Purpose.INVITATION, Purpose.REMINDER)
    concurrency: Count = 8
    per_s: Rate | None = None


class WechatTemplate(_Strict, kw_only=True, frozen=True):
    """A subscribe message's template: its id, the page it opens, and its fields as short templates."""

    id: str
    data: Annotated[dict[str, str], msgspec.Meta(min_length=1, max_length=20)]
    page: str = ""


class WechatSettings(_Strict, kw_only=True, frozen=True):
    """The mini program that sends subscribe messages, with a template for each kind that is sent this way.

    `allow_private` lets `api` be a relay in a private network.
    """

    api: str = "https://api.weixin.qq.com"
    allow_private: bool = False
    appid: str
    secret_file: Path
    templates: dict[Kind, WechatTemplate]
    concurrency: Count = 8
    per_s: Rate | None = None


class WebhookSettings(_Strict, kw_only=True, frozen=True):
    """A backend's endpoint: which purposes, and results of whose orders, it gets.

    `publishers` empty means all. `allow_private` lets it lie in a private network. `secret_files` hold one secret each
    in the form `whsec_...`; while a secret is changed there are two.
    """

    name: str
    url: str
    secret_files: Annotated[list[Path], msgspec.Meta(min_length=1, max_length=5)]
    purposes: tuple[Purpose, ...] = (Purpose.RESULT,)
    publishers: list[str] = []
    allow_private: bool = False
    concurrency: Count = 32
    per_s: Rate | None = None


class OperatorSettings(_Strict, kw_only=True, frozen=True):
    """Where operators are told of what they must look after."""

    email: str | None = None


class Settings(_Strict, kw_only=True, frozen=True):
    """The whole configuration; `folder` is where its file stands."""

    market: MarketSettings = MarketSettings()
    http: HttpSettings | None = None
    email: EmailSettings | None = None
    wechat: WechatSettings | None = None
    webhooks: Annotated[list[WebhookSettings], msgspec.Meta(max_length=100)] = []
    operator: OperatorSettings = OperatorSettings()
    folder: Path = Path()

    def secret(self, path: Path) -> str:
        """Return the secret in a file named by the configuration. Raises ConfigError."""
        full = self.folder / path
        try:
            with full.open("rb") as file:
                return file.read(SECRET_MAX_BYTES).decode("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the secret {full} cannot be read: {error}") from None


def settings_file(data_dir: Path) -> Path:
    """Return the file of the notifier's configuration under a stack's data directory."""
    return data_dir / FILE_NAME


def load_settings(data_dir: Path, zones: frozenset[str]) -> Settings:
    """Return the notifier's configuration, the defaults when there is no file.

    `zones` are the names of the time zones that there are. Raises ConfigError naming the file and the field.
    """
    path = settings_file(data_dir)
    if not path.is_file():
        return Settings(folder=data_dir)
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=Settings, dec_hook=_path_from_text)
        _check(found, zones)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (*UNDECODABLE, ValueError) as error:
        raise ConfigError(f"{path}: {error}{_expected(str(error))}") from None
    folder = found.market.templates
    market = found.market if folder is None else msgspec.structs.replace(found.market, templates=path.parent / folder)
    return msgspec.structs.replace(found, folder=path.parent, market=market)


def _expected(error: str) -> str:
    """Return which names there are, where an error is about one that there is not."""
    what, _, where = error.partition(" - at ")
    names = next((names for table, names in _CLOSED_LISTS.items() if f".{table}" in where), ())
    return f": expected one of {', '.join(names)}" if names and what.startswith("Invalid enum value") else ""


def check_url(url: str, what: str) -> None:
    """Refuse an address that nothing may be sent to. Raises ValueError."""
    parts = urlsplit(url)
    if len(url) > URL_MAX_CHARS or any(not "!" <= character <= "~" for character in url):
        raise ValueError(f"{what}: expected at most {URL_MAX_CHARS} printable ASCII characters without spaces")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError(f"{what} holds credentials: leave them out, messages are signed")
    if parts.scheme not in ("https", "http") or not parts.hostname or _HOST(parts.hostname) is None:
        raise ValueError(f"{what} is {url[:80]!r}: expected https://host/path")
    if parts.fragment:
        raise ValueError(f"{what} has a fragment, which is never sent: leave it out")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{what} has no valid port") from None


def _check(found: Settings, zones: frozenset[str]) -> None:
    market = found.market
    try:
        _ = market.quiet
    except ValueError as error:
        raise ValueError(f"market.quiet_hours: {error}") from None
    if market.timezone is not None and market.timezone not in zones:
        raise ValueError(f"market.timezone: there is no time zone {market.timezone[:64]!r}, e.g. Asia/Shanghai")
    if Kind.INVITED in market.urgent:
        raise ValueError("market.urgent: invitations are never urgent")
    if found.http is not None and found.http.port == 0:
        raise ValueError("http.port: expected 1 to 65535, where members and backends will look for it")
    if market.since is not None:
        parse_time_ns(market.since)
    names = [webhook.name for webhook in found.webhooks]
    for webhook in found.webhooks:
        if not is_name(webhook.name) or names.count(webhook.name) > 1:
            raise ValueError(
                f"webhooks: {webhook.name[:64]!r} is no name (1 to 64 of A-Z a-z 0-9 _ -), or not the only"
            )
        check_url(webhook.url, f"webhooks.{webhook.name}.url")
        strange = [publisher for publisher in webhook.publishers if not is_name(publisher)]
        if strange:
            raise ValueError(f"webhooks.{webhook.name}.publishers: {strange[0][:64]!r} is no publisher")
    if found.wechat is not None:
        check_url(found.wechat.api, "wechat.api")
    if found.email is not None:
        _check_header(found.email.sender, "email.sender")
        _check_header(found.email.sender_name, "email.sender_name")


def _check_header(value: str, what: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError(f"{what} holds a line break or another control character: headers could be injected")


def _path_from_text(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected a path, got {value!r}")
