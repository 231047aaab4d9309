"""Who may do what on the broker: each right and each refusal that outsiders are promised, on a real one."""

import asyncio
import json

import pytest
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import APIError, BadRequestError

from deploy.broker import EmbeddedBroker
from deploy.permissions import OPERATOR_FAMILIES, PUBLISHER_FAMILIES, NameRefusedError, all_permissions
from tests.conftest import Connect

EVERYONE = ("matcher", "gateway", "ledger", "notifier", "operator", "shop-a", "shop-b")
SERVICES = ("matcher", "gateway", "ledger", "notifier")
STREAMS = ("intake", "journal", "outcomes", "results", "notices")

CREATE = "$JS.API.CONSUMER.CREATE"
OUTCOMES = "groupbuy-main-outcomes"


@pytest.mark.parametrize("family", PUBLISHER_FAMILIES)
async def test_a_publisher_may_publish_its_families_and_the_ack_says_stored(
    broker: EmbeddedBroker, connect: Connect, family: str
) -> None:
    shop = await connect(broker, "shop-a")
    ack = await shop.client.jetstream().publish(f"groupbuy.main.intake.shop-a.{family}", b"{}")
    assert ack.stream == "groupbuy-main-intake"
    assert ack.seq > 0


@pytest.mark.parametrize("family", OPERATOR_FAMILIES)
async def test_the_operator_may_publish_its_families(broker: EmbeddedBroker, connect: Connect, family: str) -> None:
    operator = await connect(broker, "operator")
    ack = await operator.client.jetstream().publish(f"groupbuy.main.intake.operator.{family}", b"{}")
    assert ack.stream == "groupbuy-main-intake"


@pytest.mark.parametrize(
    "subject",
    [
        pytest.param("groupbuy.main.journal", id="the journal"),
        pytest.param("groupbuy.main.intake.shop-b.order", id="another publisher's subject"),
        pytest.param("groupbuy.main.submit.shop-b.order", id="another publisher's requests"),
        pytest.param("groupbuy.main.intake.shop-a.market", id="a family of the operator"),
        pytest.param("groupbuy.main.submit.shop-a.member", id="a family of the operator by request"),
        pytest.param("groupbuy.main.intake.shop-a.clock", id="the matcher's family"),
        pytest.param("groupbuy.main.intake.shop-a.order.more", id="a longer subject"),
        pytest.param("groupbuy.other.intake.shop-a.order", id="another market"),
        pytest.param("groupbuy.main.intake.operator.market", id="the operator's subject"),
        pytest.param("groupbuy.main.intake.matcher.clock", id="the clock"),
        pytest.param("groupbuy.main.intake.gateway.mixed", id="the gateway's subject"),
        pytest.param("groupbuy.main.outcome.shop-a", id="its own outcomes"),
        pytest.param("groupbuy.main.result.m1", id="a member's results"),
        pytest.param("groupbuy.main.notices", id="the notices"),
        pytest.param("groupbuy.main.checkpoint", id="the ledger's checkpoints"),
        pytest.param("_INBOX.shop-b.x", id="an answer to another publisher"),
        pytest.param("_INBOX.gateway.x", id="an answer to the gateway"),
        pytest.param(f"$JS.API.CONSUMER.MSG.NEXT.{OUTCOMES}.outcomes-shop-b", id="another's stored outcomes"),
        pytest.param(f"$JS.API.CONSUMER.INFO.{OUTCOMES}.outcomes-shop-b", id="how far another has read"),
        pytest.param(f"$JS.ACK.{OUTCOMES}.outcomes-shop-b.1.1.1.1.0", id="an ack in another's name"),
        pytest.param(f"$JS.API.STREAM.MSG.GET.{OUTCOMES}", id="any stored outcome"),
        pytest.param(f"$JS.API.DIRECT.GET.{OUTCOMES}", id="any stored outcome directly"),
        pytest.param("$JS.API.STREAM.MSG.GET.groupbuy-main-intake", id="a stored input"),
        pytest.param("$JS.API.STREAM.INFO.groupbuy-main-intake", id="the state of the intake"),
        pytest.param("$JS.API.INFO", id="the state of the broker"),
        pytest.param("$JS.API.STREAM.NAMES", id="the names of streams"),
    ],
)
async def test_a_publisher_cannot_publish_on(broker: EmbeddedBroker, connect: Connect, subject: str) -> None:
    assert await (await connect(broker, "shop-a")).refused_publish(subject)


@pytest.mark.parametrize(
    "subject",
    [
        ">",
        "groupbuy.>",
        "groupbuy.main.outcome.*",
        "groupbuy.main.outcome.shop-b",
        "groupbuy.main.journal",
        "groupbuy.main.intake.>",
        "groupbuy.main.submit.shop-a.order",
        "groupbuy.main.result.*",
        "groupbuy.main.notices",
        "_INBOX.>",
        "_INBOX.*.>",
        "_INBOX.shop-b.>",
        "$JS.>",
        "$SYS.>",
    ],
)
async def test_a_publisher_cannot_listen_to(broker: EmbeddedBroker, connect: Connect, subject: str) -> None:
    assert await (await connect(broker, "shop-a")).refused_subscribe(subject)


@pytest.mark.parametrize(
    "subject",
    [
        f"{CREATE}.{OUTCOMES}",
        f"{CREATE}.{OUTCOMES}.mine",
        f"{CREATE}.{OUTCOMES}.mine.groupbuy.main.outcome.shop-a",
        f"{CREATE}.{OUTCOMES}.outcomes-shop-a.groupbuy.main.outcome.shop-a",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{OUTCOMES}.mine",
        f"{CREATE}.groupbuy-main-journal.mine",
        f"{CREATE}.groupbuy-main-intake.mine",
        f"$JS.API.CONSUMER.DELETE.{OUTCOMES}.outcomes-shop-a",
        f"$JS.API.CONSUMER.RESET.{OUTCOMES}.outcomes-shop-a",
        "$JS.API.STREAM.CREATE.mine",
        "$JS.API.STREAM.UPDATE.groupbuy-main-journal",
    ],
)
async def test_a_publisher_cannot_make_a_consumer_or_a_stream_that_would_deliver_for_it(
    broker: EmbeddedBroker, connect: Connect, subject: str
) -> None:
    assert await (await connect(broker, "shop-a")).refused_publish(subject)


async def test_a_publisher_reads_its_own_outcomes_live_and_again_later(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    shop, notifier = await connect(fresh_broker, "shop-a"), await connect(fresh_broker, "notifier")
    live = await shop.client.subscribe("groupbuy.main.outcome.shop-a")
    await shop.client.flush()
    for publisher in ("shop-b", "shop-a"):
        await notifier.client.jetstream().publish(f"groupbuy.main.outcome.{publisher}", publisher.encode())

    assert (await live.next_msg(timeout=2)).data == b"shop-a"

    stored = await shop.client.jetstream().pull_subscribe_bind(consumer="outcomes-shop-a", stream=OUTCOMES)
    [message] = await stored.fetch(10, timeout=0.5)
    assert message.data == b"shop-a"
    await message.ack_sync(timeout=2)
    assert (await stored.consumer_info()).num_pending == 0
    assert not shop.refusals


async def test_the_gateway_answers_a_request_under_the_requesters_own_inbox(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    gateway, shop = await connect(broker, "gateway"), await connect(broker, "shop-a")

    async def answer(message: Msg) -> None:
        assert message.reply.startswith("_INBOX.shop-a.")
        await message.respond(b'{"outcomes":[]}')

    await gateway.client.subscribe("groupbuy.main.submit.*.*", cb=answer)
    await gateway.client.flush()
    response = await shop.client.request("groupbuy.main.submit.shop-a.order", b"{}", timeout=2)
    assert json.loads(response.data) == {"outcomes": []}


async def test_the_gateway_publishes_what_it_gathered(broker: EmbeddedBroker, connect: Connect) -> None:
    gateway = await connect(broker, "gateway")
    ack = await gateway.client.jetstream().publish("groupbuy.main.intake.gateway.mixed", b"[]")
    assert ack.stream == "groupbuy-main-intake"


@pytest.mark.parametrize(
    "subject",
    [
        "groupbuy.main.journal",
        "groupbuy.main.intake.gateway.order",
        "groupbuy.main.intake.shop-a.order",
        "groupbuy.main.intake.operator.market",
        "groupbuy.main.intake.matcher.clock",
        "groupbuy.main.outcome.shop-a",
        "groupbuy.main.result.m1",
        "_INBOX.unknown.x",
        "_INBOX.matcher.x",
        "_INBOX.x",
        "$JS.API.STREAM.MSG.GET.groupbuy-main-intake",
        f"{CREATE}.groupbuy-main-intake.mine",
        f"{CREATE}.{OUTCOMES}.mine",
    ],
)
async def test_the_gateway_cannot_publish_on(broker: EmbeddedBroker, connect: Connect, subject: str) -> None:
    assert await (await connect(broker, "gateway")).refused_publish(subject)


async def test_the_matcher_commits_fenced_records_and_reads_intake_and_journal(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    matcher, shop = await connect(fresh_broker, "matcher"), await connect(fresh_broker, "shop-a")
    js = matcher.client.jetstream()
    await shop.client.jetstream().publish("groupbuy.main.intake.shop-a.order", b"{}")
    await js.publish("groupbuy.main.intake.matcher.clock", b"{}")
    first = await js.publish(
        "groupbuy.main.journal", b"r1", headers={"Nats-Expected-Last-Sequence": "0", "Nats-Msg-Id": "h1"}
    )
    fences = {"Nats-Expected-Last-Sequence": "1", "Nats-Expected-Last-Msg-Id": "h1", "Nats-Msg-Id": "h2"}
    second = await js.publish("groupbuy.main.journal", b"r2", headers=fences)
    assert (first.seq, second.seq) == (1, 2)

    for subject, stream, count in (
        ("groupbuy.main.intake.>", "groupbuy-main-intake", 2),
        ("groupbuy.main.journal", "groupbuy-main-journal", 2),
    ):
        reader = await js.subscribe(subject, stream=stream, ordered_consumer=True)
        assert [(await reader.next_msg(timeout=2)).metadata.sequence.stream for _ in range(count)] == [1, 2]
        await reader.unsubscribe()
        assert (await js.get_msg(stream, 1)).seq == 1
        assert (await js.get_msg(stream, 1, direct=True)).seq == 1
    assert not matcher.refusals


async def test_a_record_that_does_not_fit_the_last_one_is_a_conflict(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    js = (await connect(fresh_broker, "matcher")).client.jetstream()
    await js.publish("groupbuy.main.journal", b"r1", headers={"Nats-Expected-Last-Sequence": "0", "Nats-Msg-Id": "h1"})
    for sequence, last in (("0", "h1"), ("1", "other")):
        fences = {
            "Nats-Expected-Last-Sequence": sequence,
            "Nats-Expected-Last-Msg-Id": last,
            "Nats-Msg-Id": "h2",
        }
        with pytest.raises(BadRequestError, match="wrong last"):
            await js.publish("groupbuy.main.journal", b"r2", headers=fences)


@pytest.mark.parametrize("subject", ["groupbuy.main.intake.shop-a.order", "groupbuy.main.outcome.shop-a", "_INBOX.a.b"])
async def test_the_matcher_cannot_publish_on(broker: EmbeddedBroker, connect: Connect, subject: str) -> None:
    assert await (await connect(broker, "matcher")).refused_publish(subject)


@pytest.mark.parametrize("user", [user for user in EVERYONE if user != "matcher"])
async def test_only_the_matcher_publishes_the_journal(broker: EmbeddedBroker, connect: Connect, user: str) -> None:
    assert await (await connect(broker, user)).refused_publish("groupbuy.main.journal")


async def test_the_provisioner_makes_streams_but_takes_no_part_in_a_market(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    provisioner = await connect(broker, "provisioner")
    for subject in (
        "groupbuy.main.journal",
        "groupbuy.main.intake.shop-a.order",
        "groupbuy.main.outcome.shop-a",
    ):
        assert await provisioner.refused_publish(subject)


@pytest.mark.parametrize("user", EVERYONE)
async def test_nobody_but_the_provisioner_deletes_or_purges_except_that_the_ledger_trims_the_intake(
    broker: EmbeddedBroker, connect: Connect, user: str
) -> None:
    actor = await connect(broker, user)
    for stream in STREAMS:
        for verb in ("STREAM.DELETE", "STREAM.MSG.DELETE", "STREAM.UPDATE", "STREAM.PURGE", "STREAM.RESTORE"):
            trims = (user, stream, verb) == ("ledger", "intake", "STREAM.PURGE")
            if not trims:
                assert await actor.refused_publish(f"$JS.API.{verb}.groupbuy-main-{stream}"), (stream, verb)


async def test_the_ledger_trims_the_intake_up_to_what_it_archived_and_publishes_checkpoints(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    ledger, shop = await connect(fresh_broker, "ledger"), await connect(fresh_broker, "shop-a")
    for _ in range(5):
        await shop.client.jetstream().publish("groupbuy.main.intake.shop-a.order", b"{}")
    js = ledger.client.jetstream()
    await js.purge_stream("groupbuy-main-intake", seq=4)
    state = (await js.stream_info("groupbuy-main-intake")).state
    assert (state.first_seq, state.last_seq) == (4, 5)
    assert not await ledger.refused_publish("groupbuy.main.checkpoint")


@pytest.mark.parametrize("user", ["ledger", "notifier", "gateway"])
async def test_ledger_notifier_and_gateway_read_the_journal_from_any_position(
    fresh_broker: EmbeddedBroker, connect: Connect, user: str
) -> None:
    matcher, reader = await connect(fresh_broker, "matcher"), await connect(fresh_broker, user)
    for number in range(3):
        await matcher.client.jetstream().publish("groupbuy.main.journal", str(number).encode())
    config = api.ConsumerConfig(
        deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=2, ack_policy=api.AckPolicy.NONE
    )
    push = await reader.client.jetstream().subscribe(
        "groupbuy.main.journal", stream="groupbuy-main-journal", config=config
    )
    assert [(await push.next_msg(timeout=2)).data for _ in range(2)] == [b"1", b"2"]
    pull = await reader.client.jetstream().pull_subscribe(
        "groupbuy.main.journal",
        stream="groupbuy-main-journal",
        config=api.ConsumerConfig(ack_policy=api.AckPolicy.NONE),
    )
    assert [message.data for message in await pull.fetch(3, timeout=2)] == [b"0", b"1", b"2"]
    assert not reader.refusals


async def test_the_notifier_writes_results_in_one_fenced_batch_and_finds_its_place_again(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    notifier = await connect(fresh_broker, "notifier")
    js = notifier.client.jetstream()
    for number, commit in ((1, {}), (2, {"Nats-Batch-Commit": "1"})):
        headers = {"Nats-Batch-Id": "journal-7", "Nats-Batch-Sequence": str(number), **commit}
        response = await notifier.client.request(
            f"groupbuy.main.result.m{number}", b"filled", headers=headers, timeout=2
        )
    assert json.loads(response.data) == {
        "stream": "groupbuy-main-results", "seq": 2, "batch": "journal-7", "count": 2
    }  # fmt: skip
    last = await js.get_last_msg("groupbuy-main-results", "groupbuy.main.result.m2", direct=True)
    assert (last.seq, last.data) == (2, b"filled")
    for subject in ("groupbuy.main.outcome.shop-a", "groupbuy.main.notices"):
        await js.publish(subject, b"{}")
    assert not notifier.refusals


@pytest.mark.parametrize("header", ["Nats-Rollup", "Nats-TTL"])
async def test_a_publisher_cannot_empty_the_intake_with_a_header(
    fresh_broker: EmbeddedBroker, connect: Connect, header: str
) -> None:
    js = (await connect(fresh_broker, "shop-a")).client.jetstream()
    await js.publish("groupbuy.main.intake.shop-a.order", b"{}")
    value = {"Nats-Rollup": "all", "Nats-TTL": "1s"}[header]
    with pytest.raises(APIError):
        await js.publish("groupbuy.main.intake.shop-a.order", b"{}", headers={header: value})
    matcher = await connect(fresh_broker, "matcher")
    assert (await matcher.client.jetstream().stream_info("groupbuy-main-intake")).state.messages == 1


async def test_a_reply_subject_may_bring_a_stray_message_onto_the_journal_but_never_a_record(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    """The broker does not check reply subjects: its ack for an event goes where the sender points.

    That is why readers of the journal skip what is not the successor of the last record. This test
    fails on the day the broker learns to refuse it.
    """
    shop, matcher = await connect(fresh_broker, "shop-a"), await connect(fresh_broker, "matcher")
    await shop.client.publish("groupbuy.main.intake.shop-a.order", b"{}", reply="groupbuy.main.journal")
    await shop.client.flush()
    js = matcher.client.jetstream()
    for _ in range(100):
        if (await js.stream_info("groupbuy-main-journal")).state.messages:
            break
        await asyncio.sleep(0.02)
    stray = await js.get_msg("groupbuy-main-journal", 1)
    assert json.loads(stray.data or b"") == {"stream": "groupbuy-main-intake", "seq": 1}
    assert not stray.headers


@pytest.mark.parametrize("api_request", ["STREAM.DELETE.groupbuy-main-journal", "STREAM.PURGE.groupbuy-main-intake"])
async def test_a_reply_subject_does_not_reach_the_brokers_own_interface(
    fresh_broker: EmbeddedBroker, connect: Connect, api_request: str
) -> None:
    shop, matcher = await connect(fresh_broker, "shop-a"), await connect(fresh_broker, "matcher")
    await shop.client.publish("groupbuy.main.intake.shop-a.order", b"{}", reply=f"$JS.API.{api_request}")
    await shop.client.flush()
    await asyncio.sleep(0.1)
    js = matcher.client.jetstream()
    assert (await js.stream_info("groupbuy-main-intake")).state.messages == 1
    assert (await js.stream_info("groupbuy-main-journal")).state.messages == 0


async def test_a_consumer_on_the_journal_cannot_deliver_back_into_it(broker: EmbeddedBroker, connect: Connect) -> None:
    ledger = await connect(broker, "ledger")
    config = api.ConsumerConfig(name="loop", deliver_subject="groupbuy.main.journal", ack_policy=api.AckPolicy.NONE)
    with pytest.raises(BadRequestError, match="cycle"):
        await ledger.client.jetstream().add_consumer("groupbuy-main-journal", config)


async def test_a_stranger_without_a_key_is_turned_away(broker: EmbeddedBroker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    try:
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert b"Authorization Violation" in await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()


async def test_a_publisher_added_while_the_broker_runs_is_served_and_nobody_is_cut_off(
    fresh_broker: EmbeddedBroker, connect: Connect
) -> None:
    gateway, shop = await connect(fresh_broker, "gateway"), await connect(fresh_broker, "shop-a")
    assert await gateway.refused_publish("_INBOX.shop-c.x")

    await fresh_broker.reload(publishers=["shop-c"])

    newcomer = await connect(fresh_broker, "shop-c")
    await newcomer.client.jetstream().publish("groupbuy.main.intake.shop-c.order", b"{}")
    await shop.client.jetstream().publish("groupbuy.main.intake.shop-a.order", b"{}")
    assert not await gateway.refused_publish("_INBOX.shop-c.x")


@pytest.mark.parametrize("name", ["matcher", "gateway", "provisioner", "a.b", "", "*", ">", "a b", "x" * 65, "拼团"])
def test_a_publisher_may_not_bear_the_name_of_a_service_or_one_that_changes_a_subject(name: str) -> None:
    with pytest.raises(NameRefusedError, match="publisher"):
        all_permissions(["main"], [name])


def test_with_several_markets_a_user_has_its_rights_in_each_and_in_no_other() -> None:
    held = all_permissions(["north", "south"], ["shop-a"])["shop-a"].publish
    assert {subject.split(".")[1] for subject in held if subject.startswith("groupbuy.")} == {
        "north",
        "south",
    }
