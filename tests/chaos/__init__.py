"""Chaos: real processes that are killed, paused, starved and damaged, and what must hold afterwards.

`python -m tests.chaos --seed N` plays one round: a whole stack over small disks, real clients that retry, and faults
chosen by the seed. Then everything is healed, and `checks` look at all that was promised.
"""
