"""The matcher's rules: pure functions of the state and the log."""
