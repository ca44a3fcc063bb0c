"""A router in a process of its own, with a scenario's settings, in a temporary folder."""

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
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from sms_router.sandbox.scenarios.scenario import Scenario

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


@contextlib.asynccontextmanager
async def run_router(
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


def last_lines(log: Path) -> tuple[str, ...]:
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
    text = "\n".join((f"The router {reason}.", *last_lines(log)))
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
