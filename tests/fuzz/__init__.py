"""Fuzzing: what is true for whatever comes, tried with what nearly is an event, a file or a record.

    python -m tests.fuzz rules --events 1000000      decode and decide, no broker
    python -m tests.fuzz service --events 100000     a running stack, by the broker and by HTTP
    python -m tests.fuzz files --changes 20000       configurations, snapshots, records, checkpoints, dossiers
    python -m tests.fuzz rules --seed 7              the same again, always

`make test` runs a short round of each. A finding is kept under `corpus/` for ever and tried first.
"""
