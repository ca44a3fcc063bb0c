"""Redis as commands use it: the configured one, or the embedded Valkey."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import redis
from redis.exceptions import ResponseError

from sms_router.cli.context import has_store
from sms_router.cli.output import CommandError
from sms_router.config.settings import Settings
from sms_router.store.embedded import embedded
from sms_router.store.errors import EmbeddedError
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.schema import SchemaError, check_data_dir, check_redis
from sms_router.store.server_check import FROZEN, find_problems

_Result = TypeVar("_Result")
_Default = TypeVar("_Default")

_FIRST_RESPONSE_TIMEOUT = 0.9
"""Seconds for Redis to return the version of its data. With the look for an embedded Valkey, a command
reports in two seconds that Redis is frozen."""


@contextlib.contextmanager
def store_url(settings: Settings, *, shared: bool = True, required: bool = False) -> Iterator[str]:
    """Yield the URL of Redis: the configured one, or that of the embedded Valkey, which is started if needed.

    ``shared`` allows an embedded Valkey that another process has started; a router needs its own. With
    ``required`` a Redis that does not respond is an error; a router runs without it.

    Raises:
        CommandError: when the embedded Valkey does not start or belongs to another router, or when the data
            in the data directory or in Redis belongs to another version of the router.

    """
    _check_data_dir(settings, create=not (settings.redis.url and shared))
    if settings.redis.url:
        _check_redis(settings.redis.url, required=required)
        yield settings.redis.url
        return
    with contextlib.ExitStack() as running:
        try:
            url = running.enter_context(embedded(settings.router.data_dir, shared=shared))
        except EmbeddedError as error:
            raise CommandError(*str(error).splitlines()) from error
        except OSError as error:
            raise CommandError(
                f"The embedded Valkey cannot keep its data in {settings.router.data_dir}: {error.strerror}.",
                "Set REDIS_URL to use a server of your own, or data_dir in router.toml.",
            ) from error
        _check_redis(url, required=required)
        yield url


def _check_data_dir(settings: Settings, *, create: bool) -> None:
    try:
        check_data_dir(settings.router.data_dir, create=create)
    except SchemaError as error:
        raise CommandError(str(error)) from error
    except OSError:
        return  # the embedded Valkey reports it; with REDIS_URL the router runs, and warns


def _check_redis(url: str, *, required: bool) -> None:
    """Check the version of the data in Redis, if it serves; else the command or a worker reports it."""
    try:
        with sync_client(url, _FIRST_RESPONSE_TIMEOUT, attempts=1) as client:
            check_redis(client)
    except SchemaError as error:
        raise CommandError(str(error)) from error
    except redis.exceptions.TimeoutError as error:
        if required:
            raise CommandError(*_describe_client_error(url, error)) from error
    except CLIENT_ERRORS:
        return


@contextlib.contextmanager
def store_client(settings: Settings) -> Iterator[redis.Redis]:
    """Yield a redis-py client."""
    with store_url(settings, required=True) as url:
        try:
            with sync_client(url) as client:
                with contextlib.suppress(ResponseError):  # a Redis with a full disk refuses PING alone
                    client.ping()
                yield client
        except CLIENT_ERRORS as error:
            raise CommandError(*_describe_client_error(url, error)) from error


def _describe_client_error(url: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, redis.exceptions.TimeoutError):
        return FROZEN
    for problem in find_problems(url):
        if problem.is_error:
            return problem.sentence, problem.remedy
    if isinstance(error, ResponseError):
        remedy = "Check its log, disk and memory, and the permissions of its user: sms-router check"
        return f"Redis refuses this: {error}", remedy
    return f"Redis does not respond: {error}", "Set REDIS_URL, or start Redis."


def read_store(
    settings: Settings, read: Callable[[redis.Redis], _Result], default: _Default
) -> _Result | _Default:
    """Return what ``read`` returns for a redis-py client, or ``default`` where nothing can be stored yet."""
    if not has_store(settings):
        return default
    with store_client(settings) as client:
        return read(client)
