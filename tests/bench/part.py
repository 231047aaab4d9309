"""`python -m tests.bench.part NAME FILE [--quick] [--seconds S]`: one part of the benchmark; its figures go to FILE."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from tests.bench.parts import NAMES, measure
from tests.bench.report.machine import memory_gib

FULL_GIB: Final = 20
"""Of memory, for ten million open groups and their neighbours on the machine."""


def main(arguments: list[str]) -> None:
    """Measure one part and write its figures, whole or not at all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.part")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=int, default=300)
    asked = parser.parse_args(arguments)
    full = not asked.quick and memory_gib() >= FULL_GIB
    figures = measure(asked.name, quick=asked.quick, full=full, seconds=asked.seconds)
    unfinished = asked.file.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(figures, indent=1, ensure_ascii=False), encoding="utf-8")
    unfinished.replace(asked.file)


if __name__ == "__main__":
    main(sys.argv[1:])
