"""Requests of this worker that wait for a message which another worker answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

MAX_NOTIFICATIONS = 1_000
"""Notifications that are kept; each is of use for one round trip to Redis."""


class AnswerWaiters:
    """Who waits for which message, and which messages were lately published as answered."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._last_notification: OrderedDict[str, int] = OrderedDict()
        self.notifications = 0
        """How many notifications have arrived."""

    def __len__(self) -> int:
        """How many messages are waited for."""
        return len(self._waiting)

    async def wait(self, reference: str, seconds: float) -> None:
        """Wait for a notification about a message, ``seconds`` at most."""
        notified: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(reference, set())
        waiting.add(notified)
        try:
            await asyncio.wait({notified}, timeout=seconds)
        finally:
            waiting.discard(notified)
            if not waiting and self._waiting.get(reference) is waiting:
                del self._waiting[reference]

    def wake(self, reference: str) -> None:
        """Wake all who wait for a message."""
        self.notifications += 1
        self._last_notification[reference] = self.notifications
        self._last_notification.move_to_end(reference)
        if len(self._last_notification) > MAX_NOTIFICATIONS:
            self._last_notification.popitem(last=False)
        for notified in self._waiting.pop(reference, ()):
            if not notified.done():
                notified.set_result(None)

    def notified_since(self, reference: str, notifications: int) -> bool:
        """Return whether a notification about a message has come after the first ``notifications``."""
        return self._last_notification.get(reference, 0) > notifications
