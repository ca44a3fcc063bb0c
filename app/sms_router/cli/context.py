"""What commands load: settings, the sandbox's credentials when offline, rules and the store."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import redis
from redis.exceptions import ResponseError

from sms_router.cli.output import CommandError
from sms_router.config.settings import (
    DEFAULT_FOLDER,
    DEMO_FOLDER,
    DEMO_HANDLERS,
    IS_WHEEL,
    Settings,
    load_settings,
)
from sms_router.errors import ConfigurationError
from sms_router.files import stored_secret
from sms_router.store.embedded import embedded, running_at
from sms_router.store.errors import EmbeddedError
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.schema import SchemaError, check_data_dir, check_redis
from sms_router.store.server_check import FROZEN, find_problems

if TYPE_CHECKING:
    from sms_router.membership.snapshot import Snapshot
    from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
    from sms_router.routing.dispatch.published import PublishedRules
    from sms_router.routing.handler.events import EventRecorder
    from sms_router.sandbox import World
    from sms_router.senders.pool import Pool

_Result = TypeVar("_Result")
_Default = TypeVar("_Default")

_FIRST_RESPONSE_TIMEOUT = 0.9
"""Seconds for Redis to return the version of its data. With the look for an embedded Valkey, a command
reports in two seconds that Redis is frozen."""

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
    from sms_router.sandbox import load_world  # noqa: PLC0415 (not needed with Twilio's credentials)

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


def settings_for_command() -> Settings:
    """Load the settings; without Twilio credentials, with those of the sandbox."""
    settings = load_settings()
    if settings.is_offline:
        world = sandbox_world(settings)
        environment = sandbox_environment(world, settings)
        if port := _running_sandbox_port(settings):
            environment = {**environment, "TWILIO_API_BASE_URL": f"http://127.0.0.1:{port}"}
        settings = load_settings({**os.environ, **environment})
    return settings


def sandbox_port_file(settings: Settings) -> Path:
    """Return the file with the port of the sandbox that runs beside the router."""
    return settings.router.data_dir / "sandbox-port"


def _running_sandbox_port(settings: Settings) -> int:
    """Return where the router's sandbox listens; 0 where that is unknown, or a variable says it."""
    if not (os.environ.get("SANDBOX_PORT") or settings.twilio.api_base_url):
        with contextlib.suppress(OSError, ValueError):
            return int(sandbox_port_file(settings).read_text("utf-8"))
    return 0


@contextlib.contextmanager
def report_all_errors() -> Iterator[None]:
    """Add the mistakes of the other files to a ConfigurationError of the body.

    Handlers are named in ``router.toml``: conflicts with them are reported once that file is correct.
    """
    from sms_router.routing.dispatch.dispatcher import ForwardConfig  # noqa: PLC0415
    from sms_router.routing.dispatch.handler_loader import HandlerRegistry  # noqa: PLC0415
    from sms_router.routing.dispatch.ruleset import RuleSetReader  # noqa: PLC0415 (Jinja, where rules matter)
    from sms_router.routing.keywords.schedule import TimeZones  # noqa: PLC0415

    try:
        yield
    except ConfigurationError as error:
        folder = Path(os.environ.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
        if not folder.is_dir():
            raise
        reader = RuleSetReader(folder, HandlerRegistry([], []), frozenset(), ForwardConfig(), TimeZones())
        try:
            reader.read()
        except ConfigurationError as others:
            raise ConfigurationError(list(dict.fromkeys([*error.mistakes, *others.mistakes]))) from error
        raise


def load_rules(
    settings: Settings, forwards: ForwardConfig | None = None, file: Path | None = None
) -> Dispatcher:
    """Load a keywords file (default: keywords.toml), with the handlers and templates of the configuration.

    Raises:
        ConfigurationError: with every mistake in the file and the handlers.

    """
    file = file or settings.folder / "keywords.toml"
    return _load_rules(settings, forwards, file, settings.folder / "templates", str(file))


def event_recorder(settings: Settings, dispatcher: Dispatcher) -> EventRecorder:
    """Return what makes the events of changes that a command stores, for the handlers of the rules."""
    from sms_router.routing.handler.events import EventRecorder  # noqa: PLC0415 (where rules matter)

    accounts = {service.sid: service.account for service in settings.services}
    return EventRecorder(tuple(dispatcher.events), accounts, settings.router.retention_days)


def load_rules_in_use(settings: Settings, forwards: ForwardConfig | None = None) -> Dispatcher:
    """Load the rules that the routers use: the published version, or else the files."""
    version = published_rules(settings)
    if version is None or version.uses_files:
        return load_rules(settings, forwards)
    return load_published_rules(settings, version, forwards)


def published_rules(settings: Settings) -> PublishedRules | None:
    """Return the published version, from the store or this machine's copy; None for none."""
    from sms_router.routing.dispatch.published import PublishedRulesFile, read_current  # noqa: PLC0415

    version = None
    if store_is_running(settings):
        with (
            contextlib.suppress(*CLIENT_ERRORS, CommandError),
            store_url(settings) as url,
            sync_client(url, seconds=2, attempts=2) as client,
        ):
            version = read_current(client)
    return version or PublishedRulesFile(settings.router.data_dir).read()


def load_published_rules(
    settings: Settings, version: PublishedRules, forwards: ForwardConfig | None = None, label: str = ""
) -> Dispatcher:
    """Load the rules of a published version, as `load_rules` does."""
    if version.uses_files:
        return load_rules(settings, forwards)
    with version.unpacked() as folder:
        file, templates = folder / "keywords.toml", folder / "templates"
        return _load_rules(settings, forwards, file, templates, label or version.label)


def _load_rules(
    settings: Settings, forwards: ForwardConfig | None, file: Path, templates: Path, label: str
) -> Dispatcher:
    """Load rules, whose file is called ``label`` in messages to people.

    Handlers can be modules in the current folder, which follows the libraries in ``sys.path``, so that a
    team's ``queue.py`` does not replace the standard library's, and precedes the handlers of a clone that the
    program runs from. Worker processes inherit the path.
    """
    from sms_router.routing.dispatch.conversation_steps import ConversationPolicy  # noqa: PLC0415
    from sms_router.routing.dispatch.dispatcher import ForwardConfig  # noqa: PLC0415
    from sms_router.routing.dispatch.handler_loader import HandlerRegistry  # noqa: PLC0415
    from sms_router.routing.dispatch.rule_loader import load_rules  # noqa: PLC0415 (Jinja and handlers, where rules matter)
    from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords  # noqa: PLC0415

    current_folder, demo = str(Path.cwd()), str(DEMO_HANDLERS.parent)
    if current_folder not in sys.path and "" not in sys.path:
        is_clone = demo in sys.path and demo not in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path.insert(sys.path.index(demo) if is_clone else len(sys.path), current_folder)
    if settings.folder == DEMO_FOLDER:  # first: the current folder may have a package of the same name
        sys.path.insert(0, demo)
    opt_outs = load_opt_out_keywords(settings.folder, settings.twilio_opt_outs)
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints is not the command's output
        handlers = HandlerRegistry.load(
            settings.router.handlers,
            None,
            settings.router.middleware_names,
            ConversationPolicy(**settings.conversations.model_dump()),
        )
    forwards, zones = forwards or ForwardConfig(public_url=settings.public_url), settings.time_zones
    dispatcher = load_rules(file, templates, handlers, opt_outs, forwards, zones, label=label)
    dispatcher.use_replies(settings.own_replies)
    return dispatcher


def handlers_folder(settings: Settings) -> Path:
    """Return the folder that a router in another process imports its handlers from."""
    return DEMO_HANDLERS.parent if settings.folder == DEMO_FOLDER else Path.cwd()


def rules_and_pools(
    settings: Settings, snapshots: Iterable[Snapshot]
) -> tuple[Dispatcher, Mapping[str, Pool]]:
    """Load the rules, which know the numbers' own URLs but forward nothing, and the pools by Service sid."""
    from sms_router.routing.dispatch.dispatcher import ForwardConfig  # noqa: PLC0415
    from sms_router.routing.upstream.number_urls import NumberForwards  # noqa: PLC0415
    from sms_router.senders.pool import find_pool  # noqa: PLC0415

    by_sid = {snapshot.service_sid: snapshot for snapshot in snapshots}
    pools = {service_sid: snapshot.pool() for service_sid, snapshot in by_sid.items()}
    numbers = NumberForwards(
        lambda service, texted, _: find_pool(pools, service, texted),
        lambda service_sid, sid: by_sid[service_sid].number_urls.get(sid),
        settings.number_urls,
        settings.public_url,
    )
    forwards = ForwardConfig(None, numbers.forward_for, settings.public_url)
    return load_rules_in_use(settings, forwards), pools


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
    """Return what an error of redis-py means, and the remedy."""
    if isinstance(error, redis.exceptions.TimeoutError):
        return FROZEN
    for problem in find_problems(url):
        if problem.is_error:
            return problem.sentence, problem.remedy
    if isinstance(error, ResponseError):
        remedy = "Check its log, disk and memory, and the permissions of its user: sms-router check"
        return f"Redis refuses this: {error}", remedy
    return f"Redis does not answer: {error}", "Set REDIS_URL, or start Redis."


def read_store(
    settings: Settings, read: Callable[[redis.Redis], _Result], default: _Default
) -> _Result | _Default:
    """Return what ``read`` returns for a redis-py client, or ``default`` where nothing can be stored yet."""
    if not has_store(settings):
        return default
    with store_client(settings) as client:
        return read(client)


def has_store(settings: Settings) -> bool:
    """Tell whether anything may be stored; starts nothing."""
    return bool(settings.redis.url) or (settings.router.data_dir / "valkey").is_dir()


def store_is_running(settings: Settings) -> bool:
    """Tell whether the store of a running router may be available."""
    return bool(settings.redis.url) or embedded_is_running(settings)


def embedded_is_running(settings: Settings) -> bool:
    """Tell whether a router with an embedded Valkey in this data folder runs or is starting."""
    return not settings.redis.url and running_at(settings.router.data_dir) is not None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches what listens on a host."""
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
