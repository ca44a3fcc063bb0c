"""The supervisor of several workers: starts another one in the place of each that ends or hangs."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from math import inf
from socket import socket

from uvicorn.config import Config
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

log = logging.getLogger("sms_router")

MAX_RESTART_DELAY = 10.0
"""Seconds. A worker that could not start is restarted after one second, then the delay doubles."""

START_TIMEOUT = 120.0
"""Seconds until a worker has to serve; on a small share of a processor the start takes long."""


class WorkerProcess(Process):
    """A worker that imports the handlers before its event loop runs, as a single worker does."""

    def target(self, sockets: list[socket] | None = None) -> None:
        if import_handlers := getattr(self.config.app, "import_handlers", None):
            import_handlers()
        super().target(sockets)


@dataclass(slots=True)
class _WorkerState:
    started_at: float = field(default_factory=time.monotonic)
    ping_is_pending: bool = False
    serves: bool = False


class WorkerSupervisor(Multiprocess):
    """uvicorn's supervisor, with another policy for workers that start.

    uvicorn kills a worker that does not answer a ping for five seconds, even while it starts. When a new one
    fails, uvicorn stops all workers or restarts it without a delay, depending on the exit code. Here the
    workers that serve keep serving: they started with a correct configuration, and may be the only ones until
    it is correct again.
    """

    def __init__(self, config: Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        self._states: dict[Process, _WorkerState] = {}
        self._restart_at: dict[Process, float] = {}
        """Of workers that have ended: when their successors start, in monotonic time."""
        self._failed_starts = 0
        """In a row."""
        self._has_served = False
        self.failed = False
        """Whether no worker has ever served and one has exited with an error: there is no use in restarts."""

    def init_processes(self) -> None:
        self.processes = [WorkerProcess(self.config, self.sockets) for _ in range(self.processes_num)]
        for process in self.processes:
            process.start()

    def keep_subprocess_alive(self) -> None:
        """Restart workers that have ended or hang; uvicorn calls this twice a second."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process not in self._restart_at and not self._is_running(process):
                self._reap(process)
            if process in self._restart_at:
                self._respawn(index, process)

    def _is_running(self, process: Process) -> bool:
        """Return whether a worker serves, or may still be starting."""
        state = self._states.setdefault(process, _WorkerState())
        if state.serves:
            return process.is_alive(timeout=self.config.timeout_worker_healthcheck)
        with contextlib.suppress(OSError, EOFError):
            state.serves = self._has_started(process, state)
        if state.serves:
            self._has_served, self._failed_starts = True, 0
            log.info("worker %s serves", process.pid)
        is_in_time = time.monotonic() < state.started_at + START_TIMEOUT
        return process.process.is_alive() and (state.serves or is_in_time)

    def _has_started(self, process: Process, state: _WorkerState) -> bool:
        """Ping a worker without waiting for its answer, which is read at the next call."""
        has_answer = state.ping_is_pending and process.parent_conn.poll()
        has_started = bool(has_answer and process.parent_conn.recv())
        if not has_started and (has_answer or not state.ping_is_pending):
            process.parent_conn.send(b"ping")
            state.ping_is_pending = True
        return has_started

    def _reap(self, process: Process) -> None:
        """Kill a worker that has ended or hangs, and schedule its successor."""
        is_running = process.process.is_alive()
        process.kill()
        process.join()
        state = self._states.pop(process)
        delay = 0.0 if state.serves else self._delay_after_failed_start()
        if not self._has_served and (process.exitcode or 0) > 0:
            self.failed = True
            self.should_exit.set()
        consequence = f"another one starts{f' in {delay:g} s' if delay else ''}"
        if delay == inf:
            consequence = "the next change starts another one"
        event = _describe_end(process, is_running=is_running, serves=state.serves)
        log.error("worker %s %s; %s", process.pid, event, "stopping" if self.failed else consequence)
        self._restart_at[process] = time.monotonic() + delay

    def _delay_after_failed_start(self) -> float:
        """Return the seconds until another worker starts; infinite where a subclass starts it."""
        self._failed_starts += 1
        return min(2.0 ** (self._failed_starts - 1), MAX_RESTART_DELAY)

    def _respawn(self, index: int, ended: Process) -> None:
        if not self.should_exit.is_set() and time.monotonic() >= self._restart_at[ended]:
            del self._restart_at[ended]
            self.processes[index] = WorkerProcess(self.config, self.sockets)
            self.processes[index].start()


def _describe_end(process: Process, *, is_running: bool, serves: bool) -> str:
    """Return what was observed: the end of a worker, or that one which runs gives no sign of life."""
    if not is_running:
        return f"has ended (exit code {process.exitcode})"
    if serves:
        seconds = f"{process.config.timeout_worker_healthcheck:g} s"
        return f"did not respond for {seconds} and was killed: it hangs, or gets no processor time"
    return f"did not serve within {START_TIMEOUT:g} s of its start and was killed"
