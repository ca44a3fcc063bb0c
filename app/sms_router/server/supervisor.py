"""The processes that ``serve`` runs: another one is started where one is lost, and the operator is told."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from socket import socket

from uvicorn.config import Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

log = logging.getLogger("sms_router")

LONGEST_REST = 10.0
"""Seconds at the most from a worker that could not start to the next try; the first comes after one."""

START_TIME = 120.0
"""Seconds that a worker may take to start: on a fraction of a processor that is long."""


@dataclass(slots=True)
class _WorkerState:
    """What is known of one worker."""

    began: float = field(default_factory=time.monotonic)
    asked: bool = False
    """Whether its answer to the last question is still to come."""
    serves: bool = False


class WorkerSupervisor(Multiprocess):
    """What uvicorn does, but for workers that start.

    uvicorn takes one for hung that says nothing for five seconds, as if all machines were quick. It would
    stop all workers for one that fails to start in the right way, and try one that fails in another way
    again and again without a rest. Here those that serve go on serving: they were started when everything
    was right, and may be all there is until it is again.
    """

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        """Take what every worker is told, and what they listen on."""
        super().__init__(config, sockets)
        self._watched: dict[Process, _WorkerState] = {}
        self._due: dict[Process, float] = {}
        """Lost workers whose place is empty, and when it is filled, by the clock that measures time."""
        self._failures = 0
        """How many in a row could not start."""
        self._served = False
        self.failed = False
        """Whether nothing has ever served: then there is no use in trying."""

    def keep_subprocess_alive(self) -> None:
        """Start another one for each that is lost or hangs (uvicorn calls this twice a second)."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process not in self._due and not self._lives(process):
                self._reap(process)
            if process in self._due:
                self._respawn(place, process)

    def _lives(self, process: Process) -> bool:
        """Tell whether a worker answers, or may still be starting."""
        watch = self._watched.setdefault(process, _WorkerState())
        if watch.serves:
            return process.is_alive(timeout=self.config.timeout_worker_healthcheck)
        with contextlib.suppress(OSError, EOFError):
            watch.serves = self._has_started(process, watch)
        if watch.serves:
            self._served, self._failures = True, 0
            log.info("worker %s serves", process.pid)
        return process.process.is_alive() and (watch.serves or time.monotonic() < watch.began + START_TIME)

    def _has_started(self, process: Process, watch: _WorkerState) -> bool:
        """Ask a worker whether it serves, without waiting for its answer: that is looked for next time."""
        answered = watch.asked and process.parent_conn.poll()
        serves = bool(answered and process.parent_conn.recv())
        if not serves and (answered or not watch.asked):
            process.parent_conn.send(b"ping")
            watch.asked = True
        return serves

    def _reap(self, process: Process) -> None:
        """See to it that it is gone, and decide when another one takes its place."""
        process.kill()
        process.join()
        rest = 0.0
        if not self._watched.pop(process).serves:
            rest = min(2.0**self._failures, LONGEST_REST)
            self._failures += 1
        if not self._served and (process.exitcode or 0) > 0:
            self.failed = True
            self.should_exit.set()
        then = f"another one takes its place{f' in {rest:g} s' if rest else ''}"
        log.error(
            "worker %s is lost (exit code %s); %s",
            process.pid, process.exitcode, "stopping" if self.failed else then,
        )  # fmt: skip
        self._due[process] = time.monotonic() + rest

    def _respawn(self, place: int, lost: Process) -> None:
        """Start another one in the place of a lost one, when it is time."""
        if not self.should_exit.is_set() and time.monotonic() >= self._due[lost]:
            del self._due[lost]
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()
