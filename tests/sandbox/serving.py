"""Ports that servers of the tests use, or nobody."""

import socket

from app.sandbox.hosting import hosted as serving

__all__ = ["closed_port", "serving"]


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
