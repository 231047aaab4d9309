"""Runs of the index and their pages (`services.ledger.postings`)."""

import msgspec


class Run(msgspec.Struct, frozen=True):
    """A run of pairs: its number, the records that it covers, and how many pairs it holds."""

    run: int
    first_record: int
    last_record: int
    pairs: int


class Page(msgspec.Struct, frozen=True):
    """Consecutive pairs of a run, joined; `first` is the first of them."""

    first: bytes
    body: bytes
