"""The rules against a second implementation, written independently."""
