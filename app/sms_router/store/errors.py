"""What goes wrong between us and Redis."""

from __future__ import annotations

from sms_router.store.slots import Redirection


class StoreUnavailableError(Exception):
    """Redis cannot be asked now: down, frozen, full, or still loading. The caller works from memory."""


class EmbeddedError(RuntimeError):
    """The embedded Valkey did not start; the text says what to do."""


class ScriptFailedError(StoreUnavailableError):
    """Redis serves, but this one script run failed on what it found; running it again would not help."""


class RedirectedError(StoreUnavailableError):
    """A node of a Cluster says that the keys are elsewhere; nothing was done."""

    def __init__(self, reason: str, redirection: Redirection) -> None:
        """``redirection`` is where the command belongs."""
        super().__init__(reason)
        self.redirection = redirection
