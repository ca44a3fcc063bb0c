"""Twilio's requests for URLs that are not here: said in the log, for they lose a text each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from starlette.types import Scope

from app.visible import visible
from app.web import metrics

log = logging.getLogger("sms_router.web")

SECONDS_BETWEEN = 10.0
"""Between two sentences; whoever can reach the port could fill the log otherwise."""

LONGEST_PATH = 100
"""Characters that are shown of a path."""


class Lost:
    """Watches requests that found no route, and tells of those that call themselves Twilio's.

    A slash too many at Twilio, or a proxy that passes on a prefix that it should cut off, is a 404 for
    every text: the signature is never looked at, so nothing else would speak of it.
    """

    def __init__(self, webhooks: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        """Take the paths that there are; ``clock`` gives seconds."""
        self._webhooks = ", ".join(webhooks)
        self._clock = clock
        self._quiet_until = clock()

    def saw(self, scope: Scope) -> None:
        """Count a request, and tell of it unless one was told of just now."""
        if not any(name == b"x-twilio-signature" for name, _ in scope["headers"]):
            return
        metrics.REFUSED.labels("not found").inc()
        now = self._clock()
        if now < self._quiet_until:
            return
        self._quiet_until = now + SECONDS_BETWEEN
        log.warning(
            "a request with Twilio's signature is for %s, which is not here (404): the webhooks are %s; "
            "mend the URL at Twilio, or let the proxy cut off its prefix",
            visible(scope["path"][:LONGEST_PATH]).replace("\n", "\\n"),
            self._webhooks,
        )
