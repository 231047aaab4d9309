"""The ledger: archives every record of the journal for ever, and proves it."""
