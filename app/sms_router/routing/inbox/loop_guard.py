"""The loop guard: two machines that answer each other end up silent (design 9).

Replies to one person are counted in the step that stores them, for all workers and replicas
together; while Redis is away each worker counts for itself.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from sms_router.privacy import mask_number
from sms_router.routing.inbox.answer import Answer
from sms_router.store.keys import bucket_of
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.loop_guard")

MOST_COUNTED = 10_000
"""People whose replies a worker counts while Redis is away."""


class LimitExceeded(NamedTuple):
    """A reply too many: the person is told nothing until they have been quiet for a while."""

    over: int
    """By how many it is too many; 1 is the first that is not sent."""


class RateLimit(NamedTuple):
    """How fast replies may follow each other."""

    replies: int
    milliseconds: int

    @property
    def words(self) -> str:
        """What a person may get, for people."""
        return f"{self.replies} replies in {self.milliseconds / 1000:g} s"


class ReplyCounter(NamedTuple):
    """Where one person's replies are counted, and up to what."""

    key: bytes
    pace: RateLimit


class LoopGuard:
    """Counts replies to people; one in each worker."""

    def __init__(self, replies: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Let ``replies`` go to one person in so many seconds; 0 lets all go. ``clock`` is in seconds."""
        self.pace = RateLimit(replies, int(seconds * 1000))
        self._clock = clock
        self._counted: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def meter(self, scope: str, person: str) -> ReplyCounter | None:
        """Return where a person's replies are counted; None when they are not."""
        if not self.pace.replies:
            return None
        return ReplyCounter(bucket_of(person).pace(scope, person), self.pace)

    def meter_of(self, scope: str, person: str, answer: Answer) -> ReplyCounter | None:
        """Return where an answer is counted; an empty one is not."""
        return self.meter(scope, person) if answer.document is not EMPTY else None

    @property
    def verdict(self) -> str:
        """What the journal says of a reply that is held back."""
        return f"not sent, by the loop guard: {self.pace.words} is what one person gets"

    def log_once(self, person: str, excess: LimitExceeded) -> None:
        """Tell the log, once, that a person gets no more."""
        if excess.over == 1:
            log.warning(
                "loop guard: %s has had %s; no more until they have been quiet for as long",
                mask_number(person),
                self.pace.words,
            )

    def count_locally(self, scope: str, person: str) -> LimitExceeded | None:
        """Count a reply that Redis does not hear of, as the commit script does."""
        now = self._clock()
        count, until = self._counted.pop((scope, person), (0, 0.0))
        if now >= until:
            count = 0
        count += 1
        if count == 1 or count > self.pace.replies:
            until = now + self.pace.milliseconds / 1000
        self._counted[scope, person] = count, until
        if len(self._counted) > MOST_COUNTED:
            self._counted.popitem(last=False)
        return LimitExceeded(count - self.pace.replies) if count > self.pace.replies else None
