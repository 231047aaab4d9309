"""Names of subjects and streams; the only place where they are spelled."""

from typing import Final

PREFIX: Final = "groupbuy"
GATEWAY: Final = "gateway"
MIXED: Final = "mixed"
MATCHER: Final = "matcher"
OPERATOR: Final = "operator"

HEADER_MESSAGE_ID: Final = "Nats-Msg-Id"
HEADER_LAST_SEQUENCE: Final = "Nats-Expected-Last-Sequence"
HEADER_LAST_MESSAGE_ID: Final = "Nats-Expected-Last-Msg-Id"
IDENTITY_METADATA: Final = "groupbuy.stream"
"""Key of a stream's metadata under which its identity stands: it tells a recreated stream apart."""


def intake(market: str, publisher: str, family: str) -> str:
    """Subject on which `publisher` publishes events of `family`."""
    return f"{PREFIX}.{market}.intake.{publisher}.{family}"


def submit(market: str, publisher: str, family: str) -> str:
    """Subject of a request that is answered with the outcomes."""
    return f"{PREFIX}.{market}.submit.{publisher}.{family}"


def journal(market: str) -> str:
    """Subject of the matcher's records."""
    return f"{PREFIX}.{market}.journal"


def outcome(market: str, publisher: str) -> str:
    """Subject of the outcomes for one publisher."""
    return f"{PREFIX}.{market}.outcome.{publisher}"


def result(market: str, member: str) -> str:
    """Subject of the results for one member."""
    return f"{PREFIX}.{market}.result.{member}"


def notices(market: str) -> str:
    """Subject of the facts about sent, held back and failed messages."""
    return f"{PREFIX}.{market}.notices"


def checkpoint(market: str) -> str:
    """Subject of the ledger's signed checkpoints."""
    return f"{PREFIX}.{market}.checkpoint"


def intake_stream(market: str) -> str:
    """Stream that holds everything published to a market."""
    return f"{PREFIX}-{market}-intake"


def journal_stream(market: str) -> str:
    """Stream that holds a market's records."""
    return f"{PREFIX}-{market}-journal"


def outcomes_stream(market: str) -> str:
    """Stream that holds the outcomes for publishers."""
    return f"{PREFIX}-{market}-outcomes"


def results_stream(market: str) -> str:
    """Stream that holds the results for members."""
    return f"{PREFIX}-{market}-results"


def notices_stream(market: str) -> str:
    """Stream that holds the notices."""
    return f"{PREFIX}-{market}-notices"


def parse_intake(subject: str) -> tuple[str, str]:
    """Return (publisher, family) of an intake or submit subject.

    Raises ValueError when it has not the form of one.
    """
    tokens = subject.split(".")
    if len(tokens) != 5 or tokens[0] != PREFIX or tokens[2] not in ("intake", "submit"):
        raise ValueError(f"not an intake subject: {subject[:200]}")
    return tokens[3], tokens[4]
