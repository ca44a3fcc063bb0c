"""The application factories: of ``sms-router serve``, and of other ASGI servers.

uvicorn calls `AppFactory` in each worker of ``serve``, with the settings that ``serve`` has read.
"""

from __future__ import annotations

import logging
import logging.config
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from starlette.routing import Router

    from sms_router.config.settings import Settings

log = logging.getLogger("sms_router")


@dataclass(frozen=True, slots=True)
class AppFactory:
    """Builds the application from pickled settings.

    A worker that replaces another gets the same settings, even if router.toml was edited since.
    """

    pickled: bytes
    """The settings; to read them again would take each worker a second."""

    @classmethod
    def with_settings(cls, settings: Settings) -> AppFactory:
        return cls(pickle.dumps(settings))

    def import_handlers(self) -> None:
        """Import the team's modules before an event loop runs; logs mistakes in them, and exits with 1."""
        from sms_router.routing.dispatch.handler_loader import HandlerRegistry  # noqa: PLC0415

        router = pickle.loads(self.pickled).router  # noqa: S301 (as below)
        if mistakes := HandlerRegistry.load(router.handlers, None, router.middleware_names).errors:
            _exit(mistakes)

    def __call__(self) -> Router:
        """Build the application; logs mistakes in handlers or rules, and exits with 1."""
        from sms_router.application import build  # noqa: PLC0415 (slow to import; the supervisor needs only this module)
        from sms_router.errors import ConfigurationError  # noqa: PLC0415

        try:
            return build(pickle.loads(self.pickled))  # noqa: S301 (pickled by the parent process)
        except ConfigurationError as error:
            _exit(error.mistakes)


def _exit(mistakes: Sequence[str]) -> NoReturn:
    log.error("a worker cannot start: %s", "; ".join(mistakes))
    sys.exit(1)


def create_app() -> Router:
    """Build the application for ``uvicorn --factory sms_router.factory:create_app`` and the like.

    It reads the settings from the environment and the configuration folder. It starts neither an embedded
    Valkey nor a sandbox, and it serves everything on the port of the server that calls it.

    Raises:
        ConfigurationError: when there are mistakes, or Redis or the Twilio credentials are not configured.

    """
    from sms_router.application import build  # noqa: PLC0415 (slow to import, as above)
    from sms_router.config.settings import load_settings  # noqa: PLC0415
    from sms_router.errors import ConfigurationError  # noqa: PLC0415
    from sms_router.logs import log_config  # noqa: PLC0415

    settings = load_settings()
    mistakes = []
    if settings.is_offline:
        mistakes.append(_missing("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are", "the sandbox"))
    if not settings.redis.url:
        mistakes.append(_missing("REDIS_URL is", "an embedded Valkey"))
    if mistakes:
        raise ConfigurationError(mistakes)
    if not logging.getLogger().handlers:
        config = log_config(settings.server.logs)
        ours = ("sms_router", "handlers")
        config["loggers"] = {name: config["loggers"][name] for name in ours}
        logging.config.dictConfig(config)
    return build(settings)


def _missing(variables: str, part: str) -> str:
    return f"{variables} not set: `sms-router serve` starts {part} without, another server does not"
