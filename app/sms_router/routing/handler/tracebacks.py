"""The lines of a traceback that are a team's own."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import TracebackType

_NOT_OF_THE_TEAM = ("<", f"{sysconfig.get_path('stdlib')}/", f"{Path(__file__).parents[2]}/")
_LIBRARIES = ("site-packages", "dist-packages")
"""Where libraries are, in this environment or in one below it."""


def is_of_team(file: str) -> bool:
    """Tell whether a file is neither of a library nor of the router."""
    return not file.startswith(_NOT_OF_THE_TEAM) and not any(f"/{name}/" in file for name in _LIBRARIES)


def from_team(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Return an error for ``exc_info``, its traceback from the team's first line on."""
    trace = error.__traceback__
    while trace is not None and not is_of_team(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return type(error), error, trace
