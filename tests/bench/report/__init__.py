"""The report of `groupbuy bench all`: one directory with the figures as text, JSON and SVG plots."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.report.figures import Parts, summary
from tests.bench.report.plots import draw
from tests.bench.report.table import as_text

TEXT: Final = "report.txt"
JSON: Final = "report.json"


def write_report(out: Path, parts: Parts, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Write report.txt, report.json and the plots into `out`; return what stands in report.json.

    `parts` has for each part its figures, None where it was never measured.
    """
    report = {**summary(parts), "machine": dict(machine), "parts": dict(parts)}
    report["plots"] = draw(parts, out)
    (out / JSON).write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    (out / TEXT).write_text(as_text(report), encoding="utf-8")
    return report
