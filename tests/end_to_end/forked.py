"""Starts routers as forks of a process that has imported their modules: that saves most of a second each.

The process (``python -m tests.end_to_end.forked``) takes one JSON document a line on its standard input, and
writes ``started PID`` and ``ended PID CODE`` lines.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MODULES = (
    "sms_router.cli.server.serve",
    "sms_router.factory",
    "sms_router.application",
    "sms_router.server.http_protocol",
    "sms_router.server.supervisor",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What every router imports."""


@dataclass(slots=True)
class ForkedProcess:
    """What the tests use of `subprocess.Popen`."""

    pid: int
    _ended: Mapping[int, int]
    _news: threading.Condition

    def poll(self) -> int | None:
        return self._ended.get(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        with self._news:
            if not self._news.wait_for(lambda: self.pid in self._ended, timeout):
                raise subprocess.TimeoutExpired("serve", timeout or 0)
        return self._ended[self.pid]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class _Parent:
    """The parent of the routers, and a thread that reads what it writes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._process.communicate)
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        self._news = threading.Condition()
        self._starting = threading.Lock()
        """Two that start at once would get each other's process."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, *numbers = line.split()
            with self._news:
                if kind == "started":
                    self._started.append(int(numbers[0]))
                else:
                    self._ended[int(numbers[0])] = int(numbers[1])
                self._news.notify_all()

    def start(self, environment: Mapping[str, str], log: Path) -> ForkedProcess:
        assert self._process.stdin is not None
        with self._starting:
            self._process.stdin.write(json.dumps([dict(environment), str(log)]) + "\n")
            self._process.stdin.flush()
            with self._news:
                assert self._news.wait_for(lambda: self._started, 30)
                return ForkedProcess(self._started.pop(), self._ended, self._news)


_the_parent = cache(_Parent)
_creating = threading.Lock()


def parent() -> _Parent:
    """Return the one of this process."""
    with _creating:
        return _the_parent()


def _report_ends(*_: object) -> None:
    for pid, status in iter(_next_end, (0, 0)):
        os.write(1, b"ended %d %d\n" % (pid, os.waitstatus_to_exitcode(status)))


def _next_end() -> tuple[int, int]:
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0, 0


def _fork_routers(requests: Iterator[str]) -> None:
    """Fork for each request; a child ends as the router does."""
    for request in requests:
        environment, log = json.loads(request)
        pid = os.fork()
        if pid:
            os.write(1, b"started %d\n" % pid)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.environ.clear()
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["sms-router", "serve"]
        sys.exit(importlib.import_module("sms_router.cli").main())


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, _report_ends)
    _fork_routers(iter(sys.stdin.readline, ""))
