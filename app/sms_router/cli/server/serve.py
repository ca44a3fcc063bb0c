"""``sms-router serve``: the router, with what it needs beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sms_router.cli.context import (
    check_port,
    embedded_runs,
    load_rules,
    report_all_errors,
    sandbox_environment,
    sandbox_world,
    store_url,
)
from sms_router.cli.output import CommandError, plain, program, stderr, stdout
from sms_router.cli.server.console_password import console_lines, generate_password
from sms_router.config.settings import Settings, load_settings
from sms_router.logs import log_config
from sms_router.senders.error_table import load_error_table
from sms_router.server.metrics_dir import multiprocess_metrics_dir
from sms_router.server.signals import SUPERVISOR, install_sighup_handler, reload_workers
from sms_router.web.tracing import check_installed

if TYPE_CHECKING:
    from sms_router.sandbox import World

SHUTDOWN_GRACE = 15
"""Seconds that requests in flight get when the router is stopped: as long as Twilio waits."""

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept at least; `BoundedHttpProtocol` looks every ten.

Longer than proxies keep theirs (nginx and Amazon's load balancers: 60 s): one that sends a text on a
connection which is just being closed here would have to answer 502.
"""

MOST_AT_ONCE = 4096
"""Requests at work in one worker; beyond it Twilio is sent to the fallback. Connections fit into it too."""

OTHER_FILES = 256
"""Files that a worker has open beside its connections, at the most."""

_WHERE = ("SMS_ROUTER_CONFIG", "HOST", "PORT", "PUBLIC_URL")
"""Variables without which a command in another terminal looks elsewhere; none of them is a secret."""


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

    /console shows in a browser what happens, once CONSOLE_PASSWORD is set; beside the sandbox one is made.
    With PRIVATE_PORT the console, the probes and the metrics have a listener of their own.

    A change in keywords.toml, templates/, opt-outs.toml or carriers.toml is taken over within two
    seconds, and at once on SIGHUP; one with mistakes is refused as a whole. Handlers and router.toml
    are read at the start alone.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    install_sighup_handler(lambda: None)
    with report_all_errors():  # before anything runs
        settings = load_settings()
        load_rules(settings)
        load_error_table(settings.folder)
    first_text = _first_text()
    if settings.server.traces:
        check_installed()
    _check_ports(settings)
    with contextlib.ExitStack() as beside:
        os.environ["REDIS_URL"] = beside.enter_context(store_url(settings, shared=False))
        world = sandbox_world(settings) if settings.offline else None
        password = generate_password(settings) if world is not None else None
        if world is not None:
            os.environ.update(sandbox_environment(world, settings))
            beside.enter_context(_sandbox(settings))
        _prepare_metrics(settings, beside)
        settings = load_settings()
        _announce(settings, world, password, first_text)
        _run(settings)


def _on_sigterm(*_: object) -> None:
    """End as Ctrl-C does: uvicorn raises the signal again at its end, and what runs beside must stop."""
    sys.exit(0)


def _check_ports(settings: Settings) -> None:
    """Make sure that everything can listen; the remedy is one line, whichever ports are taken."""
    wanted = [("PORT", settings.server.host, settings.server.port)]
    if settings.server.private_port is not None:
        wanted.append(("PRIVATE_PORT", settings.server.private_host, settings.server.private_port))
    if settings.offline:
        wanted.append(("SANDBOX_PORT", "127.0.0.1", settings.sandbox.port))
    told, others = [], []
    names: dict[int, str] = {}
    for variable, host, port in wanted:
        if names.setdefault(port, variable) != variable:
            told.append(f"{variable} and {names[port]} are both {port}.")
            others.append(f"{variable}={max(each for _, _, each in wanted) + 1}")
            continue
        try:
            check_port(host, port, "")
        except CommandError as error:
            told.append(str(error).splitlines()[0])
            others.append(_another(variable, port, error.__cause__))
    if not told:
        return
    remedy = f"Choose another one: {' '.join(dict.fromkeys(others))} make run"
    if embedded_runs(settings):
        remedy = (
            "A router of this folder runs already: use that one, or stop it first (Ctrl-C where it runs)."
        )
    raise CommandError(*told, remedy)


def _another(variable: str, port: int, cause: BaseException | None) -> str:
    """Return what to set where something cannot listen: another host where that is to blame, else a port."""
    not_here = isinstance(cause, OSError) and cause.errno == errno.EADDRNOTAVAIL
    if not_here or isinstance(cause, socket.gaierror):
        return f"{variable.replace('PORT', 'HOST')}=127.0.0.1"
    if isinstance(cause, PermissionError):
        return f"{variable}={port + 8000}"
    return f"{variable}={port + 1}"


def _run(settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import, and mistakes above should show at once)

    from sms_router.factory import AppFactory  # noqa: PLC0415
    from sms_router.routing.dispatch.last_good import LastGoodRuleSet  # noqa: PLC0415
    from sms_router.server.http_protocol import BoundedHttpProtocol  # noqa: PLC0415
    from sms_router.server.supervisor import WorkerSupervisor  # noqa: PLC0415

    config = uvicorn.Config(
        AppFactory.with_settings(settings),
        factory=True,
        host=settings.server.host,
        port=settings.server.port,
        workers=settings.server.workers,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=log_config(settings.server.logs),
        limit_concurrency=_most_at_once(),
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    private = [_private_listener(settings)] if settings.server.private_port is not None else []
    LastGoodRuleSet.beside(settings.router.data_dir, settings.server.port).delete()
    if settings.server.workers > 1:
        os.environ[SUPERVISOR] = str(os.getpid())
        heard = signal.getsignal(signal.SIGHUP)
        supervisor = WorkerSupervisor(config, [config.bind_socket(), *private])
        signal.signal(signal.SIGHUP, heard)  # uvicorn would start its workers anew
        reload_workers(lambda: [each.pid for each in supervisor.processes if each.exitcode is None])
        supervisor.run()
        if supervisor.failed:
            raise CommandError("No worker could start; the reason is above.")
    else:
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # uvicorn has stopped by then, and tells how it came to it
            uvicorn.Server(config).run([config.bind_socket(), *private] if private else None)


def _private_listener(settings: Settings) -> socket.socket:
    """Return the socket on which the console, the metrics and the probes are found, and nowhere else."""
    host, port = settings.server.private_host, settings.server.private_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.set_inheritable(True)
    return listener


def _most_at_once() -> int:
    """Return how many connections fit into the files that a process may have open; raise that if allowed."""
    wanted = MOST_AT_ONCE + OTHER_FILES
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return MOST_AT_ONCE if allowed == resource.RLIM_INFINITY else max(16, min(wanted, allowed) - OTHER_FILES)


@contextlib.contextmanager
def _sandbox(settings: Settings) -> Iterator[None]:
    """Run the sandbox in a process of its own, until the router ends."""
    port = settings.sandbox.port
    command = [sys.executable, "-m", "sms_router", "sandbox", "--quiet", "--until-exit-of", str(os.getpid())]
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


def _prepare_metrics(settings: Settings, beside: contextlib.ExitStack) -> None:
    """Give several workers a folder through which /metrics adds them up."""
    if settings.server.workers > 1:
        disk = Path(settings.router.data_dir, f"metrics-{settings.server.port}").resolve()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(beside.enter_context(multiprocess_metrics_dir(disk)))


def _first_text() -> list[str]:
    """Say how a text is sent from another terminal, which does not know this one's variables."""
    where = [f"{name}={shlex.quote(os.environ[name])}" for name in _WHERE if os.environ.get(name)]
    secrets = any(os.environ.get(name) for name in ("TWILIO_AUTH_TOKEN", "REDIS_URL"))
    with_them = ", with the same TWILIO_* and REDIS_URL" if secrets else ""
    command = " ".join([*where, program(), "text HOURS"])
    return [f"\nSend the first text from another terminal{with_them}:", f"  {command}\n"]


def _announce(settings: Settings, world: World | None, password: str | None, first_text: list[str]) -> None:
    url = settings.public_url
    lines = [f"\nsms-router listens on {settings.local_url}"]
    whose = "Point the Messaging Service at Twilio here:"
    if world is not None:
        whose = "Its Messaging Service calls:"
        lines.append(
            "No Twilio credentials are set: the sandbox, an offline Twilio, runs on "
            f"http://127.0.0.1:{settings.sandbox.port}"
        )
    lines += [
        f"\n{whose}",
        f"  inbound request URL   {url}/sms          (POST)",
        f"  fallback URL          {url}/sms/fallback (POST)",
        f"  status callback URL   {url}/sms/status",
        *console_lines(settings, password),
        *first_text,
    ]
    stdout.print(plain("\n".join(lines)), soft_wrap=True)
    if not settings.router.public_url and world is None:
        stderr.print(
            f"PUBLIC_URL is not set: signatures are checked over {url}, so Twilio's will be refused.\n"
            "Set it to what Twilio calls: export PUBLIC_URL=https://sms.example.com",
            style="yellow",
            soft_wrap=True,
        )
    for key in settings.placeholders:
        stderr.print(
            plain(
                f"{key} is a placeholder: write the sid that the Twilio console shows, or no webhook fits it."
            ),
            style="yellow",
            soft_wrap=True,
        )
