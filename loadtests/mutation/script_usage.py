"""A pytest plugin: writes which tests run which Lua script, the fastest test first, to $SCRIPT_USAGE."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

from sms_router.store.scripts import Script

_tests: dict[str, dict[str, float]] = defaultdict(dict)
_current = ""
_by_digest = Script.__dict__["by_digest"]


def _record(script: Script) -> tuple[bytes, bytes, bytes]:
    if _current:
        _tests[script.name][_current] = 0.0
    command: tuple[bytes, bytes, bytes] = _by_digest.__get__(script)
    return command


# Each run of a script reads this attribute.
setattr(Script, "by_digest", property(_record))  # noqa: B010 (a slot, for mypy)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    """Attribute the scripts that run from now on to this test."""
    global _current  # noqa: PLW0603
    _current = nodeid


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up what a test takes."""
    for tests in _tests.values():
        if report.nodeid in tests:
            tests[report.nodeid] += report.duration


def pytest_sessionfinish() -> None:
    """Write what is known."""
    usage = {name: sorted(tests, key=tests.__getitem__) for name, tests in _tests.items()}
    Path(os.environ["SCRIPT_USAGE"]).write_text(json.dumps(usage), encoding="utf-8")
