"""Webhooks that were refused, for those who ask why people get no answer."""

from __future__ import annotations

from collections.abc import Callable

from sms_router.web import metrics

FORGET_AFTER = 600.0
"""Seconds without a refusal, after which the earlier ones are not spoken of any more."""


class RejectionLog:
    """Counts what one worker refuses, and keeps why the latest was.

    A wrong token or URL refuses every text, while the router is as well as ever: this is what tells.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds."""
        self._clock = clock
        self._count = 0
        self._first = self._last = 0.0
        self._latest = ""
        self._explained: dict[str, str] = {}

    def count(self, word: str) -> None:
        """Count a refusal by the word for its reason."""
        metrics.REFUSED.labels(word).inc()
        now = self._clock()
        if now - self._last > FORGET_AFTER:
            self._count, self._first = 0, now
        self._count += 1
        self._last, self._latest = now, word

    def record_reason(self, word: str, sentence: str) -> None:
        """Say more about refusals for a reason; there are few reasons, and the latest sentence stays."""
        self._explained[word] = sentence

    def notices(self) -> list[str]:
        """Say how many there were, and why the latest was; nothing when that is long ago."""
        now = self._clock()
        if not self._count or now - self._last > FORGET_AFTER:
            return []
        webhooks = "1 webhook was" if self._count == 1 else f"{self._count} webhooks were"
        why = self._explained.get(self._latest, self._latest)
        since, last = _span(now - self._first), _span(now - self._last)
        return [f"{webhooks} refused by this worker in the last {since}, the latest {last} ago: {why}"]


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
