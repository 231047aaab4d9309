"""The services: matcher, ledger, notifier, and the bus they share."""

# First of all: compiled modules that do not fit their sources are never imported.
from events import compiled as compiled
