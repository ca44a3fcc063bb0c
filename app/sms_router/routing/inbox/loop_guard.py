"""The loop guard: bounds the replies to one contact, so that two machines do not answer each other for ever.

Replies are counted in the step that stores them, for all workers and replicas together; while Redis does not
serve each worker counts for itself.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from sms_router.privacy import mask_number
from sms_router.store.keys import bucket_of
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.loop_guard")

MAX_LOCAL_COUNTS = 10_000
"""Contacts whose replies a worker counts while Redis does not serve."""


class LimitExceeded(NamedTuple):
    """A reply is not sent, because the contact has had too many."""

    excess: int
    """Replies above the limit; 1 for the first that is not sent."""


class RateLimit(NamedTuple):
    """Replies that one contact gets within a window."""

    replies: int
    milliseconds: int

    def __str__(self) -> str:
        """``8 replies in 30 s``."""
        return f"{self.replies} replies in {self.milliseconds / 1000:g} s"


class ReplyCounter(NamedTuple):
    """The key that counts the replies to one contact, and their limit."""

    key: bytes
    limit: RateLimit


class LoopGuard:
    """Counts the replies to each contact; one in each worker."""

    def __init__(self, replies: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the guard.

        Args:
            replies: to one contact within a window; 0 for no limit.
            seconds: the window's length.
            clock: returns seconds.

        """
        self._limit = RateLimit(replies, int(seconds * 1000))
        self._clock = clock
        self._local_counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def counter_for(self, scope: str, contact: str, document: bytes) -> ReplyCounter | None:
        """Return where an answer is counted; None for an empty answer, and without a limit."""
        if not self._limit.replies or document == EMPTY:
            return None
        return ReplyCounter(bucket_of(contact).reply_count(scope, contact), self._limit)

    @property
    def reason(self) -> str:
        """Why a reply was not sent, for the journal."""
        return f"not sent, by the loop guard: the limit is {self._limit} to one contact"

    def log_once(self, contact: str, exceeded: LimitExceeded) -> None:
        """Log the first reply that is not sent."""
        if exceeded.excess == 1:
            log.warning(
                "loop guard: %s has had %s; no more until a pause of the same length",
                mask_number(contact),
                self._limit,
            )

    def count_locally(self, scope: str, contact: str) -> LimitExceeded | None:
        """Count a reply in this worker's memory, as the scripts do in Redis."""
        now = self._clock()
        count, until = self._local_counts.pop((scope, contact), (0, 0.0))
        if now >= until:
            count = 0
        count += 1
        if count == 1 or count > self._limit.replies:
            until = now + self._limit.milliseconds / 1000
        self._local_counts[scope, contact] = count, until
        if len(self._local_counts) > MAX_LOCAL_COUNTS:
            self._local_counts.popitem(last=False)
        return LimitExceeded(count - self._limit.replies) if count > self._limit.replies else None
