"""What goes wrong between us and Redis."""


class StoreUnavailableError(Exception):
    """Redis cannot be asked now: down, frozen, full, or still loading. The caller works from memory."""


class ScriptFailedError(StoreUnavailableError):
    """Redis serves, but this one script run failed on what it found; running it again would not help."""
