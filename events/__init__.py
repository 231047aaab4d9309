"""The contract: what publishers send, what the matcher decides, and the exact bytes that last."""
