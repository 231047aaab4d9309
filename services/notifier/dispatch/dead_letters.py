"""What could not be sent, and channels that were given up: looked at and sent again by the service and by operators."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.notifier.dispatch.database import Database
from services.notifier.dispatch.rows import DeadLetter, EndpointState, Waiting
from services.notifier.dispatch.tables import insert_waiting

LISTED_MAX: Final = 1_000
_letter_decoder: Final = msgspec.json.Decoder(DeadLetter)
_state_decoder: Final = msgspec.json.Decoder(EndpointState)
_encode: Final = msgspec.json.Encoder().encode


def dead_letters(
    database: Database, *, after_ns: int = 0, channel: str | None = None, limit: int = LISTED_MAX
) -> list[DeadLetter]:
    """Return what could not be sent, the oldest first."""
    rows = database.connection.execute(
        "SELECT body FROM dead WHERE at >= ? AND (channel = ? OR ? IS NULL) ORDER BY at, id LIMIT ?",
        (after_ns, channel, channel, limit),
    )
    return [_letter_decoder.decode(body) for (body,) in rows]


def dead_letter_count(database: Database) -> int:
    """Return how many there are."""
    return int(database.connection.execute("SELECT count(*) FROM dead").fetchone()[0])


def replay(database: Database, ids: Sequence[str] | None, now_ns: int, channel: str | None = None) -> list[Waiting]:
    """Put dead letters back into the outbox, due at once, and return them; `ids` of None means all of a channel.

    The id stays, so that the other side can still tell a repetition; `first` links to the first failure.
    """
    revived: list[Waiting] = []
    with database.transaction() as connection:
        if ids is None:
            found = connection.execute("SELECT body FROM dead WHERE channel = ? OR ? IS NULL", (channel, channel))
            letters = [_letter_decoder.decode(body) for (body,) in found]
        else:
            rows = [connection.execute("SELECT body FROM dead WHERE id = ?", (each,)).fetchone() for each in ids]
            letters = [_letter_decoder.decode(row[0]) for row in rows if row is not None]
        for letter in letters:
            row = _again(letter, now_ns)
            insert_waiting(connection, row)
            connection.execute("DELETE FROM dead WHERE id = ?", (letter.id,))
            revived.append(row)
    return revived


def _again(letter: DeadLetter, now_ns: int) -> Waiting:
    row = letter.row
    return msgspec.structs.replace(
        row,
        due_at_ns=now_ns,
        attempts=0,
        round=row.round + 1,
        first=row.first or letter.fact,
        digest=None,
        digest_key=None,
    )


def endpoint_states(database: Database) -> dict[str, EndpointState]:
    """Return how the channels are doing of which there is anything to say."""
    rows = database.connection.execute("SELECT channel, body FROM endpoints")
    return {str(channel): _state_decoder.decode(body) for channel, body in rows}


def write_endpoint(database: Database, state: EndpointState, alert: Sequence[Waiting] = ()) -> None:
    """Write down how a channel is doing, and in the same transaction what operators are told of it."""
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO endpoints VALUES (?, ?) ON CONFLICT (channel) DO UPDATE SET body = excluded.body",
            (state.channel, _encode(state)),
        )
        for row in alert:
            insert_waiting(connection, row)
