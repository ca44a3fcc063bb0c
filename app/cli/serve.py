"""``sms-router serve``: the router, with what it needs beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from app.cli.situation import check_port, load_rules, offline_world, sandbox_environment, store_url
from app.cli.speaking import CommandError, err, out, plain
from app.settings import Settings, load_settings

if TYPE_CHECKING:
    from app.sandbox import World

GRACE = 15
"""Seconds that requests in flight get when the router is stopped: as long as Twilio waits."""

KEEP_ALIVE = 30
"""Seconds that an idle connection is kept."""

MOST_AT_ONCE = 4096
"""Requests and connections at once in one worker; beyond it Twilio is sent to the fallback."""

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s", "datefmt": "%H:%M:%S"}
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stderr"}
    },
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "sms_router": {"level": "INFO"},
        "handlers": {"level": "INFO"},
        "uvicorn": {"level": "WARNING"},
        "uvicorn.error": {"level": "WARNING"},
    },
}


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("serve")(serve)


def serve() -> None:
    """Run the router on HOST:PORT with WORKERS processes.

    It reads router.toml and keywords.toml in the folder SMS_ROUTER_CONFIG (config/), and the
    environment, which wins: PUBLIC_URL, REDIS_URL, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN,
    TWILIO_MESSAGING_SERVICE_SID and others. Handlers may lie in the current folder.

    Without REDIS_URL an embedded Valkey runs beside it, its data under .data/. Without Twilio
    credentials the sandbox, an offline Twilio, runs beside it too, on SANDBOX_PORT.
    """
    signal.signal(signal.SIGTERM, _leave)
    settings = load_settings()
    load_rules(settings)  # mistakes are told before anything runs
    port = settings.server.port
    check_port(settings.server.host, port, f"Choose another one: PORT={port + 1} make run")
    with contextlib.ExitStack() as beside:
        os.environ["REDIS_URL"] = beside.enter_context(store_url(settings, shared=False))
        world = offline_world(settings) if settings.offline else None
        if world is not None:
            os.environ.update(sandbox_environment(world, settings))
            beside.enter_context(_sandbox(settings))
        _prepare_metrics(settings)
        settings = load_settings()
        _announce(settings, world)
        _run(settings)


def _leave(*_: object) -> None:
    """End as Ctrl-C does: uvicorn raises the signal again at its end, and what runs beside must stop."""
    sys.exit(0)


def _run(settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import, and mistakes above should show at once)

    from app.web.protocol import OneWriteProtocol  # noqa: PLC0415

    uvicorn.run(
        "app.application:create",
        factory=True,
        host=settings.server.host,
        port=settings.server.port,
        workers=settings.server.workers,
        loop="uvloop",
        http=OneWriteProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=LOGGING,
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


@contextlib.contextmanager
def _sandbox(settings: Settings) -> Iterator[None]:
    """Run the sandbox in a process of its own, until the router ends."""
    port = settings.sandbox.port
    check_port("127.0.0.1", port, f"Choose another one: SANDBOX_PORT={port + 1} make run")
    command = [sys.executable, "-m", "app", "sandbox", "--quiet", "--until-exit-of", str(os.getpid())]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            _wait_for_port(port, process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise CommandError("The sandbox did not start; its message is above.")
        time.sleep(0.02)
    raise CommandError("The sandbox did not start in ten seconds.")


def _prepare_metrics(settings: Settings) -> None:
    """Give several workers a folder through which /metrics adds them up."""
    if settings.server.workers > 1:
        folder = Path(settings.router.data_dir, "metrics").resolve()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _announce(settings: Settings, world: World | None) -> None:
    command, url = Path(sys.argv[0]), settings.public_url
    name = str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else "sms-router"
    lines = [f"\nsms-router listens on {settings.local_url}"]
    if world is not None:
        lines.append(
            "No Twilio credentials are set: the sandbox, an offline Twilio, runs on "
            f"http://127.0.0.1:{settings.sandbox.port}"
        )
    lines += [
        "\nPoint the Messaging Service at Twilio here:",
        f"  inbound request URL   {url}/sms          (POST)",
        f"  fallback URL          {url}/sms/fallback (POST)",
        f"  status callback URL   {url}/sms/status",
        "\nSend the first text from another terminal:",
        f"  {name} text HOURS\n",
    ]
    out.print(plain("\n".join(lines)), soft_wrap=True)
    if not settings.router.public_url and world is None:
        err.print(
            f"PUBLIC_URL is not set: signatures are checked over {url}, so Twilio's will be refused.\n"
            "Set it to what Twilio calls: export PUBLIC_URL=https://sms.example.com",
            style="yellow",
            soft_wrap=True,
        )
