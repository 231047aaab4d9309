"""The witness: a second process that remembers how long a log was, and cosigns only what goes on from there."""
