"""An offline Twilio: REST API, phones, carriers."""

from app.sandbox.application import create_sandbox
from app.sandbox.loading import load_world
from app.sandbox.tables import WorldError
from app.sandbox.world import World

__all__ = ["World", "WorldError", "create_sandbox", "load_world"]
