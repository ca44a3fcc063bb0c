"""``serve --dev``: one worker, which another one replaces when a file changes, and a line for each text."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from math import inf
from pathlib import Path
from socket import socket
from typing import Any, NoReturn

from uvicorn.config import Config
from uvicorn.supervisors.multiprocess import Process

from sms_router.cli.context import sandbox_world
from sms_router.cli.messages.follow import follow, line_of
from sms_router.cli.output import CommandError, print_line, program
from sms_router.cli.rules import describe_published
from sms_router.config.models import Privacy
from sms_router.config.settings import Settings, load_settings
from sms_router.errors import ConfigurationError
from sms_router.factory import AppFactory
from sms_router.routing.handler.inspection import is_of_team
from sms_router.routing.history.reader import HistoryReader
from sms_router.server.signals import RELOAD
from sms_router.server.supervisor import WorkerProcess, WorkerSupervisor
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client

log = logging.getLogger("sms_router.dev")

_STARTED_WITH = ("server", "redis", "sandbox")
"""Tables of router.toml that are read at the start only."""

Stamps = Mapping[Path, tuple[int, int]]
"""When a file was changed, and its size."""


def development_settings(settings: Settings) -> Settings:
    """Return settings for one worker, which masks nothing beside the sandbox."""
    router, server = settings.router, settings.server.model_copy(update={"workers": 1})
    if settings.uses_sandbox:
        router = router.model_copy(update={"privacy": Privacy.OPEN})
    return settings.model_copy(update={"server": server, "router": router})


def development_logs(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of the logs that bounds nothing and has the tracebacks of handlers in full."""
    config["handlers"]["stderr"]["filters"].remove("rate_limit")
    config["loggers"]["sms_router.dispatch"] = {"level": "DEBUG"}
    return config


class WatchedFiles:
    """The files of a project: its code, which needs another worker, and rules, which a worker reads again.

    The code is each module of the handlers' packages, and what stands beside the modules that they import.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder
        self._folders = {Path.cwd(): False} | {
            Path(file).parent: False
            for module in [*sys.modules.values()]
            if (file := getattr(module, "__file__", None)) and is_of_team(file)
        }
        around = (name if isinstance(name, str) else name[0] for name in settings.router.middleware_names)
        for name in {re.split("[.:]", name)[0] for name in (*settings.router.handlers, *around)}:
            spec = importlib.util.find_spec(name)
            if spec is not None:
                self._folders |= {Path(place): True for place in spec.submodule_search_locations or ()}

    def code(self) -> Stamps:
        files = {self._folder / "router.toml"}
        for folder, is_package in self._folders.items():
            files.update(folder.rglob("*.py") if is_package else folder.glob("*.py"))
        return _stamps(file for file in files if not file.name.startswith(("test_", "conftest.py")))

    def sandbox(self) -> Stamps:
        return _stamps([self._folder / "sandbox.toml"])

    def rules(self) -> Stamps:
        names = ("keywords.toml", "opt-outs.toml", "carriers.toml")
        return _stamps([*(self._folder / name for name in names), *(self._folder / "templates").rglob("*")])


def _stamps(files: Iterable[Path]) -> Stamps:
    stamps = {}
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        stamps[file] = (status.st_mtime_ns, status.st_size)
    return stamps


class DevelopmentSupervisor(WorkerSupervisor):
    """Starts a worker with each change of the code, and stops the one before once that serves.

    A new process imports everything anew: there is no mixture of old and new modules. Where it cannot start,
    the worker before it stays. ``restart_sandbox`` starts the sandbox again; None where there is none.
    """

    def __init__(
        self,
        config: Config,
        sockets: list[socket],
        settings: Settings,
        restart_sandbox: Callable[[], None] | None,
    ) -> None:
        super().__init__(config, sockets)
        self._restart_sandbox = restart_sandbox
        self._settings = self._next_settings = settings
        self._files = WatchedFiles(settings)
        self._code, self._rules, self._sandbox = self._seen = self._stamps()
        self._next: Process | None = None
        self._is_refused = False
        self._has_served = True  # a worker that cannot start is no reason to stop
        self._stopping: list[Process] = []

    def keep_subprocess_alive(self) -> None:
        """Look for changes; uvicorn calls this twice a second."""
        super().keep_subprocess_alive()
        self._stopping = [process for process in self._stopping if process.process.is_alive()]
        if self.should_exit.is_set():
            return
        self._take_over()
        before, self._seen = self._seen, self._stamps()
        if before != self._seen:
            return  # a file may be half written
        code, rules, sandbox = self._seen
        if sandbox != self._sandbox:
            self._sandbox = sandbox
            if self._restart_sandbox is not None:
                self._use_sandbox_file(self._restart_sandbox)
        if code != self._code or (self._is_refused and rules != self._rules):
            changed = _changed({**self._code, **self._rules}, {**code, **rules})
            self._code, self._rules = code, rules
            self._replace(changed)
        elif rules != self._rules:
            changed = _changed(self._rules, rules)
            self._rules = rules
            if changed not in {"opt-outs.toml", "carriers.toml"} and (
                published := describe_published(self._settings)
            ):
                log.warning("the change of %s is not used: %s", changed, published)
            for process in self.processes:
                if process.pid is not None and process.process.is_alive():
                    os.kill(process.pid, RELOAD)

    def _delay_after_failed_start(self) -> float:
        self._is_refused = True
        return inf

    def _stamps(self) -> tuple[Stamps, Stamps, Stamps]:
        return self._files.code(), self._files.rules(), self._files.sandbox()

    def _use_sandbox_file(self, restart: Callable[[], None]) -> None:
        try:
            sandbox_world(self._settings)
            restart()
        except (ConfigurationError, CommandError) as error:
            log.error("the change of sandbox.toml is not used:\n  %s", str(error).replace("\n", "\n  "))
            return
        log.info(
            "sandbox.toml changed: the sandbox has started again, with empty phones; the router reads its"
            " senders within a minute, or at once: %s membership refresh",
            program(),
        )

    def _replace(self, changed: str) -> None:
        if self._next is not None:
            self._end(self._next)
            self._next = None
        try:
            settings = development_settings(load_settings())
        except ConfigurationError as error:
            self._is_refused = True
            lines = "".join(f"\n  {mistake}" for mistake in error.mistakes)
            log.error("the change of %s is not used, the version before it stays:%s", changed, lines)
            return
        if any(getattr(settings, name) != getattr(self._settings, name) for name in _STARTED_WITH):
            log.warning("a table of router.toml that is read at the start has changed: start serve again")
        self._next_settings = settings
        current, self.config.app = self.config.app, AppFactory.with_settings(settings)
        self._next = WorkerProcess(self.config, self.sockets)
        self._next.start()
        self.config.app = current
        log.info("%s changed: another worker starts", changed)

    def _take_over(self) -> None:
        """Replace the worker once the next one serves; keep it where the next one cannot start."""
        process = self._next
        if process is None:
            return
        is_running = self._is_running(process)
        if is_running and not self._states[process].serves:
            return
        self._next, self._is_refused = None, not is_running
        if not is_running:
            self._end(process)
            log.error("the change is not used: what was loaded before stays")
            return
        self.config.app = AppFactory.with_settings(self._next_settings)
        self._settings, self._files = self._next_settings, WatchedFiles(self._next_settings)
        old, self.processes[0] = self.processes[0], process
        self._states.pop(old, None)
        if self._restart_at.pop(old, None) is None:
            old.terminate()
            old.process.join(0.5)  # until it accepts no text any more; what it answers may take longer
            self._stopping.append(old)
        log.info("the change is in use")

    def _end(self, process: Process) -> None:
        process.kill()
        process.join()
        self._states.pop(process, None)

    def terminate_all(self) -> None:
        """Stop all workers, also the next one."""
        if self._next is not None:
            self._end(self._next)
        super().terminate_all()
        self.processes += self._stopping


def _changed(before: Stamps, after: Stamps) -> str:
    names = sorted({path.name for path, _ in before.items() ^ after.items()})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def print_texts(settings: Settings) -> None:
    """Print a line for each text, in a thread that ends with the process."""
    reveal = settings.is_open

    def run() -> NoReturn:
        while True:
            try:
                with sync_client(settings.redis.url) as client:
                    for record in follow(
                        HistoryReader(client), failed=False, contact=None, late_replies=True
                    ):
                        print_line(line_of(record, reveal=reveal))
            except CLIENT_ERRORS:
                time.sleep(1)

    threading.Thread(target=run, name="texts", daemon=True).start()
