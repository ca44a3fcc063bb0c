"""Errors of a test: raised at the lines of the team, without those of the router between them."""

from __future__ import annotations

import contextlib
import logging
import sys
import sysconfig
from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

_PACKAGE = Path(__file__).parents[1]
_OTHERS = (f"{_PACKAGE}/", str(_PACKAGE.with_name("pytest_sms_router.py")), sysconfig.get_path("stdlib"), "<")
"""Where the lines of a traceback are that are not the team's."""

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


class HandlerFailedError(Exception):
    """A text has failed in another way than by an exception of a handler: its template, or a forward."""


def _team_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the router's lines between those of the team."""
    lines: list[TracebackType] = []
    while trace is not None:
        lines.append(trace)
        trace = trace.tb_next
    own = [not line.tb_frame.f_code.co_filename.startswith(_OTHERS) for line in lines]
    last = max((index for index, is_own in enumerate(own) if is_own), default=len(lines))
    kept = [line for index, line in enumerate(lines) if own[index] or index > last]
    for line, following in pairwise(kept):
        line.tb_next = following
    return kept[0] if kept else None


def at_the_team_s_line(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have errors of a function shown at the line that calls it, and at those of the team's handlers."""

    @wraps(function)
    def call(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        __tracebackhide__ = True
        try:
            return function(*arguments, **named)
        except BaseException as error:
            error.__traceback__ = _team_traceback(error.__traceback__)
            raise

    return call


class ErrorLog(logging.Handler):
    """Keeps the errors that the router logs. What a function of the team raises is not logged besides."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []
        router, functions = map(logging.getLogger, ("sms_router", "sms_router.dispatch"))
        router.addHandler(self)
        stack.callback(router.removeHandler, self)
        functions.addFilter(self._take)
        stack.callback(functions.removeFilter, self._take)

    def _take(self, _: logging.LogRecord) -> bool:
        if (error := sys.exc_info()[1]) is not None:
            self.found.append(error)
        return error is None

    def emit(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        self.found.append(error if error is not None else HandlerFailedError(record.getMessage()))
