"""Requests of this worker that wait for a message which somebody else answers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

MOST_HEARD = 1_000
"""Messages whose last word is kept; each is of use for one round trip to Redis."""


class AnswerWaiters:
    """Who waits for which message, and which words were heard lately."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._heard: OrderedDict[str, int] = OrderedDict()
        self.notifications = 0
        """How many words were heard so far."""

    def __len__(self) -> int:
        """Return how many messages are waited for."""
        return len(self._waiting)

    async def wait(self, reference: str, seconds: float) -> None:
        """Wait for a word about the message, ``seconds`` at the most."""
        word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(reference, set())
        waiting.add(word)
        try:
            await asyncio.wait({word}, timeout=seconds)
        finally:
            waiting.discard(word)
            if not waiting and self._waiting.get(reference) is waiting:
                del self._waiting[reference]

    def wake(self, reference: str) -> None:
        """Pass the word on to all who wait for it."""
        self.notifications += 1
        self._heard[reference] = self.notifications
        self._heard.move_to_end(reference)
        if len(self._heard) > MOST_HEARD:
            self._heard.popitem(last=False)
        for word in self._waiting.pop(reference, ()):
            if not word.done():
                word.set_result(None)

    def notified_since(self, reference: str, words: int) -> bool:
        """Tell whether a word about the message has come after the first ``words`` of them."""
        return self._heard.get(reference, 0) > words
