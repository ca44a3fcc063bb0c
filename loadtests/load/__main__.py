"""``python -m loadtests.load``: start a router, send it load with locust, and check the limits."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from loadtests.load.local_router import (
    LoadTestError,
    LocalRouter,
    credentials_environment,
    running_router,
    warm_up,
)
from loadtests.load.report import terminal_table
from loadtests.load.script import ScriptError, read_script
from loadtests.load.verdict import LIMITS, Figures, Limits, exceeded_limits, read_figures
from loadtests.workload.configuration import REPOSITORY
from loadtests.workload.webhook import Account

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "out"
LOCUST = REPOSITORY / ".venv" / "load" / "bin" / "locust"
TEXTS = HERE / "texts.toml"
SPAWN_SECONDS = 4
"""Seconds in which all users are started."""

STOP_TIMEOUT = 20
"""Seconds."""

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Options:
    """How much load, and its limits."""

    users: int
    rate: float
    seconds: int
    web: bool
    limits: Limits


@command.command()
def load(
    *,
    host: Annotated[str, typer.Option(help="URL of a deployment; default: a router is started.")] = "",
    users: Annotated[int, typer.Option(min=1, max=5000, help="Contacts that act concurrently.")] = 40,
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="Actions a second, of all contacts.")] = 80.0,
    seconds: Annotated[int, typer.Option("--time", min=5, max=3600, help="Duration in seconds.")] = 50,
    web: Annotated[bool, typer.Option("--web", help="Start the test in locust's web page.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of the router that is started.")] = 1,
    texts: Annotated[Path, typer.Option(help="The texts for a deployment.")] = TEXTS,
    p95: Annotated[float, typer.Option(help="Limit in milliseconds.")] = LIMITS.p95,
    p99: Annotated[float, typer.Option(help="Limit in milliseconds.")] = LIMITS.p99,
) -> None:
    """Send load, compare every answer with the expected one, and check the limits.

    Exits with 1 when a limit is exceeded. The HTML report is in loadtests/out/.
    """
    console = Console()
    if not LOCUST.exists():
        raise typer.BadParameter("locust is not installed; make load installs it")
    options = Options(users, rate, seconds, web, Limits(p95=p95, p99=p99))
    OUT.mkdir(exist_ok=True)
    try:
        if host:
            exceeded = _test_deployment(host, texts, options, console)
        else:
            exceeded = _test_local_router(workers, options, console)
    except (LoadTestError, ScriptError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    console.print(f"report: {_report().relative_to(REPOSITORY)}", style="dim")
    for sentence in exceeded:
        console.print(sentence, style="bold red", markup=False)
    if not exceeded:
        limits = options.limits
        console.print(
            f"passed: every answer is right; p95 below {limits.p95:.0f} ms, p99 below {limits.p99:.0f} ms",
            style="green",
        )
    raise typer.Exit(1 if exceeded else 0)


def _test_local_router(workers: int, options: Options, console: Console) -> list[str]:
    with _local_router(workers, console) as router:
        before = router.count_journaled()
        figures = _run(router.account, options, [], console)
        exceeded = _show(figures, options, console)
        journaled = router.count_journaled() - before
        console.print(
            f"messages in the journal: {journaled:,}; answered before the end: {figures.messages:,}",
            style="dim",
        )
        if journaled < figures.messages:
            exceeded.append(f"{figures.messages - journaled} answered messages are not in the journal")
        return exceeded


@contextlib.contextmanager
def _local_router(workers: int, console: Console) -> Iterator[LocalRouter]:
    with TemporaryDirectory(prefix="sms-load-", ignore_cleanup_errors=True) as name:
        console.print("starting the router, Valkey and the sandbox; warming up", style="dim")
        with running_router(Path(name), workers) as router:
            warm_up(router.account)
            yield router


def _test_deployment(host: str, texts: Path, options: Options, console: Console) -> list[str]:
    missing = [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not os.environ.get(name)]
    if missing:
        raise LoadTestError(f"Set {' and '.join(missing)}: the deployment accepts signed requests only.")
    read_script(texts)
    account = Account(
        os.environ["TWILIO_ACCOUNT_SID"],
        os.environ["TWILIO_AUTH_TOKEN"],
        os.environ.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        os.environ.get("PUBLIC_URL", host).rstrip("/"),
    )
    figures = _run(account, options, ["--host", host, "--texts", str(texts)], console)
    return _show(figures, options, console)


def _run(account: Account, options: Options, more: list[str], console: Console) -> Figures:
    """Run locust and return its figures."""
    figures = OUT / "figures.json"
    figures.unlink(missing_ok=True)
    arguments = [
        str(LOCUST), "-f", str(HERE / "locustfile.py"), "--host", account.public_url,
        "--users", str(options.users), "--spawn-rate", str(max(1.0, options.users / SPAWN_SECONDS)),
        "--rate", str(options.rate), "--p95", str(options.limits.p95), "--p99", str(options.limits.p99),
        "--html", str(_report()), "--figures", str(figures), "--loglevel", "WARNING",
        *more,
    ]  # fmt: skip
    if options.web:
        console.print("locust's page: http://127.0.0.1:8089 (Ctrl-C stops the test)")
        arguments += ["--web-host", "127.0.0.1"]
    else:
        console.print(f"{options.users} contacts send texts for {options.seconds} s", style="dim")
        arguments += ["--headless", "--only-summary", "--run-time", str(options.seconds)]
        arguments += ["--stop-timeout", str(STOP_TIMEOUT), "--reset-stats"]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {**inherited, **credentials_environment(account)} | {"PYTHONPATH": str(REPOSITORY)}
    with (OUT / "locust.log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        _wait(process)
    if not figures.exists():
        last = (OUT / "locust.log").read_text(errors="replace").splitlines()[-15:]
        raise LoadTestError("\n".join(["locust ended without figures; the end of its log:", *last]))
    return read_figures(figures)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for locust, which stops and writes its figures on Ctrl-C."""
    while True:
        try:
            process.wait()
        except KeyboardInterrupt:
            continue
        return


def _show(figures: Figures, options: Options, console: Console) -> list[str]:
    console.print(terminal_table(figures))
    for fault in figures.faults:
        console.print(fault, style="red", markup=False, soft_wrap=True)
    return exceeded_limits(figures, options.limits)


def _report() -> Path:
    return OUT / "report.html"


if __name__ == "__main__":
    command()
