"""Twilio's requests for URLs that are not here: said in the log, for they lose a text each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from starlette.types import Scope

from sms_router.logs import escape_control_chars
from sms_router.web.rejections import RejectionLog

log = logging.getLogger("sms_router.web")

NOT_FOUND = "not found"
"""The word for it among the reasons of refusals."""

SECONDS_BETWEEN = 10.0
"""Between two sentences; otherwise anybody who can reach the port could fill the log."""

LONGEST_PATH = 100
"""Characters that are shown of a path."""


class UnroutedWebhookLog:
    """Watches requests that found no route, and tells of those that call themselves Twilio's.

    A slash too many at Twilio, or a proxy that passes on a prefix that it should cut off, is a 404 for
    every text: the signature is never looked at, so nothing else would speak of it.
    """

    def __init__(self, webhooks: Sequence[str], refusals: RejectionLog, clock: Callable[[], float]) -> None:
        """Take the paths that there are, and where refusals are counted; ``clock`` gives seconds."""
        self._webhooks = ", ".join(webhooks)
        self._refusals = refusals
        self._clock = clock
        self._quiet_until = clock()

    def record(self, scope: Scope) -> None:
        """Count a request, and tell of it unless one was told of just now."""
        if not any(name == b"x-twilio-signature" for name, _ in scope["headers"]):
            return
        self._refusals.count(NOT_FOUND)
        now = self._clock()
        if now < self._quiet_until:
            return
        self._quiet_until = now + SECONDS_BETWEEN
        path = escape_control_chars(scope["path"][:LONGEST_PATH]).replace("\n", "\\n")
        sentence = (
            f"a request with Twilio's signature is for {path}, which is not here (404): the webhooks are "
            f"{self._webhooks}; mend the URL at Twilio, or let the proxy cut off its prefix"
        )
        log.warning("%s", sentence)
        self._refusals.record_reason(NOT_FOUND, sentence)
