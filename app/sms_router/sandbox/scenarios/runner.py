"""Runs a scenario: starts a sandbox, a router in a process of its own and its upstream, plays the steps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import HostingError, serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.player import PlayedStep, ScenarioPlayer, StepResult
from sms_router.sandbox.scenarios.scenario import Scenario

SCENARIO_TIMEOUT = 300.0
"""Seconds of real time for one scenario, whatever its steps allow."""

START_TIMEOUT = 30.0
"""Seconds of real time until it must listen."""

STOP_TIMEOUT = 3.0
"""Seconds; then it is killed, since nothing that it stores is needed any more."""

HANDLERS = "scenario_handlers"
"""The module with the scenario's own handlers."""

_COMMAND = (sys.executable, "-m", "sms_router")
_MAX_LOG_LINES = 20
_POLL_INTERVAL = 0.02
_REMOVED_VARIABLES = ("TWILIO_AUTH_TOKEN_SECONDARY", "REDIS_URL", "PROMETHEUS_MULTIPROC_DIR")
"""Variables of the user's environment that the router must not read."""

PLACEHOLDER = "{upstream}"
"""In keywords and handlers: the base URL of the other application's pages."""


class RouterError(Exception):
    """The router did not start; the text contains the end of its log."""


@dataclass(frozen=True, slots=True)
class RunningRouter:
    """A router that plays a scenario."""

    log: Path
    environment: Mapping[str, str]

    async def run_command(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Run another command with the router's settings; return its exit code and what it prints."""
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            *arguments,
            env={**self.environment, "COLUMNS": "200"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        return process.returncode or 0, output.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """How a scenario ended."""

    played: tuple[PlayedStep, ...] = ()
    error: str = ""
    """Why it could not be played."""
    log: tuple[str, ...] = ()
    """The end of the router's log, when a step failed."""

    @property
    def passed(self) -> bool:
        return not self.error and all(step.result is StepResult.PASSED for step in self.played)


@dataclass(frozen=True, slots=True)
class OwnRouter:
    """A router is started for the scenario, with the configuration in this folder."""

    folder: Path
    port: int
    handlers: Path | None = None
    """The folder that its handlers are imported from; default: the current one."""


@dataclass(frozen=True, slots=True)
class ScenarioRunner:
    """``router`` is None when one is running already; ``port`` is the sandbox's, 0 for any."""

    router: OwnRouter | None = None
    port: int = 0

    async def play(self, scenario: Scenario, on_step: Callable[[PlayedStep], None]) -> ScenarioResult:
        """Play a scenario, call ``on_step`` when a step has ended, and stop everything that was started."""
        played: list[PlayedStep] = []
        try:
            async with asyncio.timeout(SCENARIO_TIMEOUT), self.start(scenario) as (platform, router):
                run_command = router.run_command if router else None
                async for step in ScenarioPlayer(scenario, platform, run_command=run_command).play():
                    played.append(step)
                    on_step(step)
                failed = any(step.result is StepResult.FAILED for step in played)
                return ScenarioResult(tuple(played), log=_last_lines(router.log) if failed and router else ())
        except (HostingError, RouterError) as error:
            return ScenarioResult(tuple(played), str(error))
        except TimeoutError:
            return ScenarioResult(tuple(played), f"The scenario took longer than {SCENARIO_TIMEOUT:g} s.")

    @contextlib.asynccontextmanager
    async def start(self, scenario: Scenario) -> AsyncIterator[tuple[Platform, RunningRouter | None]]:
        """Start a sandbox with the scenario's world, and the router."""
        sandbox = create_sandbox(scenario.world, clock=ManualClock(), seed=1)
        async with serve(sandbox, self.port) as url, contextlib.AsyncExitStack() as stack:
            router = None
            if self.router:
                scenario = await stack.enter_async_context(_with_upstream(scenario))
                run = _run_router(scenario, self.router.folder, self.router.port, url, self.router.handlers)
                router = await stack.enter_async_context(run)
            yield sandbox.state.platform, router


@contextlib.asynccontextmanager
async def _with_upstream(scenario: Scenario) -> AsyncIterator[Scenario]:
    """Serve a scenario's pages, and yield the scenario with their base URL in place of the placeholder."""
    application = scenario.application
    if application is None or not application.upstream:
        yield scenario
        return
    async with serve(_application(application.upstream)) as url:
        texts = {
            "keywords": application.keywords.replace(PLACEHOLDER, url),
            "handlers": application.handlers.replace(PLACEHOLDER, url),
        }
        yield replace(scenario, application=application.model_copy(update=texts))


def _application(pages: Mapping[str, str | int]) -> Starlette:
    async def answer(request: Request) -> Response:
        page = pages.get(request.url.path, 404)
        if isinstance(page, int):
            return Response(status_code=page)
        return Response(page, media_type="application/xml")

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


@contextlib.asynccontextmanager
async def _run_router(
    scenario: Scenario, folder: Path, port: int, twilio_url: str, handlers: Path | None = None
) -> AsyncIterator[RunningRouter]:
    """Run ``sms-router serve`` on a port, with a copy of a configuration folder.

    Raises:
        RouterError: when it does not listen within ``START_TIMEOUT``.

    """
    with tempfile.TemporaryDirectory(prefix="sms-router-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        write_configuration(scenario, folder, home)
        router = RunningRouter(
            home / "log", _environment(scenario, (home, handlers or Path.cwd()), port, twilio_url)
        )
        log = router.log
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *_COMMAND,
                "serve",
                env=router.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
        try:
            await _wait_until_listening(process, port, log)
            yield router
        finally:
            await _stop(process)


def _last_lines(log: Path) -> tuple[str, ...]:
    return tuple(log.read_text("utf-8", "replace").splitlines()[-_MAX_LOG_LINES:])


def write_configuration(scenario: Scenario, folder: Path, home: Path) -> None:
    """Copy a configuration folder to ``home/config`` and apply the scenario's settings to it."""
    config = home / "config"
    shutil.copytree(folder, config)
    path = config / "router.toml"
    document: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    document["redis"] = {}  # never a store that is in use
    changes: dict[str, object] = {"data_dir": str(home / "data")}
    application = scenario.application
    if application:
        (config / "keywords.toml").write_text(application.keywords, "utf-8")
        (home / f"{HANDLERS}.py").write_text(application.handlers, "utf-8")
        changes["handlers"] = [HANDLERS] if application.handlers else []
    for table, settings in scenario.settings.items():
        document[table] = {**document.get(table, {}), **settings}
    document["router"] = {**document.get("router", {}), **changes}
    path.write_text(format_toml(document), "utf-8")


def format_toml(document: Mapping[str, object]) -> str:
    """Return a document as TOML, one line per key: the standard library can only read TOML."""
    return "".join(f"{_toml_string(key)} = {_toml_value(value)}\n" for key, value in document.items())


def _toml_value(value: object) -> str:
    if isinstance(value, str):
        return _toml_string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = (f"{_toml_string(key)} = {_toml_value(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"TOML has no {type(value).__name__}")


def _toml_string(text: str) -> str:
    # the escapes of JSON are valid in TOML, which also requires one for DEL
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _environment(
    scenario: Scenario, folders: tuple[Path, Path], port: int, twilio_url: str
) -> Mapping[str, str]:
    world = scenario.world
    paths = (*map(str, folders), os.environ.get("PYTHONPATH", ""))
    inherited = {name: value for name, value in os.environ.items() if name not in _REMOVED_VARIABLES}
    return {
        **inherited,
        "TWILIO_ACCOUNT_SID": world.account_sid,
        "TWILIO_AUTH_TOKEN": world.auth_token,
        "TWILIO_MESSAGING_SERVICE_SID": world.services[0].sid,
        "TWILIO_API_BASE_URL": twilio_url,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WORKERS": "1",
        "SMS_ROUTER_CONFIG": str(folders[0] / "config"),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONSAFEPATH": "1",  # else the current folder, which may be of another program, comes first
    }


async def _wait_until_listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_TIMEOUT
    while loop.time() < deadline and process.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(_POLL_INTERVAL)
    stopped = process.returncode is not None
    reason = "stopped" if stopped else f"did not listen within {START_TIMEOUT:g} s"
    text = "\n".join((f"The router {reason}.", *_last_lines(log)))
    raise RouterError(text.replace(f"{log.parent}{os.sep}", ""))  # the folder is deleted when this is read


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Terminate it, and kill what is left of its process group after ``STOP_TIMEOUT``."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
