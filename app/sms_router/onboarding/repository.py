"""The onboarding checklists in Redis; concurrent changes by two operators are not lost."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from redis import Redis

from sms_router.onboarding.checklist import Checklist, day_of
from sms_router.onboarding.serialization import dump, load_all, load_times
from sms_router.store.keys import CHECKLISTS, POOLS_CHANNEL, TEXTED
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import replace_checklist

RETENTION = 90 * 86_400.0
"""Seconds that finished checklists are stored."""

MAX_ATTEMPTS = 20

Change = Callable[[Checklist | None], Checklist | None]
"""Returns the new checklist of a number, given the stored one; None stands for no checklist."""


class ConflictError(Exception):
    """Another operator changes the same checklist at the same time; nothing was stored."""


@dataclass(frozen=True, slots=True)
class OnboardingState:
    """All checklists, and which of their numbers received messages."""

    checklists: tuple[Checklist, ...] = ()
    texted: dict[str, float] = field(default_factory=dict)
    """When each number first received a message through Twilio, in seconds since the epoch."""

    @property
    def pending(self) -> tuple[Checklist, ...]:
        """The checklists of numbers that are not live yet."""
        return tuple(checklist for checklist in self.checklists if not checklist.is_finished)

    def apply_silence(self, at: float) -> OnboardingState:
        """Return it with `Checklist.apply_silence` applied to every checklist."""
        return replace(self, checklists=tuple(checklist.apply_silence(at) for checklist in self.checklists))

    def find(self, number: str) -> Checklist | None:
        return next((checklist for checklist in self.checklists if checklist.number == number), None)


def load_state(redis: Redis) -> OnboardingState:
    checklists: Any = redis.hgetall(CHECKLISTS)
    texted: Any = redis.hgetall(TEXTED)
    return OnboardingState(load_all(checklists), load_times(texted))


def compare_and_set(redis: Redis, number: str, change: Change) -> Checklist | None:
    """Change the checklist of a number on every worker; return the stored one.

    Args:
        redis: shared by all workers.
        number: of the checklist.
        change: called again when another operator has changed the checklist; its exceptions are raised.

    Raises:
        ConflictError: when another operator was faster each time.

    """
    for _ in range(MAX_ATTEMPTS):
        stored: Any = redis.hget(CHECKLISTS, number)
        before = next(iter(load_all({number.encode(): stored})), None) if stored else None
        after = change(before)
        if after == before:
            return after
        call = replace_checklist(
            number=number,
            expected=stored or b"",
            checklist=dump(after) if after is not None else b"",
            is_finished="1" if after is None or after.is_finished else "0",
        )
        if run_script(redis, call):
            checklist = after or before
            redis.publish(POOLS_CHANNEL, checklist.service_sid if checklist is not None else "")
            return after
    raise ConflictError(number)


def delete_finished(redis: Redis, now: float) -> None:
    """Delete the checklists that were finished longer than `RETENTION` ago; not before a lease is renewed."""
    for checklist in load_state(redis).checklists:
        has_reminder = checklist.renewal is not None and checklist.renewal >= day_of(now)
        if checklist.is_finished and checklist.since + RETENTION < now and not has_reminder:
            with contextlib.suppress(ConflictError):  # it is deleted at the next call
                compare_and_set(redis, checklist.number, lambda _: None)
