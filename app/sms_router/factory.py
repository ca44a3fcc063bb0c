"""The application factory that uvicorn calls in each worker, with the settings that ``serve`` has read."""

from __future__ import annotations

import logging
import pickle
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

    def __call__(self) -> Router:
        """Build the application; logs mistakes in handlers or rules, and exits with 1."""
        from sms_router.application import build  # noqa: PLC0415 (slow to import; the supervisor needs only this module)
        from sms_router.errors import ConfigurationError  # noqa: PLC0415

        try:
            return build(pickle.loads(self.pickled))  # noqa: S301 (pickled by the parent process)
        except ConfigurationError as error:
            log.error("a worker cannot start: %s", "; ".join(error.mistakes))
            sys.exit(1)
