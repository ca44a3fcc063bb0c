"""``sms-router sandbox``: the offline Twilio by itself."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.situation import check_port, offline_world
from app.cli.speaking import CommandError, out
from app.settings import load_settings

if TYPE_CHECKING:
    import uvicorn

    from app.sandbox import World

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("sandbox")(sandbox)


def sandbox(
    host: Annotated[
        str, typer.Option(help="Where it listens; it has no protection, so keep it local.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Default: SANDBOX_PORT, or 8900.")
    ] = None,
    expose: Annotated[
        bool, typer.Option("--expose-to-everybody", help="Allow a --host that others can reach.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", hidden=True)] = False,
    until_exit_of: Annotated[int | None, typer.Option("--until-exit-of", hidden=True)] = None,
) -> None:
    """Run an offline Twilio: its REST API, phones and carriers, seeded from config/sandbox.toml.

    Its account and token are TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN where they are set.
    """
    if host not in LOOPBACK and not expose:
        raise CommandError(
            f"The sandbox would listen on {host}, where others can read every text and send as anybody.",
            "If that is what you want: sms-router sandbox --host ... --expose-to-everybody",
            code=2,
        )
    settings = load_settings()
    world = offline_world(settings)
    port = port or settings.sandbox.port
    check_port(host, port, f"Choose another one: sms-router sandbox --port {port + 1}")
    if not quiet:
        out.print(
            f"The sandbox listens on http://{host}:{port}; its texts go to {settings.public_url}",
            soft_wrap=True,
        )
        out.print(
            f"Text as a phone: POST http://{host}:{port}/sandbox/phones/+14155550123/messages", soft_wrap=True
        )
        out.print(
            f"Account {world.account_sid}, Messaging Service {world.services[0].sid}",
            markup=False,
            soft_wrap=True,
        )
    _run(world, host, port, until_exit_of)


def _run(world: World, host: str, port: int, until_exit_of: int | None) -> None:
    import uvicorn  # noqa: PLC0415 (slow to import, and only needed here)

    from app.sandbox.application import create_sandbox  # noqa: PLC0415

    server = uvicorn.Server(
        uvicorn.Config(
            create_sandbox(world),
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            proxy_headers=False,
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    )
    if until_exit_of is not None:
        threading.Thread(target=_follow, args=(until_exit_of, server), daemon=True).start()
    server.run()


def _follow(parent: int, server: uvicorn.Server) -> None:
    """Stop when the router that started us is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(0.5)
    server.should_exit = True
