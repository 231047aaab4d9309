"""The parts of `groupbuy bench all`: what each runs, and how long it may take."""

import importlib
import inspect
from importlib.util import find_spec
from typing import Any, Final, NamedTuple


class Part(NamedTuple):
    """One part of the whole benchmark: the first of its modules that is there measures it, in a process of its own."""

    name: str
    modules: tuple[str, ...]
    limit_s: int
    """When it is given up; several times what it takes on two quiet cores."""
    quick_limit_s: int
    interpreted: bool = False
    """Measured with interpreted rules: a profiler does not see into compiled ones."""

    def module(self) -> str | None:
        """Return the module that measures this part, None where none is there."""
        return next((name for name in self.modules if find_spec(f"tests.bench.{name}") is not None), None)


PARTS: Final = (
    Part("peers", ("bench_peers",), 400, 120),
    Part("pipeline", ("bench_pipeline",), 900, 240),
    Part("stack", ("bench_stack",), 1_500, 240),
    Part("cluster", ("bench_cluster",), 300, 120),
    Part("growth", ("bench_growth", "bench_rules"), 1_200, 180),
    Part("matching", ("bench_matching",), 900, 120),
    Part("profile", ("bench_profile",), 300, 120, interpreted=True),
)
"""In the order in which they run: what is compared as a ratio runs close together."""
NAMES: Final = tuple(part.name for part in PARTS)


def measure(name: str, **options: Any) -> dict[str, Any]:
    """Measure the part `name` here; of `options` (`quick`, `full`, `seconds`) it gets those that it knows."""
    part = next(part for part in PARTS if part.name == name)
    module = part.module()
    if module is None:
        return {"not_measured": f"none of {', '.join(part.modules)} is in this checkout"}
    run = importlib.import_module(f"tests.bench.{module}").run
    known = inspect.signature(run).parameters
    found: dict[str, Any] = run(**{key: value for key, value in options.items() if key in known})
    return found
