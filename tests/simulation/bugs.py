"""Bugs to plant in the production code: one replacement in one file each, that a check of the simulation must find."""

from typing import Final, NamedTuple


class Bug(NamedTuple):
    """One replacement: `old`, which stands once in `path`, becomes `new`."""

    name: str
    path: str
    old: str
    new: str


BUGS: Final = (
    Bug(
        "skip_the_fence",
        "services/matcher/commit.py",
        "fence = {subjects.HEADER_MESSAGE_ID: own_hash, subjects.HEADER_LAST_SEQUENCE: str(self.last_seq)}",
        "return header_block({subjects.HEADER_MESSAGE_ID: own_hash})\n        fence: dict[str, str] = {}",
    ),
    Bug(
        "take_a_lost_fence_for_a_commit",
        "services/matcher/commit.py",
        "            if seq is None:\n                raise FenceLostError(",
        "            if seq is None:\n                return self._committed(self.last_seq + 1, own_hash)\n"
        "                raise FenceLostError(",
    ),
    Bug(
        "forget_the_tracking_row",
        "services/ledger/store.py",
        "Tracking(tracking_name(self.market, self.identity), tip.seq),",
        "Tracking(tracking_name(self.market, self.identity), max(1, tip.seq - 1)),",
    ),
    Bug(
        "archive_all_but_the_last",
        "services/ledger/archiver.py",
        "entries = await self._in_thread(lambda: store.append(records))",
        "entries = await self._in_thread(lambda: store.append(records[:-1] if len(records) > 2 else records))",
    ),
    Bug(
        "drop_the_tail_of_a_batch",
        "services/matcher/domain/engine.py",
        "for index in range(first_index, len(raws)):",
        "for index in range(first_index, min(len(raws), 6)):",
    ),
    Bug(
        "do_not_finish_a_message_after_a_restart",
        "services/matcher/shift.py",
        "        if not entries and first_index >= through.events:\n            return",
        "        return",
    ),
    Bug(
        "decide_a_message_twice_after_a_restart",
        "services/matcher/loop.py",
        "await self._reader.open(self.standing.through_seq + 1)",
        "await self._reader.open(max(1, self.standing.through_seq))",
    ),
    Bug(
        "forget_identities_at_recovery",
        "services/matcher/domain/engine.py",
        "            self._note_event(entry.decisions, raw_event, key)\n        self._close_entry(event, entry.at)",
        "            self._note_event(entry.decisions, None, None)\n        self._close_entry(event, entry.at)",
    ),
    Bug(
        "tell_events_apart_by_their_id_alone",
        "services/matcher/domain/identities.py",
        'f"{publisher}\\n{source}\\n"',
        '""',
    ),
    Bug(
        "resume_by_sequence_alone",
        "services/matcher/intake.py",
        "        if through is None:\n            return identity\n",
        "        if through is None or standing.seq:\n            return identity\n",
    ),
    Bug(
        "read_past_a_gap",
        "services/matcher/intake.py",
        "if self._hole or full or consumer_seq != self._consumer_seq + 1 or seq <= self._received_seq:",
        "if full:",
    ),
    Bug(
        "never_notice_silence",
        "services/matcher/intake.py",
        "return time.monotonic() - self._heard_at_s > SILENCE_S and not self._pending",
        "return False",
    ),
    Bug(
        "trust_a_damaged_snapshot",
        "services/matcher/snapshots.py",
        "if content[:head] != _MAGIC + hashlib.sha256(body).digest():",
        "if content[: len(_MAGIC)] != _MAGIC:",
    ),
    Bug(
        "let_time_go_back",
        "services/matcher/domain/gate.py",
        "return max(last, at)",
        "return at",
    ),
    Bug(
        "seat_at_the_deadline",
        "services/matcher/domain/due.py",
        "    tree.due_from = first\n    return first <= now",
        "    tree.due_from = first + 1\n    return first < now",
    ),
    Bug(
        "owe_a_payment_back_twice",
        "services/matcher/domain/paying.py",
        "    if is_owed(turn, data.order, data.payment):\n        raise Refusal(Reason.PAYMENT_KNOWN)\n    order",
        "    order",
    ),
    Bug(
        "send_results_again_after_a_restart",
        "services/notifier/channels/nats.py",
        "        return self._end.has(journal_seq, record_hash)",
        "        if self._ahead.is_idle and self.tally.messages == 0:\n            return False\n"
        "        return self._end.has(journal_seq, record_hash)",
    ),
    Bug(
        "skip_what_could_not_be_sent",
        "services/notifier/lane.py",
        "        failed = [bundle for sent in self._sent for bundle in sent.bundles]",
        "        failed: list[Bundle] = []",
    ),
    Bug(
        "answer_with_a_neighbours_outcome",
        "services/matcher/gateway/board.py",
        "request, place, event_id = sent.places[entry.index]",
        "request, place, event_id = sent.places[entry.index - (entry.index > 2)]",
    ),
    Bug(
        "give_stock_back_twice",
        "services/matcher/domain/holdings.py",
        "stock[key] = left = stock[key] + delta",
        "stock[key] = left = stock[key] + delta * (2 if delta > 0 else 1)",
    ),
    Bug(
        "cut_beyond_the_floor",
        "services/matcher/domain/plays/bargain.py",
        "        remaining_minor = play.number - cut\n        assert",
        "        cut += 1\n        remaining_minor = play.number - cut\n        assert",
    ),
    Bug(
        "give_a_prize_too_often",
        "services/matcher/domain/plays/lottery.py",
        "for _ in range(prize.quantity)), drawn, None)",
        "for _ in range(prize.quantity + 1)), drawn, None)",
    ),
    Bug(
        "help_at_the_end_of_a_play",
        "services/matcher/domain/plays/changes.py",
        "    tree.set_alarm(Alarm(play.ends_ns, play.no, ps.ENDS, play.play))",
        "    tree.set_alarm(Alarm(play.ends_ns + 1, play.no, ps.ENDS, play.play))",
    ),
    Bug(
        "help_past_the_days_cap",
        "services/matcher/domain/plays/assisting.py",
        "caps.helped_today(giving, day, now_ns) >= per_day:",
        "caps.helped_today(giving, day, now_ns) > per_day:",
    ),
    Bug(
        "invite_past_the_inviters_cap",
        "services/matcher/domain/members/invitations.py",
        "members.by_inviter.used(data.inviter, now) >= rules.inviter_per_day",
        "members.by_inviter.used(data.inviter, now) > rules.inviter_per_day",
    ),
    Bug(
        "invite_whom_a_pool_may_not_reach",
        "services/matcher/domain/members/invitations.py",
        "    if subject.pool is not None and subject.pool in (choices.pools_blocked or ()):\n"
        '        raise _Refused(Reason.BLOCKED, "pool")\n',
        "",
    ),
    Bug(
        "ignore_that_consent_was_taken_back",
        "services/matcher/domain/members/choosing.py",
        "said = replace(said, standing=False, lapsed=said.granted, withdrawn_at=turn.now)",
        "said = replace(said, lapsed=said.granted, withdrawn_at=turn.now)",
    ),
    Bug(
        "let_the_banned_order",
        "services/matcher/domain/standing/asking.py",
        "    if state.standing.ledge.sanctioned.get(member) == BANNED:\n        raise Refusal(Reason.MEMBER_BANNED)",
        "    return",
    ),
    Bug(
        "let_limits_of_ones_own_be_passed_by_one",
        "services/matcher/domain/members/limits.py",
        'limit.name == "assists" and week.assists + 1 > limit.most',
        'limit.name == "assists" and week.assists > limit.most',
    ),
    Bug(
        "resolve_before_the_answer",
        "services/matcher/domain/disputes/resolving.py",
        "if dispute.awaits_answer and turn.now < dispute.answer_until:",
        "if dispute.awaits_answer and turn.now < 0:",
    ),
    Bug(
        "agree_with_oneself",
        "services/matcher/domain/disputes/resolving.py",
        "    elif dispute.proposal.actor == data.actor:",
        "    elif dispute.proposal.actor == dispute.dispute:",
    ),
    Bug(
        "pay_a_refund_out_twice",
        "services/matcher/domain/paying.py",
        "    if refund.settled:\n        raise Refusal(Reason.REFUND_SETTLED)\n",
        "",
    ),
    Bug(
        "award_more_than_was_paid",
        "services/matcher/domain/disputes/remedies.py",
        "    if amount_minor > order.paid_minor:\n",
        "    if amount_minor > 10 * order.paid_minor:\n",
    ),
    Bug(
        "take_a_message_put_off_for_one_that_was_sent",
        "services/notifier/dispatch/worker.py",
        "                await self.condition.fails(outcome.why)\n                self._try_again(parcel, outcome)",
        "                self._end(parcel, EndKind.DELIVERED)",
    ),
    Bug(
        "forget_what_was_to_be_sent",
        "services/notifier/dispatch/outbox.py",
        "            for row in rows:\n                insert_waiting(connection, row)",
        "            for row in rows[:-1] if len(rows) > 2 else rows:\n                insert_waiting(connection, row)",
    ),
    Bug(
        "publish_facts_from_the_beginning_after_a_restart",
        "services/notifier/dispatch/publishing.py",
        "ours = int(number) if identity == self._store.outbox.store_id else 0",
        "ours = int(number) - 1 if identity == self._store.outbox.store_id else 0",
    ),
    Bug(
        "find_every_ledger_sound",
        "services/ledger/verify.py",
        "        report.fault = Fault(broken.place, broken.sentence)\n",
        "        report.fault = None\n",
    ),
)
