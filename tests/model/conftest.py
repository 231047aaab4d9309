"""How long Hypothesis looks: quick and always alike by default, long and new with `--hypothesis-profile=deep`."""

from hypothesis import HealthCheck, settings

# A step of the state machine decides a message twice and compares two states: slow by design, not by accident.
_CHECKS = list(HealthCheck)

settings.register_profile(
    "quick",
    derandomize=True,
    database=None,
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=_CHECKS,
)
settings.register_profile(
    "deep",
    max_examples=300,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=_CHECKS,
)
