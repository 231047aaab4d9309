"""The one place that makes streams and the publishers' consumers; it never changes what exists.

An operator's limits are the operator's: a stream that is there is only checked for what correctness
needs, and a difference is an error that says what to change.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from deploy.permissions import OPERATOR, check_market, check_publisher, outcomes_consumer
from events import subjects
from events.limits import PAYLOAD_MAX_BYTES

GIB: Final = 1024**3
DAY_S: Final = 24 * 3600.0
API_TIMEOUT_S: Final = 10.0
IDENTITY_BYTES: Final = 16
# Atomic batches came with 2.12.
SERVER_VERSION_MIN: Final = (2, 12)
STREAM_NAME_IN_USE: Final = 10058
# No suitable peers for placement, and no leader of the cluster: what a cluster answers that has just begun.
NOT_READY_CODES: Final = frozenset({10005, 10008, 10009})
# The shortest that the broker takes. We answer repetitions ourselves; a publisher's message id must not
# have a retry swallowed by the broker.
INTAKE_DUPLICATE_WINDOW_S: Final = 0.1
# The fences and the reading back of the last record decide; the window only costs memory.
JOURNAL_DUPLICATE_WINDOW_S: Final = 2.0
OUTPUT_DUPLICATE_WINDOW_S: Final = 2.0


class ProvisionError(Exception):
    """The broker or a stream does not fit; the message says what to change."""


class NotReadyError(ProvisionError):
    """The nodes of a cluster have not all found each other yet: worth another try."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits of streams that do not exist yet."""

    intake_max_bytes: int = 8 * GIB
    outcomes_max_bytes: int = 2 * GIB
    results_max_bytes: int = 2 * GIB
    notices_max_bytes: int = 1 * GIB
    outputs_max_age_s: float = 7 * DAY_S
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What a market has: the identity of each stream by the stream's name, and what was made just now."""

    market: str
    identities: dict[str, str]
    created: tuple[str, ...]


async def provision(
    client: Client, market: str, publishers: Iterable[str], limits: StreamLimits | None = None
) -> Provisioned:
    """Make the streams of `market` and the publishers' consumers where missing, and check those that exist.

    `client` must be connected as the provisioner. Running it again, or twice at once, changes nothing.
    """
    check_market(market)
    named = sorted({OPERATOR, *publishers})
    for publisher in named:
        if publisher != OPERATOR:
            check_publisher(publisher)
    _check_server(client)
    js = client.jetstream(timeout=API_TIMEOUT_S)
    await _check_jetstream(js)
    identities: dict[str, str] = {}
    created: list[str] = []
    for wanted in stream_configs(market, limits or StreamLimits()):
        name = str(wanted.name)
        found, made = await _ensure_stream(js, wanted)
        _check_stream(wanted, found)
        identities[name] = (found.metadata or {})[subjects.IDENTITY_METADATA]
        if made:
            created.append(name)
    for publisher in named:
        consumer = await _ensure_consumer(js, market, publisher)
        if consumer is not None:
            created.append(consumer)
    return Provisioned(market, identities, tuple(created))


def _check_server(client: Client) -> None:
    if client.max_payload < PAYLOAD_MAX_BYTES:
        raise ProvisionError(
            f"the broker's max_payload is {client.max_payload} bytes: set it to {PAYLOAD_MAX_BYTES} or more, "
            "since a record may be that large"
        )
    version = client.connected_server_version
    if (version.major, version.minor) < SERVER_VERSION_MIN:
        raise ProvisionError(
            f"the broker is nats-server {version}: atomic batches need "
            f"{'.'.join(map(str, SERVER_VERSION_MIN))} or newer"
        )


async def _check_jetstream(js: JetStreamContext) -> None:
    """Ask for what only the provisioner may ask: without the right there is silence, not an answer."""
    try:
        await js.account_info()
    except (APIError, TimeoutError, nats.errors.Error) as error:
        raise ProvisionError(
            "the broker does not answer the provisioner: JetStream must be enabled there, "
            "and the connection must be made with the provisioner's key"
        ) from error


def stream_configs(market: str, limits: StreamLimits) -> list[api.StreamConfig]:
    """Configurations of a market's streams as they are made when missing."""
    return [
        _stream(
            subjects.intake_stream(market),
            f"{subjects.PREFIX}.{market}.intake.>",
            limits,
            allow_atomic=True,
            # Full means that publishers are told so; nothing undecided is ever dropped.
            discard=api.DiscardPolicy.NEW,
            max_bytes=limits.intake_max_bytes,
            duplicate_window=INTAKE_DUPLICATE_WINDOW_S,
            deny_delete=True,
        ),
        _stream(
            subjects.journal_stream(market),
            subjects.journal(market),
            limits,
            # One record is one message, fenced by itself: a batch has no business here.
            allow_atomic=False,
            discard=api.DiscardPolicy.NEW,
            duplicate_window=JOURNAL_DUPLICATE_WINDOW_S,
            deny_delete=True,
            deny_purge=True,
        ),
        _output(subjects.outcomes_stream(market), subjects.outcome(market, "*"), limits.outcomes_max_bytes, limits),
        _output(subjects.results_stream(market), subjects.result(market, "*"), limits.results_max_bytes, limits),
        _output(subjects.notices_stream(market), subjects.notices(market), limits.notices_max_bytes, limits),
    ]


def _output(name: str, subject: str, max_bytes: int, limits: StreamLimits) -> api.StreamConfig:
    return _stream(
        name,
        subject,
        limits,
        allow_atomic=True,
        discard=api.DiscardPolicy.OLD,
        max_bytes=max_bytes,
        max_age=limits.outputs_max_age_s,
        duplicate_window=OUTPUT_DUPLICATE_WINDOW_S,
    )


def _stream(name: str, subject: str, limits: StreamLimits, **settings: Any) -> api.StreamConfig:
    return api.StreamConfig(
        name=name,
        subjects=[subject],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        num_replicas=limits.replicas,
        allow_direct=True,
        metadata={subjects.IDENTITY_METADATA: secrets.token_hex(IDENTITY_BYTES)},
        **settings,
    )


async def _ensure_stream(js: JetStreamContext, wanted: api.StreamConfig) -> tuple[api.StreamConfig, bool]:
    """Return the stream's configuration as it is, and whether it was made just now."""
    name = str(wanted.name)
    try:
        return (await js.stream_info(name)).config, False
    except NotFoundError:
        pass
    try:
        return (await js.add_stream(wanted)).config, True
    except APIError as error:
        if error.err_code == STREAM_NAME_IN_USE:
            # Somebody else made it in between.
            return (await js.stream_info(name)).config, False
        if wanted.num_replicas != 1 and error.err_code in NOT_READY_CODES:
            raise NotReadyError(f"the cluster cannot make the stream {name} yet: {error.description}") from error
        raise ProvisionError(f"the broker cannot make the stream {name}: {error.description}") from error


def _check_stream(wanted: api.StreamConfig, found: api.StreamConfig) -> None:
    broken = [must for must, holds in _requirements(wanted, found) if not holds]
    if broken:
        raise ProvisionError(
            f"the stream {wanted.name} exists but does not fit: it must {'; it must '.join(broken)}. "
            "Nothing was changed: change the stream, or use a market of another name"
        )


def _requirements(wanted: api.StreamConfig, found: api.StreamConfig) -> list[tuple[str, bool]]:
    """What a stream must be for the service to be correct, and whether it is; sizes are the operator's."""
    identity = (found.metadata or {}).get(subjects.IDENTITY_METADATA)
    return [
        ("hold the subjects of its market and no others", found.subjects == wanted.subjects),
        ("be stored in files", found.storage == api.StorageType.FILE),
        ("use retention by limits", found.retention == api.RetentionPolicy.LIMITS),
        ("acknowledge what it stores (no_ack off)", not found.no_ack),
        ("allow direct reads (allow_direct)", bool(found.allow_direct)),
        (
            f"have atomic batches {'on' if wanted.allow_atomic else 'off'} (allow_atomic)",
            bool(found.allow_atomic) == bool(wanted.allow_atomic),
        ),
        (
            "refuse new messages when full (discard new)",
            found.discard == api.DiscardPolicy.NEW or wanted.discard == api.DiscardPolicy.OLD,
        ),
        ("deny deleting (deny_delete)", found.deny_delete or not wanted.deny_delete),
        ("deny purging (deny_purge)", found.deny_purge or not wanted.deny_purge),
        ("refuse roll-ups (allow_rollup_hdrs off)", not found.allow_rollup_hdrs),
        ("refuse schedules (allow_msg_schedules off)", not found.allow_msg_schedules),
        ("refuse lifetimes of single messages (allow_msg_ttl off)", not found.allow_msg_ttl),
        ("keep messages of every age (no max_age)", not found.max_age or bool(wanted.max_age)),
        ("keep any number of messages a subject (no max_msgs_per_subject)", found.max_msgs_per_subject < 1),
        ("be written by its users only (no mirror, no sources)", not found.mirror and not found.sources),
        ("leave subjects as they are (no subject_transform)", found.subject_transform is None),
        ("be open for writing (not sealed)", not found.sealed),
        (f"carry its identity in the metadata ({subjects.IDENTITY_METADATA})", bool(identity)),
    ]


async def _ensure_consumer(js: JetStreamContext, market: str, publisher: str) -> str | None:
    """Make a publisher's way to its outcomes when missing; return its name if it was made just now."""
    stream, name = subjects.outcomes_stream(market), outcomes_consumer(publisher)
    wanted = api.ConsumerConfig(
        name=name,
        durable_name=name,
        filter_subject=subjects.outcome(market, publisher),
        ack_policy=api.AckPolicy.EXPLICIT,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_wait=30,
        max_deliver=-1,
        max_ack_pending=10_000,
        max_waiting=128,
    )
    try:
        found = (await js.consumer_info(stream, name)).config
    except NotFoundError:
        await js.add_consumer(stream, wanted)
        return name
    filters = found.filter_subjects or [found.filter_subject]
    if filters != [wanted.filter_subject] or found.deliver_subject:
        raise ProvisionError(
            f"the consumer {name} of {stream} exists but does not fit: it must be a pull consumer of "
            f"{wanted.filter_subject} alone, or {publisher} could read what is not its own; delete it"
        )
    return None
