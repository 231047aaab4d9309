"""The configuration that a service process is started with: one JSON file, written by whoever deploys it."""

from pathlib import Path
from typing import Final

import msgspec

from events.ids import is_name
from events.undecodable import UNDECODABLE

SQLITE_URL: Final = "sqlite:"
"""The ledger's database as a file under `data_dir`."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which field and what was expected."""


class ServiceConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a service finds its broker, its market, its own data and its peers.

    `nats_url` may name the nodes of a cluster, separated by commas. `user` is the NATS user, whose inboxes lie under
    `_INBOX.<user>.`; `nkey_seed_file` holds its seed.
    `market_key_file` holds the 32-byte key of the market in hexadecimal (matcher and ledger only).
    `link_key_file` holds the derived key with which the gateway checks share links.
    `health_port` serves /healthz and /metrics on loopback; `http_port` is the gateway's public API.
    `peers` maps service names to their health URL; the gateway's own /healthz and /metrics sum them up.
    `ledger_url` is `sqlite:` (under `data_dir`) or a PostgreSQL URL. `log_host` begins the name under which the
    ledger signs, HOST/groupbuy/MARKET; once something is signed it stays. `witnesses` maps the URL of each witness
    whom the ledger asks for cosignatures to its verifier key.
    `standby_s` is for a service of which there are several copies: how long nothing must have been done before this
    one does it; 0 means at once, for one that is alone. Of several ledgers exactly one `signs` checkpoints, and trims
    the intake; of several notifiers exactly one `dispatches`: facts and other channels have one outbox.
    With `rehearsed` a matcher decides again, and compares, every record that it reads, before it may decide anything
    itself. A matcher with `markets_dir` serves every market that has a file there, and `market` is the one by whose
    journal it notices that its node of the cluster is deaf.
    """

    service: str
    market: str
    nats_url: str
    user: str
    nkey_seed_file: Path | None = None
    market_key_file: Path | None = None
    data_dir: Path
    health_port: int = 0
    http_host: str = "127.0.0.1"
    http_port: int = 0
    tokens_file: Path | None = None
    link_key_file: Path | None = None
    peers: dict[str, str] = {}
    ledger_url: str = SQLITE_URL
    log_host: str = "localhost"
    witnesses: dict[str, str] = {}
    standby_s: float = 0.0
    signs: bool = True
    dispatches: bool = True
    rehearsed: bool = False
    markets_dir: Path | None = None

    @property
    def inbox_prefix(self) -> str:
        """Return the prefix of this user's inboxes, without a final dot."""
        return f"_INBOX.{self.user}"


def load_config(path: Path) -> ServiceConfig:
    """Return the configuration in the file at `path`. Raises ConfigError when it cannot be used."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=ServiceConfig, dec_hook=_path_from_text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except UNDECODABLE as error:
        raise ConfigError(f"the configuration {path} is not usable: {error}") from None
    if not is_name(config.market):
        raise ConfigError(f"market {config.market!r} in {path}: expected 1 to 64 of A-Z a-z 0-9 _ -")
    return config


def _path_from_text(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected a path, got {value!r}")
