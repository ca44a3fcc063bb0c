"""What every command loads: the settings, with the sandbox's credentials when offline."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sms_router.cli.output import CommandError
from sms_router.config.settings import (
    DEMO_FOLDER,
    DEMO_HANDLERS,
    IS_WHEEL,
    Settings,
    load_settings,
)
from sms_router.files import stored_secret
from sms_router.store.embedded import running_at

if TYPE_CHECKING:
    from sms_router.sandbox.world.world import World

_POLL_INTERVAL = 0.1
"""Seconds."""

START_COMMAND = "sms-router serve" if IS_WHEEL else "make run"

START_HINT = f"Start it in another terminal: {START_COMMAND}"


def sandbox_world(settings: Settings, *, is_server: bool = False) -> World:
    """Read sandbox.toml of the configuration folder, or the demo's.

    The account, token and Service are the configured ones, where there are any. Without a token, only
    what starts a sandbox (``is_server``) makes one: another command writes nothing.

    Raises:
        CommandError: when the file has no Messaging Service.
        ConfigurationError: with every mistake in the file.

    """
    from sms_router.sandbox.world.loader import load_world  # noqa: PLC0415 (not needed with Twilio's credentials)

    file = settings.folder / "sandbox.toml"
    world = load_world(
        file if file.is_file() else DEMO_FOLDER / "sandbox.toml",
        settings.public_url,
        stored_secret(
            settings.router.data_dir / "sandbox-token", lambda: secrets.token_hex(16), 32, write=is_server
        ),
    )
    if not world.services:
        raise CommandError(f"{file}: services: is empty; the sandbox needs a Messaging Service")
    for account in settings.accounts[:1]:
        world = replace(world, account_sid=account.sid, auth_token=account.tokens[0])
    for sid in (service.sid for service in settings.services):
        described, configured = list(world.services), {service.sid for service in settings.services}
        other = next((index for index, one in enumerate(described) if one.sid not in configured), None)
        if other is not None and all(one.sid != sid for one in described):
            described[other] = replace(described[other], sid=sid)
            world = replace(world, services=tuple(described))
    return world


def sandbox_environment(world: World, settings: Settings) -> Mapping[str, str]:
    """Return the environment variables with which the router uses the sandbox in place of Twilio."""
    return {
        "SMS_ROUTER_CONFIG": str(settings.folder),  # the demo's is looked for only without credentials
        "TWILIO_ACCOUNT_SID": world.account_sid,
        "TWILIO_AUTH_TOKEN": world.auth_token,
        "TWILIO_MESSAGING_SERVICE_SID": ",".join(
            [service.sid for service in settings.services] or [service.sid for service in world.services]
        ),
        "TWILIO_API_BASE_URL": settings.twilio.api_base_url or f"http://127.0.0.1:{settings.sandbox.port}",
    }


def settings_for_command(start_timeout: float = 0.0) -> Settings:
    """Load the settings; without Twilio credentials, with those of the sandbox.

    ``start_timeout`` is for how many seconds to wait for the sandbox of a router that is starting.
    """
    settings = load_settings()
    if settings.is_offline:
        world = sandbox_world(settings)
        environment = sandbox_environment(world, settings)
        if port := _running_sandbox_port(settings, start_timeout):
            environment = {**environment, "TWILIO_API_BASE_URL": f"http://127.0.0.1:{port}"}
        settings = load_settings({**os.environ, **environment})
    return settings


def sandbox_port_file(settings: Settings) -> Path:
    """Return the file with the port of the sandbox that runs beside the router."""
    return settings.router.data_dir / "sandbox-port"


def _running_sandbox_port(settings: Settings, start_timeout: float) -> int:
    """Return where the router's sandbox listens; 0 where that is unknown, or a variable sets it."""
    if os.environ.get("SANDBOX_PORT") or settings.twilio.api_base_url:
        return 0
    deadline = time.monotonic() + start_timeout
    while True:
        with contextlib.suppress(OSError, ValueError):
            return int(sandbox_port_file(settings).read_text("utf-8"))
        if time.monotonic() >= deadline or not embedded_is_running(settings):
            return 0
        time.sleep(_POLL_INTERVAL)


def handlers_folder(settings: Settings) -> Path:
    """Return the folder that a router in another process imports its handlers from."""
    return DEMO_HANDLERS.parent if settings.folder == DEMO_FOLDER else Path.cwd()


def has_store(settings: Settings) -> bool:
    """Return whether anything may be stored; starts nothing."""
    return bool(settings.redis.url) or (settings.router.data_dir / "valkey").is_dir()


def store_is_running(settings: Settings) -> bool:
    """Return whether the store of a running router may be available."""
    return bool(settings.redis.url) or embedded_is_running(settings)


def embedded_is_running(settings: Settings) -> bool:
    """Return whether a router with an embedded Valkey in this data folder runs or is starting."""
    return not settings.redis.url and running_at(settings.router.data_dir) is not None


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_port(host: str, port: int, remedy: str) -> None:
    """Check that a server can listen on this address.

    Raises:
        CommandError: when it cannot, with ``remedy`` as its second line.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(f"{host}:{port} cannot be used: {error.strerror or error}.", remedy) from error
