"""Which rules a benchmark measures: the compiled ones, compiled first where they can be, or the interpreted ones."""

import os
import subprocess
import sys
from typing import Final

from deploy.cli.output import say
from deploy.compiling import missing
from events.compiled import INTERPRETED_VARIABLE, ROOT, way

_COMPILING: Final = [sys.executable, "-P", "-m", "deploy.compiling"]


def choose_way(*, interpreted: bool) -> None:
    """See to it that what follows, here and in all processes started from here, measures the rules that it should.

    The modules of this process are loaded already: where they are the wrong ones it begins anew with the same
    arguments.
    """
    if interpreted:
        if way() == "compiled":
            os.environ[INTERPRETED_VARIABLE] = "1"
            _begin_anew()
        return
    if way() == "compiled" or os.environ.get(INTERPRETED_VARIABLE):
        return
    if (lacking := missing()) is not None:
        say(f"measuring the interpreted rules, which take twice as long: {lacking}; then `make compiled` compiles them")
        return
    say("compiling the rules first; `--interpreted` measures them as they are")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), INTERPRETED_VARIABLE: "1"}
    if subprocess.run(_COMPILING, env=environment, check=False).returncode != 0:
        say("measuring the interpreted rules, which take twice as long")
        return
    _begin_anew()


def _begin_anew() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606  # no shell, on purpose
