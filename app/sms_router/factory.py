"""How a worker begins: it builds the application from the settings that ``serve`` was started with."""

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
    """Called by uvicorn in each worker, whatever router.toml and the environment have become since.

    A worker that takes the place of a lost one is like the others, although the file is being edited.
    """

    pickled: bytes
    """The settings: reading them takes a second, and a worker that says nothing so long is thought hung."""

    @classmethod
    def with_settings(cls, settings: Settings) -> AppFactory:
        """Take the settings along."""
        return cls(pickle.dumps(settings))

    def __call__(self) -> Router:
        """Build the application; what is wrong with handlers or rules by now is told, and ends the worker."""
        from sms_router.application import build  # noqa: PLC0415 (slow, as said above)
        from sms_router.errors import ConfigurationError  # noqa: PLC0415

        try:
            return build(pickle.loads(self.pickled))  # noqa: S301 (written by the process that started us)
        except ConfigurationError as error:
            log.error("a worker cannot start: %s", "; ".join(error.mistakes))
            sys.exit(1)
