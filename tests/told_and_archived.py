"""`python -m tests.told_and_archived`: hashes of what notifier and ledger make of every golden history, as JSON.

For `tests/integration/test_compiled_rules.py`, which wants the same of what is compiled as of what is interpreted.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from events.compiled import way
from events.outcome_bytes import outcome_bytes
from events.record import decode_entry, decode_record
from services.bus.journal import FollowedRecord
from services.ledger.lean import decode_lean_record
from services.ledger.leaves import MARKET_KEY_BYTES, LeafMaker
from services.ledger.postings import pairs_of
from services.notifier.letters import gathered, mail_of
from tests.histories import histories, read_history

_MAKER: Final = LeafMaker(bytes(range(MARKET_KEY_BYTES)))


def digests() -> dict[str, dict[str, str]]:
    """Return SHA-256 of letters, outcomes at the gateway, leaves and pairs of the index, for each golden history."""
    found = {}
    for path in histories():
        letters, outcomes, leaves, pairs = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
        for stored in read_history(path):
            record = decode_record(stored.body)
            mail = mail_of(FollowedRecord(stored.seq, stored.at_ns, stored.hash, stored.body, record))
            for bundle in (mail.results, mail.outcomes):
                letters += [
                    part for letter in gathered(bundle.letters) for part in (letter.addressee.encode(), letter.body)
                ]
            entries = [decode_entry(raw) for raw in record.entries]
            outcomes += [outcome_bytes(entry) for entry in entries if entry.publisher is not None]
            leaves += _MAKER.leaves_of(stored.seq, stored.body)
            pairs += sorted(pairs_of(stored.seq, decode_lean_record(stored.body, path.name).entries))
        found[path.name] = {
            "letters": _hash(letters),
            "outcomes": _hash(outcomes),
            "leaves": _hash(leaves),
            "pairs": _hash(pairs),
        }
    return found


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d\n%b" % (len(part), part))
    return digest.hexdigest()


if __name__ == "__main__":
    print(json.dumps({"way": way(), "digests": digests()}))
