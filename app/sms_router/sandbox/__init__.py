"""An offline Twilio: REST API, phones, carriers.

The world is light to import; ``create_sandbox`` needs an HTTP client and a web framework and is imported
on first use.
"""

from typing import TYPE_CHECKING

from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.world import World

if TYPE_CHECKING:
    from sms_router.sandbox.application import create_sandbox

__all__ = ["World", "create_sandbox", "load_world"]


def __getattr__(name: str) -> object:
    if name != "create_sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sms_router.sandbox.application import create_sandbox  # noqa: PLC0415 (0.4 s that the commands need not pay)

    return create_sandbox
