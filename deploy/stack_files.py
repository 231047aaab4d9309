"""The files of a stack under its data directory: lock, market keys, tokens, service configurations, addresses."""

import contextlib
import fcntl
import os
import random
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.broker_config import HOST
from deploy.identity import keys_directory
from events.link import link_key
from events.undecodable import UNDECODABLE
from services.bus.config import ServiceConfig
from services.matcher.gateway.tokens import hash_token

MARKET_KEY_BYTES: Final = 32
TOKEN_BYTES: Final = 24
BEARER_SUFFIX: Final = ".token"
FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700
# Below the range from which the kernel takes ports for outgoing connections: a service that was killed
# must find its port free when it comes back.
SERVICE_PORTS: Final = range(18_000, 32_000)
PORT_TRIES: Final = 200
DEFAULT_MARKET: Final = "main"


class StackError(Exception):
    """The stack cannot run as asked; the message says why and what to do."""


class MarketAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where one market of a running stack is reached."""

    http_url: str | None = None
    more_http_urls: list[str] = []
    """The gateway's other copies."""
    services: dict[str, str] = {}
    """Base URL of each service's health and metrics, by service."""
    trouble: str | None = None
    """Why the market is not served, if it should be; None when it is."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running stack is reached: the contents of DATA/config/stack.json while it runs.

    `market` is its first market, and what follows that market's; with `takes_markets` it looks for others as well.
    """

    pid: int
    market: str
    nats_url: str
    http_url: str | None = None
    more_http_urls: list[str] = []
    """The gateway's other copies."""
    services: dict[str, str] = {}
    """Base URL of each service's health and metrics, by service."""
    added: dict[str, MarketAddress] = {}
    takes_markets: bool = False


def config_directory(data: Path) -> Path:
    """Where the configurations of a data directory are kept."""
    return data / "config"


def logs_directory(data: Path) -> Path:
    """Where the services' logs are kept."""
    return data / "logs"


def ensure_data_directory(data: Path) -> None:
    """Make the data directory. Raises StackError when it cannot be one."""
    try:
        data.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        config_directory(data).mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise StackError(f"cannot use {data} as data directory: {error.strerror}; choose another with --data") from None


@contextlib.contextmanager
def data_lock(data: Path) -> Iterator[None]:
    """Hold a data directory for one stack. Raises StackError when another one holds it."""
    ensure_data_directory(data)
    descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(_who_holds(data)) from None
        yield
    finally:
        os.close(descriptor)


def _who_holds(data: Path) -> str:
    address = read_address(data)
    who = f" (process {address.pid}, market {address.market})" if address else ""
    return f"a stack{who} already runs over {data}: stop it first, or choose another data directory with --data"


def is_held(data: Path) -> bool:
    """Tell whether a stack runs over a data directory."""
    try:
        with data_lock(data) if data.is_dir() else contextlib.nullcontext():
            return False
    except StackError:
        return True


def read_address(data: Path) -> Address | None:
    """Return where the stack of a data directory is reached, None when none has said so."""
    try:
        return msgspec.json.decode((config_directory(data) / "stack.json").read_bytes(), type=Address)
    except (OSError, *UNDECODABLE):
        return None


def first_market(data: Path) -> str:
    """Return the first market of the stack that runs over a data directory, else the one that is meant by default."""
    address = read_address(data)
    return DEFAULT_MARKET if address is None else address.market


def running_address(data: Path) -> Address:
    """Return where the running stack of a data directory is reached. Raises StackError when none runs."""
    address = read_address(data)
    if address is None or not is_held(data):
        raise StackError(f"no stack runs over {data}: start one with `groupbuy up --data {data}`")
    return address


def served_market(data: Path, address: Address, market: str | None) -> str:
    """Return `market`, or the stack's first when it is None. Raises StackError when the stack does not serve it."""
    served = [address.market, *(name for name, found in address.added.items() if found.trouble is None)]
    if market not in (None, *served):
        raise StackError(
            f"the stack over {data} runs the market {', '.join(served)}, not {market}: "
            f"`groupbuy market add {market} --data {data}` adds it"
        )
    return market or address.market


def write_address(data: Path, address: Address) -> None:
    """Say where the stack is reached."""
    write_private(config_directory(data) / "stack.json", msgspec.json.format(msgspec.json.encode(address), indent=2))


def forget_address(data: Path) -> None:
    """Say that the stack is reached no more."""
    (config_directory(data) / "stack.json").unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def ensure_market_key(data: Path, market: str) -> Path:
    """Return the file with the market's key, 32 bytes in hexadecimal, making the key at first run."""
    path = _market_key_file(data, market)
    if not path.exists():
        path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        write_private(path, f"{secrets.token_hex(MARKET_KEY_BYTES)}\n".encode())
    return path


def ensure_link_key(data: Path, market: str) -> Path:
    """Return the file with the key of the market's share links, in hexadecimal, derived from the market's key."""
    market_key = bytes.fromhex(ensure_market_key(data, market).read_text(encoding="ascii").strip())
    path = keys_directory(data) / f"links-{market}.key"
    write_private(path, f"{link_key(market_key).hex()}\n".encode())
    return path


def ensure_tokens(data: Path, publishers: Sequence[str]) -> Path:
    """Return the gateway's file of token hashes, making the tokens that are missing and changing none.

    Each token stands in a file beside the publisher's key; the gateway is only told what they hash to.
    """
    keys_directory(data).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    for publisher in publishers:
        if not _token_file(data, publisher).exists():
            write_private(_token_file(data, publisher), f"{secrets.token_urlsafe(TOKEN_BYTES)}\n".encode())
    known = {path.name.removesuffix(BEARER_SUFFIX) for path in keys_directory(data).glob(f"*{BEARER_SUFFIX}")}
    hashes = {hash_token(read_token(data, publisher)): publisher for publisher in sorted(known)}
    path = keys_directory(data) / "token-hashes.json"
    write_private(path, msgspec.json.format(msgspec.json.encode(hashes), indent=2))
    return path


def read_token(data: Path, publisher: str) -> str:
    """Return a publisher's bearer token. Raises StackError when there is none."""
    try:
        return _token_file(data, publisher).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise StackError(f"the token of {publisher} cannot be read: {error}") from None


def _token_file(data: Path, publisher: str) -> Path:
    return keys_directory(data) / f"{publisher}{BEARER_SUFFIX}"


def market_exists(data: Path, market: str) -> bool:
    """Tell whether a data directory has ever run a market."""
    return _market_key_file(data, market).exists()


def known_markets(data: Path) -> list[str]:
    """List the markets that a data directory has ever run."""
    return sorted(path.stem.removeprefix("market-") for path in keys_directory(data).glob("market-*.key"))


def _market_key_file(data: Path, market: str) -> Path:
    return keys_directory(data) / f"market-{market}.key"


def free_service_port(taken: Sequence[int] = ()) -> int:
    """Return a loopback port for a service's own endpoints that is free now and not in `taken`."""
    for port in random.sample(SERVICE_PORTS, PORT_TRIES):
        if port not in taken and is_port_free(port):
            return port
    raise StackError(f"no free port between {SERVICE_PORTS[0]} and {SERVICE_PORTS[-1]} on {HOST} after many tries")


def is_port_free(port: int) -> bool:
    """Tell whether a loopback port can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
        return True


def write_service_configs(data: Path, configs: Mapping[str, ServiceConfig]) -> dict[str, Path]:
    """Write each service's configuration under DATA/config and return the files by service."""
    files = {name: config_directory(data) / f"{name}.json" for name in configs}
    for name, config in configs.items():
        encoded = msgspec.json.encode(config, enc_hook=_path_as_text)
        write_private(files[name], msgspec.json.format(encoded, indent=2))
    return files


def _path_as_text(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")
