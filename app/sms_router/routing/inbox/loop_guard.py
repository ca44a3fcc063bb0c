"""The loop guard: bounds the replies to one contact, so that two machines do not answer each other for ever.

Replies are counted until there is a quiet gap, in the step that stores them, for all workers and replicas
together. Each worker also counts its own, and holds back what either count does not allow. A reply that Redis
does not count, because it does not serve, has to be within this worker's share of the limit.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from sms_router.privacy import mask_number
from sms_router.store.keys import bucket_of
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.loop_guard")

MAX_LOCAL_COUNTS = 10_000
"""Contacts whose replies a worker counts."""

REPEAT_WEIGHT = 3
"""For how many replies one counts that answers the same text again, or is the default's."""

_EXCEEDED = -1
"""In place of a count: the limit was exceeded, and there was no quiet gap since."""

_NO_REPLIES = (0, b"", 0.0)


@lru_cache(maxsize=1024)
def _digest(text: str) -> bytes:
    return b"%d" % crc32(text.encode("utf-8", "surrogatepass"))


class LimitExceeded(NamedTuple):
    """A reply is not sent, because the contact has had too many."""

    is_first: bool
    """Whether it is the first one that is not sent."""


class ReplyCounter(NamedTuple):
    """How one reply is counted: the key, and the arguments of the scripts (``count_reply.lua``)."""

    key: bytes
    max_replies: bytes
    quiet_ms: bytes
    weight: bytes
    text: bytes
    """Stands for the text that is answered; empty where that is."""


class LoopGuard:
    """Counts the replies to each contact; one in each worker."""

    def __init__(self, replies: int, seconds: float, workers: int = 1) -> None:
        """Create the guard.

        Args:
            replies: to one contact without a quiet gap; 0 for no limit.
            seconds: the length of a quiet gap, in which the contact sends nothing.
            workers: that share the limit while Redis does not serve.

        """
        self._max_replies = replies
        self._share = -(-replies // workers)
        self._quiet_seconds = seconds
        self._limits = b"%d" % replies, b"%d" % (seconds * 1000)
        self.counts: OrderedDict[bytes, tuple[int, bytes, float]] = OrderedDict()
        """This worker's, by key: the count, the last text, and when the quiet gap ends."""

    def counter_for(
        self, scope: str, contact: str, body: str, document: bytes, weight: int = 1
    ) -> ReplyCounter | None:
        """Return how an answer is counted; None for an empty answer, and without a limit."""
        if not self._max_replies or document == EMPTY:
            return None
        text = _digest(body) if body else b""
        key = bucket_of(contact).reply_count(scope, contact)
        max_replies, quiet_ms = self._limits
        return ReplyCounter(key, max_replies, quiet_ms, b"%d" % weight, text)

    @property
    def reason(self) -> str:
        """Why a reply was not sent, for the journal."""
        return f"not sent, by the loop guard: the limit is {self._limit} to one contact"

    @property
    def _limit(self) -> str:
        return f"{self._max_replies} replies without a pause of {self._quiet_seconds:g} s"

    def log_once(self, contact: str, exceeded: LimitExceeded) -> None:
        """Log the first reply that is not sent."""
        if exceeded.is_first:
            log.warning(
                "loop guard: %s has had %s; no more until there is one", mask_number(contact), self._limit
            )

    def count(self, counter: ReplyCounter, now: float, *, is_stored: bool = True) -> LimitExceeded | None:
        """Count a reply in this worker's memory, as the scripts do in Redis.

        Args:
            counter: of the reply.
            now: when its message arrived, in seconds by the monotonic clock.
            is_stored: False where Redis does not count it.

        """
        key, _, _, weight, text = counter
        counts, until = self.counts, now + self._quiet_seconds
        if key not in counts or now >= counts[key][2]:
            count, last = 0, b""
        else:
            count, last, _ = counts[key]
        is_exceeded = not 0 <= count < (self._max_replies if is_stored else self._share)
        counted = REPEAT_WEIGHT if text and text == last else int(weight)
        counts[key] = _EXCEEDED if is_exceeded else count + counted, text, until
        if len(counts) > MAX_LOCAL_COUNTS:
            counts.popitem(last=False)  # the first key of a dict is found slowly after many deletions
        return LimitExceeded(is_first=count >= 0) if is_exceeded else None

    def exceeds_share(self, counter: ReplyCounter) -> LimitExceeded | None:
        """Check the reply that was counted last, if Redis has then not counted it."""
        count, text, until = self.counts.get(counter.key, _NO_REPLIES)
        if 0 <= count <= self._share:
            return None
        self.counts[counter.key] = _EXCEEDED, text, until
        return LimitExceeded(is_first=True)

    def may_exceed(self, counter: ReplyCounter) -> bool:
        """Return whether this worker's count may not allow a reply."""
        return not 0 <= self.counts.get(counter.key, _NO_REPLIES)[0] < self._share

    def mark_exceeded(self, counter: ReplyCounter, now: float) -> None:
        """Take over that the count of all workers has exceeded the limit."""
        self.counts[counter.key] = _EXCEEDED, counter.text, now + self._quiet_seconds
