"""Errors of the store."""

from __future__ import annotations

from sms_router.store.slots import Redirection


class StoreUnavailableError(Exception):
    """Redis cannot be used now: down, frozen, full, or still loading. The caller works from memory."""


class EmbeddedError(RuntimeError):
    """The embedded Valkey did not start; the message has the remedy."""


class ScriptFailedError(StoreUnavailableError):
    """Redis serves, but this script failed on the data of its keys; running it again would not help."""


class RedirectedError(StoreUnavailableError):
    """The keys are on another node of the Cluster; nothing was done."""

    def __init__(self, reason: str, redirection: Redirection) -> None:
        super().__init__(reason)
        self.redirection = redirection
