"""The checklists in Redis, for commands: changed in one step, so that two operators lose nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.serialization import dump, load_all, load_times
from sms_router.store.keys import CHECKLISTS, POOLS_CHANNEL, TEXTED
from sms_router.store.redis_py import run_script
from sms_router.store.scripts.senders import replace_checklist

KEPT = 90 * 86_400.0
"""Seconds that finished checklists are kept, for questions about how long they took."""

_TRIES = 20

Change = Callable[[Checklist | None], Checklist | None]
"""From what is stored of a number to what shall be; None is nothing."""


class ConflictError(Exception):
    """Others keep changing what is stored of a number, so that nothing was stored."""


@dataclass(frozen=True, slots=True)
class OnboardingState:
    """All numbers on their way, and which of them were texted."""

    checklists: tuple[Checklist, ...] = ()
    texted: dict[str, float] = field(default_factory=dict)
    """When each was first texted through Twilio, in seconds since the epoch."""

    @property
    def pending(self) -> tuple[Checklist, ...]:
        """Those that are not live yet."""
        return tuple(each for each in self.checklists if not each.is_finished)

    def find(self, number: str) -> Checklist | None:
        """Return what is known of a number."""
        return next((each for each in self.checklists if each.number == number), None)


def stored_arrivals(redis: Redis) -> OnboardingState:
    """Return what is stored."""
    checklists: Any = redis.hgetall(CHECKLISTS)
    texted: Any = redis.hgetall(TEXTED)
    return OnboardingState(load_all(checklists), load_times(texted))


def compare_and_set(redis: Redis, number: str, how: Change) -> Checklist | None:
    """Change what is stored of one number, and tell every worker; returns what is stored now.

    ``how`` may be called again, with what somebody else has stored meanwhile; what it raises is passed on.

    Raises:
        ContendedError: when somebody else was faster each time.

    """
    for _ in range(_TRIES):
        stored: Any = redis.hget(CHECKLISTS, number)
        before = next(iter(load_all({number.encode(): stored})), None) if stored else None
        after = how(before)
        if after == before:
            return after
        call = replace_checklist(
            number=number,
            expected=stored or b"",
            checklist=dump(after) if after is not None else b"",
            is_finished="1" if after is None or after.is_finished else "0",
        )
        if run_script(redis, call):
            service = after or before
            redis.publish(POOLS_CHANNEL, service.service_sid if service is not None else "")
            return after
    raise ConflictError(number)


def delete_finished(redis: Redis, now: float) -> None:
    """Forget what has been finished for long."""
    for each in stored_arrivals(redis).checklists:
        if each.is_finished and each.since + KEPT < now:
            with contextlib.suppress(ConflictError):  # then it is not forgotten yet
                compare_and_set(redis, each.number, lambda _: None)
