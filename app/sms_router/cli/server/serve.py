"""``sms-router serve``: the router, with an embedded Valkey and the sandbox where they are needed."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from sms_router.cli.context import (
    START_COMMAND,
    check_port,
    embedded_is_running,
    is_loopback,
    sandbox_environment,
    sandbox_port_file,
    sandbox_world,
)
from sms_router.cli.output import CommandError, print_line, program, stderr
from sms_router.cli.rules import describe_published, load_rules, report_all_errors
from sms_router.cli.store import store_url
from sms_router.config.settings import DEMO_FOLDER, Settings, load_settings
from sms_router.files import write_atomically
from sms_router.logs import log_config
from sms_router.senders.error_table import load_error_table
from sms_router.server.metrics_dir import multiprocess_metrics_dir
from sms_router.server.signals import SUPERVISOR, install_sighup_handler, reload_workers
from sms_router.web.tracing import check_installed

if TYPE_CHECKING:
    from sms_router.sandbox.world.world import World
import secrets

from sms_router.config.types import MIN_PASSWORD_LENGTH
from sms_router.files import stored_secret

SHUTDOWN_GRACE = 15
"""Seconds that requests in progress get when the router stops: as long as Twilio waits."""

MAX_CONCURRENCY = 4096
"""Connections and requests of one worker; beyond it requests get 503, and Twilio calls the fallback URL."""

MAX_OTHER_FILES = 256
"""Open files of a worker that are not connections."""

_PRINTED_VARIABLES = ("SMS_ROUTER_CONFIG", "HOST", "PORT", "PUBLIC_URL")
"""Variables that a command in another terminal needs to reach this router; none of them is a secret."""


def serve(
    sandbox: Annotated[
        bool, Option("--sandbox", help="Start the sandbox even where the router can be reached from outside.")
    ] = False,
    dev: Annotated[
        bool,
        Option("--dev", help="Reload handlers and configuration on save, and print a line for each text."),
    ] = False,
) -> None:
    """Run the router on HOST:PORT with WORKERS processes.

    It reads router.toml and keywords.toml in the folder SMS_ROUTER_CONFIG (config/), and environment
    variables, which have precedence: PUBLIC_URL, REDIS_URL, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN,
    TWILIO_MESSAGING_SERVICE_SID and others. Handlers may be in the current folder. Without such a folder and
    without Twilio credentials, the demo's rules are used; sms-router init makes a project of your own.

    Without REDIS_URL it starts an embedded Valkey with its data under .data/. Without Twilio credentials it
    starts the sandbox, an offline Twilio, on SANDBOX_PORT. It does not with a HOST that is not loopback, or a
    PUBLIC_URL with https, unless --sandbox is given: there, missing credentials are a mistake.

    The console is at /console when CONSOLE_PASSWORD is set; with the sandbox a password is generated. With
    PRIVATE_PORT the console, the probes and the metrics have a listener of their own.

    Changes of keywords.toml, templates/, opt-outs.toml and carriers.toml are loaded within three seconds, and
    at once on SIGHUP; if there is a mistake, none of them is. Handlers, router.toml and sandbox.toml are read
    at the start only, unless --dev is given: for your machine, with one worker.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    install_sighup_handler(lambda: None)
    with report_all_errors():  # before anything starts
        settings = load_settings()
        load_rules(settings)
        load_error_table(settings.folder)
    first_text = first_text_lines()
    if settings.folder == DEMO_FOLDER:
        first_text.append(f"These are the demo's rules. A project of your own: {program()} init shop\n")
    if settings.server.traces:
        check_installed()
    if dev:
        _check_local(settings)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # Python takes two versions of one second for the same
        settings = settings.model_copy(update={"server": settings.server.model_copy(update={"workers": 1})})
    _check_ports(settings)
    if settings.is_offline and not sandbox:
        _check_not_exposed(settings)
    with contextlib.ExitStack() as started:
        os.environ["REDIS_URL"] = started.enter_context(store_url(settings, shared=False))
        world = sandbox_world(settings, is_server=True) if settings.is_offline else None
        password = generate_password(settings) if world is not None else None
        restart_sandbox: Callable[[], None] | None = None
        if world is not None:
            os.environ.update(sandbox_environment(world, settings))
            restart_sandbox = started.enter_context(_sandbox(settings))
        if settings.server.workers > 1:
            disk = Path(settings.router.data_dir, f"metrics-{settings.server.port}").resolve()
            folder = started.enter_context(multiprocess_metrics_dir(disk))
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        settings = load_settings()
        if dev:
            first_text.append("Handlers and configuration are used as you save them. Ctrl-C stops.\n")
        _announce(settings, world, password, first_text)
        _run(settings, restart_sandbox, dev=dev)


def _on_sigterm(*_: object) -> None:
    """Exit as after Ctrl-C: uvicorn raises the signal again, and Valkey and the sandbox have to stop."""
    sys.exit(0)


def _check_local(settings: Settings) -> None:
    """Refuse --dev where others reach the router."""
    hosts = {"HOST": settings.server.host}
    if settings.server.private_port is not None:
        hosts["PRIVATE_HOST"] = settings.server.private_host
    for name, host in hosts.items():
        if not is_loopback(host):
            raise CommandError(
                f"{name}={host} can be reached from other machines, and --dev is for this one.",
                f"Use {name}=127.0.0.1, which a tunnel reaches too, or leave --dev out.",
                code=2,
            )


def _check_not_exposed(settings: Settings) -> None:
    """Refuse the sandbox where others reach the router: they would find its console and its handlers."""
    host, url = settings.server.host, settings.router.public_url
    if not is_loopback(host):
        reason = f"HOST={host} can be reached from other machines"
    elif url.startswith("https://"):
        reason = f"PUBLIC_URL={url} is a public one"
    else:
        return
    raise CommandError(
        f"No Twilio credentials are set, and {reason}.",
        "Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or use the sandbox: sms-router serve --sandbox",
    )


def _check_ports(settings: Settings) -> None:
    """Check that all listeners can start; the error has one remedy for all ports."""
    listeners = [("PORT", settings.server.host, settings.server.port)]
    if settings.server.private_port is not None:
        listeners.append(("PRIVATE_PORT", settings.server.private_host, settings.server.private_port))
    if settings.is_offline:
        listeners.append(("SANDBOX_PORT", "127.0.0.1", settings.sandbox.port))
    problems, remedies = [], []
    names: dict[int, str] = {}
    taken = {number for _, _, number in listeners}
    for variable, host, port in listeners:
        if names.setdefault(port, variable) != variable:
            problems.append(f"{variable} and {names[port]} are both {port}.")
            remedies.append(f"{variable}={max(taken) + 1}")
            taken.add(max(taken) + 1)
            continue
        try:
            check_port(host, port, "")
        except CommandError as error:
            problems.append(str(error).splitlines()[0])
            remedies.append(_other_setting(variable, host, port, taken, error.__cause__))
    if not problems:
        return
    remedy = f"Use another one: {' '.join(dict.fromkeys(remedies))} {START_COMMAND}"
    if embedded_is_running(settings):
        remedy = (
            "A router with this data folder runs already: use it, or stop it first (Ctrl-C in its terminal)."
        )
    raise CommandError(*problems, remedy)


def _other_setting(variable: str, host: str, port: int, taken: set[int], cause: BaseException | None) -> str:
    """Return the variable to set instead: another host when the host is the cause, else another port."""
    is_foreign_host = isinstance(cause, OSError) and cause.errno == errno.EADDRNOTAVAIL
    if is_foreign_host or isinstance(cause, socket.gaierror):
        return f"{variable.replace('PORT', 'HOST')}=127.0.0.1"
    if isinstance(cause, PermissionError):
        return f"{variable}={port + 8000}"
    for other in range(port + 1, min(port + 100, 65_536)):
        with contextlib.suppress(CommandError):
            if other not in taken:
                check_port(host, other, "")
                taken.add(other)
                return f"{variable}={other}"
    return f"{variable}={port + 1}"


def _run(settings: Settings, restart_sandbox: Callable[[], None] | None, *, dev: bool) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import; mistakes above are reported first)

    from sms_router.factory import AppFactory  # noqa: PLC0415
    from sms_router.routing.dispatch.last_good import LastGoodRuleSet  # noqa: PLC0415
    from sms_router.server.http_protocol import BoundedHttpProtocol  # noqa: PLC0415
    from sms_router.server.supervisor import WorkerSupervisor  # noqa: PLC0415

    logs = log_config(settings.server.logs)
    if dev:
        from sms_router.cli.server import development  # noqa: PLC0415 (not needed elsewhere)

        settings = development.development_settings(settings)
        logs = development.development_logs(logs)
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
        log_config=logs,
        limit_concurrency=_max_concurrency(),
        backlog=MAX_CONCURRENCY,
        timeout_keep_alive=settings.server.keep_alive,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    private = [_private_listener(settings)] if settings.server.private_port is not None else []
    LastGoodRuleSet.beside(settings.router.data_dir, settings.server.port).delete()
    if settings.server.workers > 1 or dev:
        os.environ[SUPERVISOR] = str(os.getpid())
        sighup_handler = signal.getsignal(signal.SIGHUP)
        sockets = [config.bind_socket(), *private]
        if dev:
            supervisor: WorkerSupervisor = development.DevelopmentSupervisor(
                config, sockets, settings, restart_sandbox
            )
            development.print_texts(settings)
        else:
            supervisor = WorkerSupervisor(config, sockets)
        signal.signal(signal.SIGHUP, sighup_handler)  # uvicorn's would restart the workers
        reload_workers(lambda: [worker.pid for worker in supervisor.processes if worker.exitcode is None])
        supervisor.run()
        if supervisor.failed:
            raise CommandError("No worker could start; the reason is above.")
    else:
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
            uvicorn.Server(config).run([config.bind_socket(), *private] if private else None)


def _private_listener(settings: Settings) -> socket.socket:
    """Return the socket that alone serves the console, the metrics and the probes."""
    host, port = settings.server.private_host, settings.server.private_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.set_inheritable(True)
    return listener


def _max_concurrency() -> int:
    """Raise the limit of open files if allowed, and return how many connections fit into it."""
    wanted = MAX_CONCURRENCY + MAX_OTHER_FILES
    allowed, maximum = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        allowed = wanted if maximum == resource.RLIM_INFINITY else min(wanted, maximum)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, maximum))
    if allowed == resource.RLIM_INFINITY:
        return MAX_CONCURRENCY
    return max(16, min(wanted, allowed) - MAX_OTHER_FILES)


@contextlib.contextmanager
def _sandbox(settings: Settings) -> Iterator[Callable[[], None]]:
    """Run the sandbox in another process until the router ends; yield what starts it again."""
    port = settings.sandbox.port
    command = [sys.executable, "-m", "sms_router", "sandbox", "--quiet", "--until-exit-of", str(os.getpid())]
    with contextlib.ExitStack() as running:

        def restart() -> None:
            running.close()
            process = subprocess.Popen(command, start_new_session=True)
            running.callback(_stop, process)
            _wait_for_port(port, process)

        restart()
        with contextlib.suppress(OSError):  # without it, commands need SANDBOX_PORT
            write_atomically(sandbox_port_file(settings), f"{port}\n")
        try:
            yield restart
        finally:
            with contextlib.suppress(OSError):
                sandbox_port_file(settings).unlink(missing_ok=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            raise CommandError("The sandbox did not start; its message is above.")
        time.sleep(0.02)
    raise CommandError("The sandbox did not start within ten seconds.")


def first_text_lines() -> list[str]:
    """Return how to send a text from another terminal, which does not have the variables of this one."""
    variables = [
        f"{name}={shlex.quote(os.environ[name])}" for name in _PRINTED_VARIABLES if os.environ.get(name)
    ]
    has_secrets = any(os.environ.get(name) for name in ("TWILIO_AUTH_TOKEN", "REDIS_URL"))
    hint = ", with the same TWILIO_* and REDIS_URL" if has_secrets else ""
    command = " ".join([*variables, program()])
    return [
        f"\nSend the first text from another terminal{hint}:",
        f"  {command} text HOURS",
        "Then see why it got its reply:",
        f"  {command} messages\n",
    ]


def generate_password(settings: Settings) -> str | None:
    """Set CONSOLE_PASSWORD to a generated password, the same at each start; None when one is configured.

    For the offline mode only: a console with data of real contacts needs a password that its operators chose.
    """
    if settings.console.password.get_secret_value():
        return None
    file = settings.router.data_dir / "console-password"
    password = stored_secret(file, lambda: secrets.token_urlsafe(12), MIN_PASSWORD_LENGTH)
    os.environ["CONSOLE_PASSWORD"] = password
    return password


def console_lines(settings: Settings, generated: str | None) -> list[str]:
    """Return the lines about the console: its URL and generated password, or how to enable it."""
    if not settings.console.password.get_secret_value():
        remedy = "export CONSOLE_PASSWORD=..., or write password under [console] in router.toml"
        return [f"\nThe console is off, because it has no password. Enable it: {remedy}"]
    url = f"{settings.private_url}/console"
    return [f"\nConsole: {url}" + (f" (password: {generated})" if generated else "")]


def _announce(settings: Settings, world: World | None, password: str | None, first_text: list[str]) -> None:
    url = settings.public_url
    lines = [f"\nThe router listens on {settings.local_url}"]
    title = "Set these URLs of the Messaging Service at Twilio:"
    if world is not None:
        title = "Its Messaging Service calls these URLs:"
        lines.append(
            "No Twilio credentials are set: the sandbox, an offline Twilio, runs on "
            f"http://127.0.0.1:{settings.sandbox.port}"
        )
    lines += [
        f"\n{title}",
        f"  inbound request URL   {url}/sms          (POST)",
        f"  fallback URL          {url}/sms/fallback (POST)",
        f"  status callback URL   {url}/sms/status",
        *console_lines(settings, password),
        *first_text,
    ]
    if published := describe_published(settings):
        lines.append(f"{settings.folder / 'keywords.toml'} is not used: {published}\n")
    elif settings.folder != DEMO_FOLDER:
        file = settings.folder / "keywords.toml"
        lines.append(f"Change the replies in {file}; they are used within three seconds.\n")
    print_line("\n".join(lines))
    if not settings.router.public_url and world is None:
        print_line(
            f"PUBLIC_URL is not set: signatures are verified over {url}, so Twilio's will be refused.\n"
            "Set it to the URL that Twilio calls: export PUBLIC_URL=https://sms.example.com",
            "yellow",
            console=stderr,
        )
    for key in settings.placeholders:
        print_line(
            f"{key} is a placeholder: write the sid that the Twilio console shows, or all webhooks fail.",
            "yellow",
            console=stderr,
        )
