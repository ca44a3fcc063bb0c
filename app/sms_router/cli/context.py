"""What most commands need: the settings, the sandbox's credentials when offline, rules and store."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import AuthenticationError, MovedError, ResponseError

from sms_router.cli.output import CommandError
from sms_router.config.settings import DEFAULT_FOLDER, Settings, load_settings
from sms_router.errors import ConfigurationError
from sms_router.store.embedded import embedded, running_at
from sms_router.store.errors import EmbeddedError
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.schema import SchemaError, check_data_dir

if TYPE_CHECKING:
    import redis

    from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
    from sms_router.sandbox import World

DEMO_FOLDER = Path(__file__).parents[3] / "config"
"""Where the demo world lies, for configuration folders that have none of their own."""

_CLIENT = re.compile(r"<redis\.client\.Redis\(.*?\bhost=([^,]*),port=(\d+).*?\)>\)>\)>")
_PLACE = r"the Sentinel \1:\2"
"""How redis-py names a Sentinel: with every detail of the connection."""

START = "Start it in another terminal: make run (or sms-router serve)"


def sandbox_world(settings: Settings) -> World:
    """Read the sandbox's world: from the configuration folder, or the included one.

    Its account, token and Service are the configured ones, where there are any.

    Raises:
        CommandError: when the world has no Messaging Service.
        ConfigurationError: with every mistake in the world.

    """
    from sms_router.sandbox import load_world  # noqa: PLC0415 (not needed with Twilio's credentials)

    own = settings.folder / "sandbox.toml"
    world = load_world(own if own.is_file() else DEMO_FOLDER / "sandbox.toml", settings.public_url)
    if not world.services:
        raise CommandError(f"{own}: services: is empty; the sandbox needs a Messaging Service")
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
        world = sandbox_world(settings)
        settings = load_settings({**os.environ, **sandbox_environment(world, settings)})
    return settings


@contextlib.contextmanager
def report_all_errors() -> Iterator[None]:
    """Report the mistakes in the other files too, when the body finds one.

    Handlers are named in ``router.toml``, so contradictions with them are reported once it is right.
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


def load_rules(settings: Settings, forwards: ForwardConfig | None = None) -> Dispatcher:
    """Load keywords and handlers, as `load_rule_files` does."""
    return load_rule_files(settings, (settings.folder / "keywords.toml",), forwards)[0]


def load_rule_files(
    settings: Settings, files: Sequence[Path], forwards: ForwardConfig | None = None
) -> list[Dispatcher]:
    """Load the rules of some files, each with the handlers, templates and opt-out words of the configuration.

    Modules in the current folder can be named, as with ``python -m``. The folder comes last, so that a
    team's ``app`` or ``queue.py`` hides nothing. Worker processes take the path over.

    Raises:
        SettingsError: with every mistake found.

    """
    from sms_router.routing.dispatch.conversation_steps import ConversationPolicy  # noqa: PLC0415
    from sms_router.routing.dispatch.dispatcher import ForwardConfig  # noqa: PLC0415
    from sms_router.routing.dispatch.handler_loader import HandlerRegistry  # noqa: PLC0415
    from sms_router.routing.dispatch.rule_loader import load_rules  # noqa: PLC0415 (Jinja and handlers, where rules matter)
    from sms_router.routing.handler.thread_pool import HandlerThreadPool  # noqa: PLC0415
    from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords  # noqa: PLC0415

    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    words = load_opt_out_keywords(settings.folder, settings.twilio_opt_outs)
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no part of a command's output
        functions = HandlerRegistry.load(
            settings.router.handlers,
            HandlerThreadPool(1),
            settings.router.middlewares,
            ConversationPolicy(**settings.conversations.model_dump()),
        )
    forwards = forwards or ForwardConfig(public_url=settings.public_url)
    templates = settings.folder / "templates"
    return [load_rules(file, templates, functions, words, forwards, settings.time_zones) for file in files]


@contextlib.contextmanager
def store_url(settings: Settings, *, shared: bool = True) -> Iterator[str]:
    """Give the URL of Redis: the configured one, or the embedded Valkey's, started if it is not running.

    Commands share the embedded one with the process that runs it; a router needs its own.

    Raises:
        CommandError: when the embedded one does not start, or is another's and not to be shared, or when the
            data directory belongs to another version of the router.

    """
    _check_data_dir(settings, create=not (settings.redis.url and shared))
    if settings.redis.url:
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
        yield url


def _check_data_dir(settings: Settings, *, create: bool) -> None:
    try:
        check_data_dir(settings.router.data_dir, create=create)
    except SchemaError as error:
        raise CommandError(str(error)) from error
    except OSError:
        return  # the embedded Valkey reports it; beside a Redis server the router runs, and warns


@contextlib.contextmanager
def store_client(settings: Settings) -> Iterator[redis.Redis]:
    """Give a redis-py client for commands that look at what is stored.

    Raises:
        CommandError: when Redis does not answer.

    """
    with store_url(settings) as url:
        try:
            with sync_client(url) as client:
                with contextlib.suppress(
                    ResponseError
                ):  # with a full disk it refuses that, and answers others
                    client.ping()
                yield client
        except CLIENT_ERRORS as error:
            raise CommandError(*_told(error)) from error


def _told(error: Exception) -> tuple[str, str]:
    """Return what a client's error means, and what to do about it."""
    if isinstance(error, MovedError):
        remedy = "This is a node of a Redis Cluster: set REDIS_URL=redis+cluster://host:port"
        return f"Redis does not answer: {error}", remedy
    if isinstance(error, AuthenticationError):
        remedy = (
            "Put its password into REDIS_URL: redis://:password@host:6379/0, or redis://user:password@..."
        )
        return "Redis refuses the login: the password is missing or wrong.", remedy
    if isinstance(error, ResponseError):
        return (
            f"Redis refuses this: {error}",
            "Look at its log, its disk and memory, and what its user may do.",
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        remedy = "If its CA is your own, name it: REDIS_URL=rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem"
        return f"Redis does not answer: {error}", remedy
    return f"Redis does not answer: {_CLIENT.sub(_PLACE, str(error))}", "Set REDIS_URL, or start yours."


def has_store(settings: Settings) -> bool:
    """Tell whether there is a store to look into; nothing is started to find out."""
    return bool(settings.redis.url) or (settings.router.data_dir / "valkey").is_dir()


def store_is_running(settings: Settings) -> bool:
    """Tell whether the store of a running router may be there."""
    return bool(settings.redis.url) or embedded_runs(settings)


def embedded_runs(settings: Settings) -> bool:
    """Tell whether a router runs, or is about to, with a store of its own in the data folder."""
    return not settings.redis.url and running_at(settings.router.data_dir) is not None


def check_port(host: str, port: int, remedy: str) -> None:
    """Make sure that a server can listen there.

    Raises:
        CommandError: when it cannot, with the remedy.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(f"{host}:{port} cannot be used: {error.strerror or error}.", remedy) from error
