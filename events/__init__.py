"""The contract: what publishers send, what the matcher decides, and the exact bytes that last."""

# First of all: compiled modules that do not fit their sources are never imported.
from events import compiled as compiled
