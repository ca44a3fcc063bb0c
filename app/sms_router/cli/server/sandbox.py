"""``sms-router sandbox``: the offline Twilio alone, and scenarios played with it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Coroutine
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import check_port, handlers_folder, is_loopback, sandbox_world
from sms_router.cli.output import CommandError, JsonOption, print_json, print_line, stdout
from sms_router.cli.server.audit import audit
from sms_router.config.settings import load_settings
from sms_router.errors import ConfigurationError
from sms_router.twilio.public_url import PublicUrl

if TYPE_CHECKING:
    import uvicorn

    from sms_router.sandbox.scenarios.player import PlayedStep
    from sms_router.sandbox.scenarios.runner import ScenarioResult
    from sms_router.sandbox.scenarios.scenario import Scenario
    from sms_router.sandbox.world.world import World

INCLUDED_SCENARIOS = Path(__file__).parents[2] / "sandbox" / "scenarios"

_MARKS = {"passed": ("✓", "green"), "failed": ("✗", "bold red"), "not played": ("·", "dim")}

sandbox = typer.Typer(rich_markup_mode="rich")


def _router_url(url: str | None) -> str | None:
    try:
        return str(PublicUrl.parse(url)) if url else None
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("PUBLIC_URL ")) from error


@sandbox.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    host: Annotated[
        str, Option(help="Address to listen on; the sandbox has no access control.")
    ] = "127.0.0.1",
    port: Annotated[int | None, Option(min=1, max=65_535, help="Default: SANDBOX_PORT, or 8900.")] = None,
    expose: Annotated[
        bool, Option("--expose-to-everybody", help="Allow a --host that other machines can reach.")
    ] = False,
    manual_clock: Annotated[
        bool, Option("--manual-clock", help="The time changes only by POST /sandbox/clock.")
    ] = False,
    router: Annotated[
        str | None, Option(callback=_router_url, help="URL of the router; default: http://HOST:PORT.")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", hidden=True)] = False,
    until_exit_of: Annotated[int | None, Option("--until-exit-of", hidden=True)] = None,
) -> None:
    """Run an offline Twilio: REST API, phones and carriers, as described in config/sandbox.toml.

    Its account and token are TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN when they are set. Webhooks are signed
    over PUBLIC_URL and sent to the router directly, as a reverse proxy at that URL would do.
    """
    if context.invoked_subcommand:
        return
    from sms_router.sandbox.world.world import ReverseProxy  # noqa: PLC0415 (not needed with Twilio's credentials)

    if not is_loopback(host) and not expose:
        raise CommandError(
            f"The sandbox would listen on {host or 'every address'}, where others can read all messages and "
            "send as anybody.",
            "To allow that: sms-router sandbox --host ... --expose-to-everybody",
            code=2,
        )
    settings = load_settings()
    router_url = (router or settings.local_url).rstrip("/")
    world = replace(
        sandbox_world(settings, is_server=True), proxy=ReverseProxy(settings.public_url, router_url)
    )
    port = port or settings.sandbox.port
    check_port(host, port, f"Use another one: sms-router sandbox --port {port + 1}")
    if not quiet:
        _announce(world, f"http://{f'[{host}]' if ':' in host else host}:{port}", router_url)
    _serve(world, host, port, manual_clock=manual_clock, until_exit_of=until_exit_of)


@sandbox.command("run")
def run(
    files: Annotated[
        list[Path] | None, Argument(metavar="FILE", help="Scenario files; default: the included ones.")
    ] = None,
    router: Annotated[
        str | None, Option(callback=_router_url, help="URL of a running router with the same credentials.")
    ] = None,
    port: Annotated[int, Option(min=0, max=65_535, help="Port of the sandbox; 0: any free port.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Play scenarios: who texts what to whom, and what the phones must show.

    For each file a sandbox and a router with your configuration are started. Exits with 1 when a scenario
    failed.
    """
    paths = files or sorted(INCLUDED_SCENARIOS.glob("*.toml"))
    for path in paths:
        scenario = _read(path, router or "http://127.0.0.1:8000")
        if router and scenario.needs_own_router:
            raise CommandError(
                f"{path} has an application or settings of its own, which a running router cannot use.",
                f"Let the command start a router: sms-router sandbox run {path}",
                code=2,
            )
    results = [_play(path, router, port, as_json=as_json) for path in paths]
    if as_json:
        print_json([_as_json(path, result) for path, result in zip(paths, results, strict=True)])
    else:
        passed = sum(result.passed for result in results)
        style = "green" if passed == len(results) else "red"
        print_line(f"\n{passed} of {len(results)} scenarios passed", style)
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


def _announce(world: World, url: str, router_url: str) -> None:
    for line in (
        f"The sandbox listens on {url} and sends webhooks to {router_url}",
        f"Send a text from a phone: POST {url}/sandbox/phones/+14155550123/messages",
        f"Account {world.account_sid}, Messaging Service {world.services[0].sid}",
    ):
        print_line(line)


def _serve(world: World, host: str, port: int, *, manual_clock: bool, until_exit_of: int | None) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import, and only needed here)

    from sms_router.sandbox.application import create_sandbox  # noqa: PLC0415
    from sms_router.sandbox.clock import ManualClock  # noqa: PLC0415

    server = uvicorn.Server(
        uvicorn.Config(
            create_sandbox(world, clock=ManualClock(datetime.now(UTC)) if manual_clock else None),
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            proxy_headers=False,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
    )
    if until_exit_of is not None:
        threading.Thread(target=_stop_with_parent, args=(until_exit_of, server), daemon=True).start()
    server.run()


def _stop_with_parent(parent: int, server: uvicorn.Server) -> None:
    """Stop when the router that started this process has ended, for whatever reason."""
    while os.getppid() == parent:
        time.sleep(0.5)
    server.should_exit = True


def _read(path: Path, router_url: str) -> Scenario:
    """Read a scenario that is played against a router at this URL."""
    from sms_router.sandbox.scenarios.scenario import load_scenario  # noqa: PLC0415 (as above)

    world = sandbox_world(load_settings({**os.environ, "PUBLIC_URL": router_url}))
    try:
        return load_scenario(path, world)
    except ConfigurationError as error:
        raise CommandError(f"{path} cannot be played:", *error.mistakes, code=2) from error


def _play(path: Path, router_url: str | None, port: int, *, as_json: bool) -> ScenarioResult:
    from sms_router.sandbox.hosting import free_port  # noqa: PLC0415
    from sms_router.sandbox.scenarios.runner import OwnRouter, ScenarioRunner  # noqa: PLC0415

    settings = load_settings()
    own = None if router_url else OwnRouter(settings.folder, free_port(), handlers_folder(settings))
    scenario = _read(path, router_url or f"http://127.0.0.1:{own.port if own else 0}")
    if as_json:
        return _run_until_signal(ScenarioRunner(own, port).play(scenario, lambda _: None))
    print_line(f"({path.name})", "dim", label=f"\n{scenario.title} ")
    with stdout.status("playing"):
        result = _run_until_signal(ScenarioRunner(own, port).play(scenario, _show))
    if result.error:
        print_line(f"  ✗ {result.error}", "bold red")
    for line in result.log:
        print_line(f"    router: {line}", "dim")
    return result


def _run_until_signal(play: Coroutine[None, None, ScenarioResult]) -> ScenarioResult:
    """Run a coroutine; SIGINT and SIGTERM cancel it, and it stops what it has started."""

    async def run_cancellable() -> ScenarioResult:
        task = asyncio.ensure_future(play)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(run_cancellable())
    except asyncio.CancelledError:
        raise CommandError("Stopped, with everything that was started.", code=130) from None


def _show(step: PlayedStep) -> None:
    mark, style = _MARKS[step.result.value]
    print_line(step.title, "dim" if mark == "·" else "", label=f"  {mark} ", label_style=style)
    for difference in step.differences:
        print_line(f"      {difference.what}", "yellow")
        print_line(difference.expected, label="        expected  ", label_style="")
        print_line(difference.got, label="        got       ", label_style="")


def _as_json(path: Path, result: ScenarioResult) -> dict[str, object]:
    return {
        "file": str(path),
        "passed": result.passed,
        "trouble": result.error or None,
        "steps": [
            {
                "title": step.title,
                "verdict": step.result.value,
                "differences": [asdict(difference) for difference in step.differences],
            }
            for step in result.played
        ],
        "log": list(result.log),
    }


# Below the others, as in the help.
sandbox.command("audit")(audit)
