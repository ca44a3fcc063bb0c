"""``sms-router serve`` with a stopwatch at each stage; writes its figures into the working directory.

`loadtests.profiling` starts it. SIGUSR1 resets the stopwatch after the warm-up.
"""

from __future__ import annotations

import atexit
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from loadtests.profiling.stages import STAGES, Stage
from loadtests.profiling.stopwatch import Stopwatch, calibrate
from sms_router.cli import main

FIGURES = "stages.json"


def instrument(stopwatch: Stopwatch, stage: Stage) -> None:
    """Replace a stage's function by one that is timed."""
    holder, name, function = stage.target
    wrap = stopwatch.wrap_coroutine if stage.is_coroutine else stopwatch.wrap
    setattr(holder, name, wrap(stage.name, function))


def serve() -> None:
    """Run the router."""
    cost = calibrate()
    stopwatch = Stopwatch()
    for stage in STAGES:
        instrument(stopwatch, stage)

    def write() -> None:
        stages = {name: asdict(times) for name, times in stopwatch.stages.items()}
        Path(FIGURES).write_text(json.dumps({"cost": asdict(cost), "stages": stages}))

    atexit.register(write)
    signal.signal(signal.SIGUSR1, lambda *_: stopwatch.reset())
    sys.argv = ["sms-router", "serve"]
    main()


if __name__ == "__main__":
    serve()
