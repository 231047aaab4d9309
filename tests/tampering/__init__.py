"""Tampering, tried: a ledger is changed behind the application's back, again and again, and each time it must be found.

`python -m tests.tampering --seeds 1000 --database sqlite --json` tries it on a ledger of 10,000 entries.
"""
