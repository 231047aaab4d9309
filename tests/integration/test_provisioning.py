"""Streams, keys and the broker's process: what first run makes, and what nothing may change or lose."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from nats.js import api

import deploy.broker_binary
import deploy.broker_lock
from deploy.broker import EmbeddedBroker
from deploy.broker_config import BrokerLimits
from deploy.broker_error import BrokerError
from deploy.identity import IdentityError, ensure_identities, known_publishers, load_identity
from deploy.permissions import NameRefusedError
from deploy.provision import Provisioned, ProvisionError, StreamLimits, provision
from tests.conftest import PUBLISHERS, Connect

ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from deploy.broker import EmbeddedBroker

async def main():
    broker = EmbeddedBroker(Path(sys.argv[1]))
    await broker.start()
    print(broker.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
INTAKE, JOURNAL = "groupbuy-main-intake", "groupbuy-main-journal"
OUTCOMES, RESULTS, NOTICES = "groupbuy-main-outcomes", "groupbuy-main-results", "groupbuy-main-notices"


async def _configurations(connect: Connect, broker: EmbeddedBroker) -> dict[str | None, api.StreamConfig]:
    js = (await connect(broker, "provisioner")).client.jetstream()
    return {info.config.name: info.config for info in await js.streams_info()}


async def _provision(connect: Connect, broker: EmbeddedBroker, *publishers: str) -> Provisioned:
    client = (await connect(broker, "provisioner")).client
    return await provision(client, "main", publishers or PUBLISHERS)


# --- streams ---


async def test_a_market_has_five_streams_in_files_each_with_its_subjects(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    configurations = await _configurations(connect, broker)
    assert {name: config.subjects for name, config in configurations.items()} == {
        INTAKE: ["groupbuy.main.intake.>"],
        JOURNAL: ["groupbuy.main.journal"],
        OUTCOMES: ["groupbuy.main.outcome.*"],
        RESULTS: ["groupbuy.main.result.*"],
        NOTICES: ["groupbuy.main.notices"],
    }
    assert {config.storage for config in configurations.values()} == {"file"}
    assert all(config.allow_direct and not config.allow_rollup_hdrs for config in configurations.values())


async def test_the_journal_denies_deleting_and_purging_and_keeps_everything(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    journal = (await _configurations(connect, broker))[JOURNAL]
    assert journal.deny_delete
    assert journal.deny_purge
    assert not journal.allow_atomic
    assert (journal.max_age, journal.max_bytes, journal.max_msgs) == (0, -1, -1)


async def test_a_full_intake_refuses_new_events_instead_of_dropping_old_ones(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    intake = (await _configurations(connect, fresh_broker))[INTAKE]
    assert (intake.discard, intake.max_bytes, intake.max_age) == ("new", 8 * 1024**3, 0)


async def test_results_outcomes_and_notices_age_out_and_take_atomic_batches(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    configurations = await _configurations(connect, broker)
    for name in (OUTCOMES, RESULTS, NOTICES):
        assert configurations[name].discard == "old"
        assert configurations[name].allow_atomic
        assert configurations[name].max_age == 7 * 86_400
        assert (configurations[name].max_bytes or 0) > 0


async def test_every_stream_has_its_own_identity_and_a_recreated_stream_another(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    before = (await _provision(connect, fresh_broker)).identities
    assert len(set(before.values())) == 5
    await (await connect(fresh_broker, "provisioner")).client.jetstream().delete_stream(INTAKE)
    again = await _provision(connect, fresh_broker)
    assert again.created == (INTAKE,)
    assert again.identities[INTAKE] != before[INTAKE]
    assert again.identities[JOURNAL] == before[JOURNAL]


async def test_provisioning_again_changes_nothing_and_keeps_the_operators_limits(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    js = (await connect(fresh_broker, "provisioner")).client.jetstream()
    config = (await js.stream_info(INTAKE)).config
    await js.update_stream(config.evolve(max_bytes=1_000_000))
    before = await _configurations(connect, fresh_broker)
    again = await _provision(connect, fresh_broker)
    assert again.created == ()
    assert await _configurations(connect, fresh_broker) == before


async def test_two_provisioners_at_once_agree_on_the_identities(tmp_path: Path, connect: Connect) -> None:
    async with EmbeddedBroker(tmp_path / "data") as broker:
        first, second = await asyncio.gather(_provision(connect, broker, "local"), _provision(connect, broker, "local"))
        assert first.identities == second.identities
        third = await _provision(connect, broker, "local")
        assert third.identities == first.identities


@pytest.mark.parametrize(
    ("stream", "change", "complaint"),
    [
        (JOURNAL, {"deny_purge": False}, "deny_purge"),
        (JOURNAL, {"deny_delete": False}, "deny_delete"),
        (JOURNAL, {"storage": "memory"}, "stored in files"),
        (JOURNAL, {"metadata": {}}, "identity"),
        (JOURNAL, {"max_age": 3600.0}, "max_age"),
        (JOURNAL, {"allow_rollup_hdrs": True, "deny_purge": False}, "roll-ups"),
        (INTAKE, {"discard": "old"}, "discard new"),
        (INTAKE, {"subjects": ["groupbuy.main.intake.*.order"]}, "subjects of its market"),
        (INTAKE, {"no_ack": True, "allow_atomic": False}, "acknowledge"),
        (RESULTS, {"allow_atomic": False}, "atomic"),
    ],
)
async def test_a_stream_that_does_not_fit_is_reported_and_left_alone(
    fresh_broker: EmbeddedBroker, connect: Connect, stream: str, change: dict[str, object], complaint: str
) -> None:
    js = (await connect(fresh_broker, "provisioner")).client.jetstream()
    config = (await js.stream_info(stream)).config
    await js.delete_stream(stream)
    await js.add_stream(config.evolve(**change))
    before = (await js.stream_info(stream)).config
    with pytest.raises(ProvisionError, match=complaint) as raised:
        await _provision(connect, fresh_broker)
    assert stream in str(raised.value)
    assert (await js.stream_info(stream)).config == before


async def test_a_consumer_that_would_show_a_publisher_more_than_its_own_is_reported(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    js = (await connect(fresh_broker, "provisioner")).client.jetstream()
    await js.delete_consumer(OUTCOMES, "outcomes-shop-a")
    await js.add_consumer(
        OUTCOMES, api.ConsumerConfig(durable_name="outcomes-shop-a", ack_policy=api.AckPolicy.EXPLICIT)
    )
    with pytest.raises(ProvisionError, match="not its own"):
        await _provision(connect, fresh_broker)


async def test_a_publisher_that_comes_later_gets_its_consumer_and_others_keep_their_place(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    again = await _provision(connect, fresh_broker, *PUBLISHERS, "shop-c")
    assert again.created == ("outcomes-shop-c",)


async def test_a_broker_that_takes_too_small_messages_is_refused(tmp_path: Path, connect: Connect) -> None:
    limits = BrokerLimits(max_payload_bytes=1024 * 1024)
    async with EmbeddedBroker(tmp_path / "data", limits=limits) as broker:
        with pytest.raises(ProvisionError, match="max_payload is 1048576"):
            await _provision(connect, broker)


async def test_streams_that_the_broker_has_no_room_for_are_refused_with_its_reason(
    tmp_path: Path, connect: Connect
) -> None:
    async with EmbeddedBroker(tmp_path / "data", limits=BrokerLimits(max_file_store_bytes=1024**3)) as broker:
        client = (await connect(broker, "provisioner")).client
        with pytest.raises(ProvisionError, match="insufficient storage"):
            await provision(client, "main", ["local"], StreamLimits())


async def test_only_the_provisioners_key_provisions(
    fresh_broker: EmbeddedBroker, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.provision.API_TIMEOUT_S", 0.2)
    client = (await connect(fresh_broker, "matcher")).client
    with pytest.raises(ProvisionError, match="provisioner's key"):
        await provision(client, "main", ["local"])


@pytest.mark.parametrize(
    ("market", "publisher"), [("a.b", "local"), ("*", "local"), ("main", "gateway"), ("main", ">")]
)
async def test_names_that_would_change_a_subject_are_refused(
    broker: EmbeddedBroker, connect: Connect, market: str, publisher: str
) -> None:
    client = (await connect(broker, "provisioner")).client
    with pytest.raises(NameRefusedError):
        await provision(client, market, [publisher])


# --- what survives ---


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_acknowledged_messages_identities_and_port_survive(
    fresh_broker: EmbeddedBroker, connect: Connect, how: str
) -> None:
    before, port = await _provision(connect, fresh_broker), fresh_broker.port
    shop = await connect(fresh_broker, "shop-a")
    for number in range(20):
        await shop.client.jetstream().publish("groupbuy.main.intake.shop-a.order", str(number).encode())

    if how == "stop":
        await fresh_broker.stop()
    else:
        fresh_broker.kill()
    assert not fresh_broker.running
    await fresh_broker.start()

    assert fresh_broker.port == port
    assert (await _provision(connect, fresh_broker)) == Provisioned("main", before.identities, ())
    js = (await connect(fresh_broker, "matcher")).client.jetstream()
    assert (await js.stream_info(INTAKE)).state.messages == 20
    assert (await js.get_msg(INTAKE, 20)).data == b"19"


async def test_the_fence_by_the_last_records_hash_survives_a_restart_and_the_dedupe_window(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    js = (await connect(fresh_broker, "matcher")).client.jetstream()
    await js.publish("groupbuy.main.journal", b"r1", headers={"Nats-Msg-Id": "h1"})
    await asyncio.sleep(2.1)
    fresh_broker.kill()
    await fresh_broker.start()
    js = (await connect(fresh_broker, "matcher")).client.jetstream()
    fences = {"Nats-Expected-Last-Sequence": "1", "Nats-Expected-Last-Msg-Id": "h1", "Nats-Msg-Id": "h2"}
    assert (await js.publish("groupbuy.main.journal", b"r2", headers=fences)).seq == 2


# --- the broker's process ---


async def test_the_broker_syncs_every_write_and_listens_on_loopback_only(broker: EmbeddedBroker) -> None:
    lines = [line.strip() for line in broker.config_file.read_text().splitlines()]
    assert "sync_interval: always" in lines
    assert f'listen: "127.0.0.1:{broker.port}"' in lines
    assert "max_payload: 8388608" in lines
    assert not any(line.startswith(("http", "monitor", "leafnodes", "cluster", "websocket")) for line in lines)


async def test_the_configuration_holds_no_secret(broker: EmbeddedBroker) -> None:
    text = broker.config_file.read_text()
    for key in (broker.directory.parent / "keys").iterdir():
        assert key.read_text().strip() not in text


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} on 127.0.0.1 is taken"):
            await EmbeddedBroker(tmp_path / "data", port=port).start()


async def test_two_brokers_never_share_a_data_directory(
    fresh_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.broker_lock, "LOCK_TIMEOUT_S", 0.1)
    second = EmbeddedBroker(fresh_broker.directory.parent)
    with pytest.raises(BrokerError, match=rf"another broker \(process {fresh_broker.pid}\) already runs"):
        await second.start()
    assert fresh_broker.running


async def test_a_missing_binary_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy.broker_binary, "BINARY_PACKAGE", "no-such-package-of-ours")
    with pytest.raises(BrokerError, match="no-such-package-of-ours is not installed"):
        await EmbeddedBroker(tmp_path / "data").start()


async def test_a_broker_that_dies_at_once_says_why(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "data")
    broker.directory.mkdir(parents=True)
    (broker.directory / "store").write_text("a file where the streams should be")
    with pytest.raises(BrokerError, match="ended at once"):
        await broker.start()
    assert not broker.running


async def test_a_stopped_broker_leaves_no_process(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "data")
    await broker.start()
    pid = broker.pid
    assert pid is not None
    await broker.stop()
    await broker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's signal at a parent's death is Linux's")
async def test_a_killed_supervisor_takes_its_broker_along_and_the_next_one_starts(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    supervisor.kill()
    supervisor.communicate()
    async with EmbeddedBroker(tmp_path) as broker:
        assert broker.pid != pid


# --- keys ---


def test_keys_are_made_at_first_run_for_their_owner_only_and_kept(tmp_path: Path) -> None:
    first = ensure_identities(tmp_path, ["local", "shop-a"])
    assert set(first) == {
        "operator", "matcher", "gateway", "ledger", "notifier", "provisioner", "local", "shop-a"
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert {stat.S_IMODE(identity.seed_file.stat().st_mode) for identity in first.values()} == {0o600}
    assert len({identity.public_key for identity in first.values()}) == len(first)
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == sorted(f"{user}.nk" for user in first)

    seeds = {user: identity.seed() for user, identity in first.items()}
    again = ensure_identities(tmp_path)
    assert again == first, "a publisher of an earlier run is still known"
    assert {user: identity.seed() for user, identity in again.items()} == seeds
    assert known_publishers(tmp_path) == ["local", "shop-a"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused_and_kept(tmp_path: Path, mode: int) -> None:
    identity = ensure_identities(tmp_path)["local"]
    seed = identity.seed_file.read_bytes()
    identity.seed_file.chmod(mode)
    with pytest.raises(IdentityError, match=r"local\.nk can be used by others .* chmod 600"):
        ensure_identities(tmp_path)
    assert identity.seed_file.read_bytes() == seed


def test_a_directory_of_keys_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    ensure_identities(tmp_path)
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(IdentityError, match="chmod 700"):
        load_identity(tmp_path, "local")


@pytest.mark.parametrize("content", [b"", b"SU", b"not a seed at all", b"\xff" * 58, b"S" * 58])
def test_a_damaged_key_is_named_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    identity = ensure_identities(tmp_path)["matcher"]
    identity.seed_file.write_bytes(content)
    with pytest.raises(IdentityError, match=r"matcher\.nk is damaged"):
        ensure_identities(tmp_path)
    assert identity.seed_file.read_bytes() == content


def test_a_missing_key_says_how_keys_are_made(tmp_path: Path) -> None:
    ensure_identities(tmp_path)
    with pytest.raises(IdentityError, match=r"nobody\.nk is missing: start groupbuy once"):
        load_identity(tmp_path, "nobody")
