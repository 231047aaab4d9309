"""A broker that is somebody else's: it is only looked at, and told what it would need."""

from pathlib import Path
from typing import Final

import nats.errors

from deploy.broker_config import BrokerLimits, BrokerUser, render
from deploy.identity import ensure_identities
from deploy.permissions import PROVISIONER, SERVICE_USERS, all_permissions
from deploy.reach import close_quietly, connect_as, missing_streams
from deploy.stack_files import StackError, config_directory, write_private

EXAMPLE_PORT: Final = 4222


async def check_foreign_broker(
    data: Path, nats_url: str, market: str, publishers: tuple[str, ...], *, may_provision: bool
) -> None:
    """Refuse a broker that does not know our users, or has not the market's streams. Raises StackError."""
    example = write_broker_example(data, market, publishers)
    try:
        client = await connect_as(data, nats_url, PROVISIONER)
    except (nats.errors.Error, OSError) as error:
        raise StackError(
            f"the broker at {nats_url} does not take the user {PROVISIONER} ({error}): give it the users "
            f"and limits in {example}, which were written for it just now"
        ) from None
    try:
        missing = await missing_streams(client, market)
    finally:
        await close_quietly(client)
    if missing and not may_provision:
        raise StackError(
            f"the broker at {nats_url} lacks {', '.join(missing)}: make them first with "
            "`--provision`, or as your other streams are made"
        )


def write_broker_example(data: Path, market: str, publishers: tuple[str, ...]) -> Path:
    """Write a configuration for a foreign broker with this data directory's users and rights; return the file."""
    identities = ensure_identities(data, publishers)
    ordinary = [user for user in identities if user not in SERVICE_USERS]
    users = {
        name: BrokerUser(name, identities[name].public_key, permissions)
        for name, permissions in all_permissions([market], ordinary).items()
    }
    path = broker_example_file(data)
    write_private(path, render(EXAMPLE_PORT, Path("jetstream"), users, BrokerLimits()).encode())
    return path


def broker_example_file(data: Path) -> Path:
    """Where the configuration for a foreign broker is written."""
    return config_directory(data) / "nats-example.conf"
