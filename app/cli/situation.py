"""What most commands need: the settings, the sandbox's credentials when offline, and the store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from app.cli.speaking import CommandError
from app.settings import Settings, load_settings
from app.store.embedded import EmbeddedError, embedded

if TYPE_CHECKING:
    from app.sandbox import World

DEMO_FOLDER = Path(__file__).parents[2] / "config"
"""Where the demo world lies, for configuration folders that have none of their own."""


def offline_world(settings: Settings) -> World:
    """Read the sandbox's world: from the configuration folder, or the one that comes along.

    Its account, token and Service are the configured ones, where there are any.
    """
    from app.sandbox import WorldError, load_world  # noqa: PLC0415 (not needed with Twilio's credentials)

    own = settings.folder / "sandbox.toml"
    try:
        world = load_world(own if own.is_file() else DEMO_FOLDER / "sandbox.toml", settings.public_url)
    except WorldError as error:
        raise CommandError(*str(error).splitlines()) from error
    for account in settings.accounts[:1]:
        world = replace(world, account_sid=account.sid, auth_token=account.tokens[0])
    for service in settings.services[:1]:
        world = replace(world, services=(replace(world.services[0], sid=service.sid), *world.services[1:]))
    return world


def sandbox_environment(world: World, settings: Settings) -> Mapping[str, str]:
    """Return the variables with which the sandbox stands in for Twilio."""
    return {
        "TWILIO_ACCOUNT_SID": world.account_sid,
        "TWILIO_AUTH_TOKEN": world.auth_token,
        "TWILIO_MESSAGING_SERVICE_SID": world.services[0].sid,
        "TWILIO_API_BASE_URL": settings.twilio.api_base_url or f"http://127.0.0.1:{settings.sandbox.port}",
    }


def settings_for_command() -> Settings:
    """Load the settings; without Twilio credentials, those of the sandbox.

    Raises:
        SettingsError: with every mistake in the configuration.

    """
    settings = load_settings()
    if settings.offline:
        world = offline_world(settings)
        settings = load_settings({**os.environ, **sandbox_environment(world, settings)})
    return settings


@contextlib.contextmanager
def store_url(settings: Settings) -> Iterator[str]:
    """Give the URL of Redis: the configured one, or the embedded Valkey's, started if it is not running.

    Raises:
        CommandError: when the embedded one does not start.

    """
    if settings.redis.url:
        yield settings.redis.url
        return
    try:
        with embedded(settings.router.data_dir) as url:
            yield url
    except EmbeddedError as error:
        raise CommandError(*str(error).splitlines()) from error


@contextlib.contextmanager
def store_client(settings: Settings) -> Iterator[redis.Redis]:
    """Give a redis-py client for commands that look at what is stored.

    Raises:
        CommandError: when Redis does not answer.

    """
    with store_url(settings) as url, redis.Redis.from_url(url, socket_timeout=10) as client:
        try:
            client.ping()
            yield client
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer: {error}", "Set REDIS_URL, or start yours.") from error
