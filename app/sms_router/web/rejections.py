"""Webhooks that were refused or that matched no route: counted, and explained to the operator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from sms_router.logs import escape_control_chars
from sms_router.web import metrics

log = logging.getLogger("sms_router.web")

NOTICE_PERIOD = 600.0
"""Seconds without a rejection after which the notice about earlier ones ends."""

NOT_FOUND = "not found"
"""The reason under which requests without a route are counted."""

MAX_LOGGED_PATH = 100
"""Characters of a path in the log."""


class RejectionLog:
    """Counts the requests that this worker refuses, and keeps the explanation of the latest.

    With a wrong token or URL every webhook is refused while the router itself is healthy; `notices` is
    where the operator learns of it. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._count = 0
        self._first_at = self._last_at = 0.0
        self._last_reason = ""
        self._explanations: dict[str, str] = {}

    def count(self, reason: str) -> None:
        """Count a rejection; ``reason`` is one of a few fixed words."""
        metrics.REFUSED.labels(reason).inc()
        now = self.clock()
        if now - self._last_at > NOTICE_PERIOD:
            self._count, self._first_at = 0, now
        self._count += 1
        self._last_at, self._last_reason = now, reason

    def record_reason(self, reason: str, explanation: str) -> None:
        self._explanations[reason] = explanation

    def notices(self) -> list[str]:
        """Return one sentence about recent rejections, or nothing."""
        now = self.clock()
        if not self._count or now - self._last_at > NOTICE_PERIOD:
            return []
        webhooks = "1 webhook was" if self._count == 1 else f"{self._count} webhooks were"
        explanation = self._explanations.get(self._last_reason, self._last_reason)
        period, last = _format_span(now - self._first_at), _format_span(now - self._last_at)
        return [
            f"{webhooks} refused by this worker in the last {period}, the latest {last} ago: {explanation}"
        ]


@dataclass(frozen=True, slots=True)
class UnroutedWebhookLog:
    """Logs requests that match no route and carry Twilio's signature header.

    A wrong path at Twilio, or a proxy that passes on a prefix that it should remove, makes every webhook a
    404. The signature of those is never verified, so nothing else reports them.
    """

    paths: Sequence[str]
    """Those of the webhooks, for the log line."""
    rejections: RejectionLog

    def record(self, scope: Scope) -> None:
        if not any(name == b"x-twilio-signature" for name, _ in scope["headers"]):
            return
        self.rejections.count(NOT_FOUND)
        path = escape_control_chars(scope["path"][:MAX_LOGGED_PATH]).replace("\n", "\\n")
        webhooks = ", ".join(self.paths)
        sentence = (
            f"a request with Twilio's signature header is for {path}, which does not exist here (404): the "
            f"webhooks are {webhooks}; correct the URL at Twilio, or let the proxy remove its prefix"
        )
        log.warning("%s", sentence)
        self.rejections.record_reason(NOT_FOUND, sentence)


def _format_span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
