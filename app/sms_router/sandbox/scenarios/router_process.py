"""A router in a process of its own, with a scenario's settings and a folder that is gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from sms_router.sandbox.scenarios.scenario import Scenario
from sms_router.sandbox.scenarios.toml_writer import toml_text

START_LIMIT = 30.0
"""Seconds of real time until it must listen."""

STOP_LIMIT = 3.0
"""Seconds it may take to stop; then it is killed, since nothing of it is needed any more."""

HANDLERS = "scenario_handlers"
"""The module that holds the handlers which a scenario brings along."""

_LONGEST_LOG = 20
_NO_TWILIO = ("TWILIO_AUTH_TOKEN_SECONDARY", "REDIS_URL", "PROMETHEUS_MULTIPROC_DIR")
"""Variables of whoever plays the scenario that its router must not see."""


class RouterError(Exception):
    """The router did not start; the text holds the end of its log."""


@contextlib.asynccontextmanager
async def running_router(scenario: Scenario, folder: Path, port: int, twilio_url: str) -> AsyncIterator[Path]:
    """Run ``sms-router serve`` on a port, with a copy of a configuration folder; yield its log.

    Raises:
        RouterError: when it does not listen in time.

    """
    with tempfile.TemporaryDirectory(prefix="sms-router-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        write_configuration(scenario, folder, home)
        log = home / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "sms_router", "serve"),
                env=_environment(scenario, home, port, twilio_url),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,
            )
        try:
            await _listens(process, port, log)
            yield log
        finally:
            await _stop(process)


def end_of(log: Path) -> tuple[str, ...]:
    """Return the last lines of a log."""
    return tuple(log.read_text("utf-8", "replace").splitlines()[-_LONGEST_LOG:])


def write_configuration(scenario: Scenario, folder: Path, home: Path) -> None:
    """Copy a configuration folder into ``home/config`` and lay the scenario over it."""
    config = home / "config"
    shutil.copytree(folder, config)
    path = config / "router.toml"
    document: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    document["redis"] = {}  # never a store that somebody uses
    changes: dict[str, object] = {"data_dir": str(home / "data")}
    application = scenario.application
    if application:
        (config / "keywords.toml").write_text(application.keywords, "utf-8")
        (home / f"{HANDLERS}.py").write_text(application.handlers, "utf-8")
        changes["handlers"] = [HANDLERS] if application.handlers else []
    for table, settings in scenario.settings.items():
        document[table] = {**document.get(table, {}), **settings}
    document["router"] = {**document.get("router", {}), **changes}
    path.write_text(toml_text(document), "utf-8")


def _environment(scenario: Scenario, home: Path, port: int, twilio_url: str) -> Mapping[str, str]:
    world = scenario.world
    paths = (str(home), str(Path.cwd()), os.environ.get("PYTHONPATH", ""))
    inherited = {name: value for name, value in os.environ.items() if name not in _NO_TWILIO}
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
        "SMS_ROUTER_CONFIG": str(home / "config"),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


async def _listens(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    give_up = asyncio.get_running_loop().time() + START_LIMIT
    while asyncio.get_running_loop().time() < give_up and process.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.02)
    reason = "stopped" if process.returncode is not None else f"did not listen within {START_LIMIT:g} s"
    told = "\n".join((f"The router {reason}.", *end_of(log)))
    raise RouterError(told.replace(f"{log.parent}{os.sep}", ""))  # a folder that is gone by now


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to stop, and kill it and everything it started when it takes its time."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_LIMIT):
            await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
