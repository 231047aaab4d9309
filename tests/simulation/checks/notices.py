"""Checks on messages that leave the market: none is lost, each has one end, facts are there once."""

import json
from collections import Counter, defaultdict
from typing import Final

from events import subjects
from events.notice import DEFERRED, DELIVERED, FAILED, HEADER_FACT, SENT, SUPPRESSED, NoticeFact, decode_fact
from services.ledger.notices import archived_through
from services.ledger.store import LedgerStore
from services.notifier.dispatch.routing import waiting_rows
from services.notifier.policy.known import KnownMarket
from services.notifier.policy.purposes import Notice, Purpose
from services.notifier.policy.reading import USEFUL_FOR_S, Source, lost_notice, notices_of
from tests.simulation.checks.draws import lost_draws
from tests.simulation.checks.history import KEY, MARKET, History, must, stream
from tests.simulation.streams import Stored, parse_head


def every_notice_has_one_end(history: History) -> None:
    """What the journal gives reason to tell is in the outbox or has ended, once, and what was taken was told."""
    if not history.world.is_sending:
        return
    messages = [message for message in stream(history.world, _STREAM).messages if _is_fact(message)]
    # There are facts about many notices at once too; those say nothing of what is sent.
    facts = [(one, decode_fact(one.body)) for one in messages if json.loads(one.body)["type"] in _OF_ONE]
    ended = Counter(fact.data.notice for _, fact in facts if fact.type != DEFERRED)
    twice = [notice for notice, times in ended.items() if times > 1]
    must(not twice, f"notices ended twice: {twice[:3]}")
    waiting = set(history.world.waiting_notices())
    due = _due(history)
    lost = [notice for notice in due if notice not in ended and notice not in waiting]
    must(not lost, f"{len(lost)} notices are lost, the first {due[lost[0]] if lost else ''}")
    strange = [notice for notice in {**ended, **dict.fromkeys(waiting)} if notice not in due]
    must(not strange, f"{len(strange)} notices are about nothing in the journal: {strange[:3]}")
    _check_numbers(messages)
    _check_taken(history, [fact for _, fact in facts])


_STREAM: Final = subjects.notices_stream(MARKET)
_OF_ONE: Final = (SENT, DELIVERED, DEFERRED, SUPPRESSED, FAILED)


def _due(history: History) -> dict[str, str]:
    """Return every notice that the journal gives reason for, by id, in words."""
    sending = history.world.dispatcher()
    assert sending is not None, "the caller has looked"
    routes = [line.route for line in sending._lines]
    known, found = KnownMarket(), dict[str, str]()

    def expect(notices: list[Notice]) -> None:
        for row in waiting_rows(notices, routes, history.world.has_address, 0):
            found[row.id] = f"{row.notice.kind} for {row.notice.member} by {row.channel} ({row.notice.decision})"

    for message, record in zip(history.messages, history.decoded, strict=True):
        for entry in record:
            source = Source(entry, message.seq, USEFUL_FOR_S)
            expect(list(notices_of(source, known)))
            known.learn(entry)
    expect([lost_notice(lost.draw, lost.member, USEFUL_FOR_S[Purpose.RESULT]) for lost in lost_draws(history)])
    return found


def _check_numbers(messages: list[Stored]) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        store, _, number = parse_head(message.head)[HEADER_FACT].partition(" ")
        numbers[store].append(int(number))
    for store, known in numbers.items():
        must(known == list(range(1, len(known) + 1)), f"facts of {store} are numbered {known[:20]}")


def _check_taken(history: History, facts: list[NoticeFact]) -> None:
    outside = history.world.outside
    told = [fact.data.notice for fact in facts if fact.type == DELIVERED and fact.data.channel == "webhook:shop-a"]
    taken = {name.removeprefix("msg_") for name in outside.webhooks}
    missing = [notice for notice in told if notice not in taken]
    must(not missing, f"the shop is said to have taken {missing[:3]}, and has not")
    sent = {
        fact.data.digest or fact.data.notice for fact in facts if fact.type == SENT and fact.data.channel == "email"
    }
    unsent = sent - set(outside.mails)
    must(not unsent, f"the mail server is said to have taken {sorted(unsent)[:3]}, and has not")


def the_ledger_holds_the_notices(history: History) -> None:
    """Every fact of the notices stream is archived, once."""
    notices = stream(history.world, _STREAM)
    journal = stream(history.world, subjects.journal_stream(MARKET)).config["metadata"][subjects.IDENTITY_METADATA]
    folder, identity = history.world.folder / "ledger", notices.config["metadata"][subjects.IDENTITY_METADATA]
    with LedgerStore.open("sqlite:", MARKET, data_dir=folder, identity=journal, market_key=KEY) as store:
        must(archived_through(store, identity) == notices.last_seq, "the last facts are not archived")
        rows = store.query("SELECT seq, body FROM @notices WHERE stream = ? ORDER BY seq", (identity,))
    archived = [(int(seq), bytes(body)) for seq, body in rows]
    # What is no fact keeps its place and nothing else.
    due = [(one.seq, one.body if _is_fact(one) else b"") for one in notices.messages]
    must(archived == due, "the archived facts are not those of the stream")


def _is_fact(message: Stored) -> bool:
    return HEADER_FACT in parse_head(message.head) if message.head else False
