"""What goes wrong between us and Redis."""


class StoreUnavailableError(Exception):
    """Redis cannot be asked now: down, frozen, full, or still loading. The caller works from memory."""
