"""``python -m loadtests.load``: start a router, let locust text it, and say whether it was good enough."""

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

from loadtests.crowd.configuration import REPOSITORY
from loadtests.crowd.webhook import Account
from loadtests.load.place import Place, PlaceError, environment_of, running_place, warm_up
from loadtests.load.report import terminal_table
from loadtests.load.script import ScriptError, read_script
from loadtests.load.verdict import LIMITS, Figures, Limits, broken_limits, read_figures

HERE = Path(__file__).resolve().parents[1]
OUT = HERE / "out"
LOCUST = REPOSITORY / ".venv" / "load" / "bin" / "locust"
TEXTS = HERE / "texts.toml"
SPAWNS_WITHIN = 4
"""Seconds until all users are there."""

STOPS_WITHIN = 20

command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    users: int
    rate: float
    seconds: int
    web: bool
    limits: Limits


@command.command()
def load(
    *,
    host: Annotated[str, typer.Option(help="A deployment; otherwise a router is started for it.")] = "",
    users: Annotated[int, typer.Option(min=1, max=5000, help="People who text at the same time.")] = 40,
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="What they do each second.")] = 80.0,
    seconds: Annotated[int, typer.Option("--time", min=5, max=3600, help="Seconds.")] = 50,
    web: Annotated[bool, typer.Option("--web", help="Start and watch it in locust's web page.")] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Of the router that is started.")] = 1,
    texts: Annotated[Path, typer.Option(help="What a deployment is texted, and what is due.")] = TEXTS,
    p95: Annotated[float, typer.Option(help="Limit in milliseconds.")] = LIMITS.p95,
    p99: Annotated[float, typer.Option(help="Limit in milliseconds.")] = LIMITS.p99,
) -> None:
    """Let people text, hold every answer against what is due, and end with a verdict.

    Ends with 1 when a limit was not kept. A report for the browser is written to loadtests/out/.
    """
    console = Console()
    if not LOCUST.exists():
        raise typer.BadParameter("locust is not installed: use make load, which installs it")
    wanted = Wanted(users, rate, seconds, web, Limits(p95=p95, p99=p99))
    OUT.mkdir(exist_ok=True)
    try:
        broken = _deployment(host, texts, wanted, console) if host else _own(workers, wanted, console)
    except (PlaceError, ScriptError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error
    console.print(f"report: {_report().relative_to(REPOSITORY)}", style="dim")
    for sentence in broken:
        console.print(sentence, style="bold red", markup=False)
    if not broken:
        limits = wanted.limits
        console.print(
            f"good: every answer right; p95 below {limits.p95:.0f} ms, p99 below {limits.p99:.0f} ms",
            style="green",
        )
    raise typer.Exit(1 if broken else 0)


def _own(workers: int, wanted: Wanted, console: Console) -> list[str]:
    with _own_place(workers, console) as place:
        before = place.journaled()
        figures = _run(place.account, wanted, [], console)
        broken = _told(figures, wanted, console)
        journaled = place.journaled() - before
        console.print(
            f"in the journal: {journaled:,} messages; answered before the end: {figures.messages:,}",
            style="dim",
        )
        if journaled < figures.messages:
            broken.append(f"{figures.messages - journaled} answered messages are not in the journal")
        return broken


@contextlib.contextmanager
def _own_place(workers: int, console: Console) -> Iterator[Place]:
    with TemporaryDirectory(prefix="sms-load-", ignore_cleanup_errors=True) as name:
        console.print("starting router, Valkey and sandbox; warming up", style="dim")
        with running_place(Path(name), workers) as place:
            warm_up(place.account)
            yield place


def _deployment(host: str, texts: Path, wanted: Wanted, console: Console) -> list[str]:
    missing = [name for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN") if not os.environ.get(name)]
    if missing:
        raise PlaceError(f"Set {' and '.join(missing)}: the deployment believes only what is signed for it.")
    read_script(texts)
    account = Account(
        os.environ["TWILIO_ACCOUNT_SID"],
        os.environ["TWILIO_AUTH_TOKEN"],
        os.environ.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        os.environ.get("PUBLIC_URL", host).rstrip("/"),
    )
    figures = _run(account, wanted, ["--host", host, "--texts", str(texts)], console)
    return _told(figures, wanted, console)


def _run(account: Account, wanted: Wanted, more: list[str], console: Console) -> Figures:
    """Run locust and return what it has measured."""
    figures = OUT / "figures.json"
    figures.unlink(missing_ok=True)
    arguments = [
        str(LOCUST), "-f", str(HERE / "locustfile.py"), "--host", account.public_url,
        "--users", str(wanted.users), "--spawn-rate", str(max(1.0, wanted.users / SPAWNS_WITHIN)),
        "--rate", str(wanted.rate), "--p95", str(wanted.limits.p95), "--p99", str(wanted.limits.p99),
        "--html", str(_report()), "--figures", str(figures), "--loglevel", "WARNING",
        *more,
    ]  # fmt: skip
    if wanted.web:
        console.print("locust's page: http://127.0.0.1:8089 (Ctrl-C here ends it)")
        arguments += ["--web-host", "127.0.0.1"]
    else:
        console.print(f"{wanted.users} people text for {wanted.seconds} s", style="dim")
        arguments += ["--headless", "--only-summary", "--run-time", str(wanted.seconds)]
        arguments += ["--stop-timeout", str(STOPS_WITHIN), "--reset-stats"]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {**inherited, **environment_of(account)} | {"PYTHONPATH": str(REPOSITORY)}
    with (OUT / "locust.log").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        _wait(process)
    if not figures.exists():
        last = (OUT / "locust.log").read_text(errors="replace").splitlines()[-15:]
        raise PlaceError("\n".join(["locust ended without figures; its last words:", *last]))
    return read_figures(figures)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for locust; Ctrl-C reaches it too, and it ends with its figures."""
    while True:
        try:
            process.wait()
        except KeyboardInterrupt:
            continue
        return


def _told(figures: Figures, wanted: Wanted, console: Console) -> list[str]:
    console.print(terminal_table(figures))
    for fault in figures.faults:
        console.print(fault, style="red", markup=False, soft_wrap=True)
    return broken_limits(figures, wanted.limits)


def _report() -> Path:
    return OUT / "report.html"


if __name__ == "__main__":
    command()
