"""Which senders may be used now: asked before each choice."""

from __future__ import annotations

import time

from app.senders.conditions import NOTHING_AGAINST, Conditions
from app.senders.cordons import Cordons


class Availability:
    """One worker's view of its senders."""

    def __init__(self, cordons: Cordons) -> None:
        """Take what is asked."""
        self._cordons = cordons

    def conditions(self) -> Conditions:
        """Return what holds at this moment; `NOTHING_AGAINST` itself when nothing does."""
        cordoned = self._cordons.words()
        if not cordoned:
            return NOTHING_AGAINST
        return Conditions(cordoned)


EVERYTHING_AVAILABLE = Availability(Cordons(time.time))
"""For commands and tests that ask of no particular moment."""
