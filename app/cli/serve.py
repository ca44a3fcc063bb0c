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

from app.cli.situation import offline_world, sandbox_environment, store_url
from app.cli.speaking import CommandError, err, out
from app.routing.rule_file import load_dispatcher
from app.routing.threads import Threads
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

    Without REDIS_URL an embedded Valkey runs beside it, its data under .data/. Without Twilio
    credentials the sandbox, an offline Twilio, runs beside it too.
    """
    signal.signal(signal.SIGTERM, _leave)
    settings = load_settings()
    threads = Threads(1)
    load_dispatcher(
        settings.folder, settings.router.handlers, threads
    )  # mistakes are told before anything runs
    _check_port("PORT", settings.server.host, settings.server.port)
    with contextlib.ExitStack() as beside:
        os.environ["REDIS_URL"] = beside.enter_context(store_url(settings))
        world = offline_world(settings) if settings.offline else None
        if world is not None:
            os.environ.update(sandbox_environment(world, settings))
            beside.enter_context(_sandbox(settings))
        _prepare_metrics(settings)
        settings = load_settings()
        _announce(settings, world)
        _run(settings)


def _leave(*_: object) -> None:
    """End as Ctrl-C does: uvicorn raises the signal once more at its end, and what runs beside must stop too."""
    sys.exit(0)


def _run(settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import, and mistakes above should show at once)

    uvicorn.run(
        "app.application:create",
        factory=True,
        host=settings.server.host,
        port=settings.server.port,
        workers=settings.server.workers,
        loop="uvloop",
        http="httptools",
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


def _check_port(variable: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"{host}:{port} cannot be used: {error.strerror or error}.",
                f"Choose another one: {variable}={port + 1} make run",
            ) from error


@contextlib.contextmanager
def _sandbox(settings: Settings) -> Iterator[None]:
    """Run the sandbox in a process of its own, until the router ends."""
    port = settings.sandbox.port
    _check_port("SANDBOX_PORT", "127.0.0.1", port)
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
    url = settings.public_url
    command = Path(sys.argv[0])
    name = str(command.relative_to(Path.cwd())) if command.is_relative_to(Path.cwd()) else "sms-router"
    out.print(f"\n[bold]sms-router[/bold] listens on http://{settings.server.host}:{settings.server.port}")
    if world is not None:
        out.print(
            f"No Twilio credentials are set: the sandbox, an offline Twilio, runs on "
            f"http://127.0.0.1:{settings.sandbox.port}"
        )
    out.print("\nPoint the Messaging Service at Twilio here:")
    out.print(f"  inbound request URL   {url}/sms          (POST)", markup=False)
    out.print(f"  fallback URL          {url}/sms/fallback (POST)", markup=False)
    out.print(f"  status callback URL   {url}/sms/status", markup=False)
    out.print("\nSend the first text from another terminal:")
    out.print(f"  [bold]{name} text HOURS[/bold]\n")
    if not settings.router.public_url and world is None:
        err.print(
            f"PUBLIC_URL is not set: signatures are checked over {url}, so Twilio's will be refused.\n"
            "Set it to what Twilio calls: export PUBLIC_URL=https://sms.example.com",
            style="yellow",
        )
