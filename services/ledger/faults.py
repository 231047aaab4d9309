"""What can be wrong with a ledger, as sentences for people."""


class LedgerError(Exception):
    """The ledger cannot do what was asked; the message says what was wrong and what to do."""


class LedgerUnavailable(LedgerError):
    """The database does not answer as it should; when it does again, the same call may succeed."""


class LedgerBroken(LedgerError):
    """A record does not follow the one before it, or is not what it was; `place` names the record or entry."""

    def __init__(self, place: str, sentence: str) -> None:
        super().__init__(f"{place}: {sentence}")
        self.place = place
        self.sentence = sentence


class NotFound(LedgerError):
    """The ledger knows nothing of what was asked for."""


class BadQuestion(LedgerError):
    """What was asked has not the form that it needs; the message says which was expected."""
