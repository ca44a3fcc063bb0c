"""The onboarding checklists in Redis, as JSON; concurrent changes by two operators are not lost."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from redis import Redis

from sms_router.onboarding.checklist import Checklist, HistoryAction, HistoryEntry, day_of
from sms_router.onboarding.documents import DocumentKind, RecordedDocument
from sms_router.onboarding.steps import OnboardingKind
from sms_router.store.keys import CHECKLISTS, POOLS_CHANNEL, TEXTED
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import replace_checklist

log = logging.getLogger("sms_router.onboarding")

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


def dump(checklist: Checklist) -> bytes:
    value = {
        "number": checklist.number,
        "kind": checklist.kind.value,
        "country": checklist.country,
        "service": checklist.service_sid,
        "added": checklist.added,
        "since": checklist.since,
        "done": sorted(checklist.done),
        "expected": checklist.expected.isoformat() if checklist.expected is not None else None,
        "request": checklist.request_sid,
        "rejected": checklist.rejected,
        "no_calls": checklist.has_no_calls,
        "documents": [
            [document.kind.value, document.day.isoformat(), document.name, document.address]
            for document in checklist.documents
        ],
        "renewal": checklist.renewal.isoformat() if checklist.renewal is not None else None,
        "history": [[entry.at, entry.who, entry.action.value, entry.detail] for entry in checklist.history],
    }
    return json.dumps(value, sort_keys=True).encode()


def load(stored: bytes) -> Checklist:
    """Decode a checklist.

    Raises:
        ValueError: when it is malformed.

    """
    try:
        value = json.loads(stored)
        return Checklist(
            number=str(value["number"]),
            kind=OnboardingKind(value["kind"]),
            country=str(value["country"]),
            service_sid=str(value["service"]),
            added=float(value["added"]),
            since=float(value["since"]),
            done=frozenset(map(str, value["done"])),
            expected=date.fromisoformat(value["expected"]) if value["expected"] else None,
            request_sid=value["request"],
            rejected=value["rejected"],
            has_no_calls=bool(value.get("no_calls", False)),
            documents=tuple(
                RecordedDocument(DocumentKind(kind), date.fromisoformat(day), name, address)
                for kind, day, name, address in value.get("documents", ())
            ),
            renewal=date.fromisoformat(value["renewal"]) if value.get("renewal") else None,
            history=tuple(
                HistoryEntry(float(at), who, HistoryAction(action), detail)
                for at, who, action, detail in value["history"]
            ),
        )
    except (TypeError, KeyError) as error:
        raise ValueError("the checklist is malformed") from error


def load_all(stored: Mapping[bytes, bytes]) -> tuple[Checklist, ...]:
    """Decode stored checklists in the order of their numbers; malformed ones are logged and left out."""
    checklists = []
    for number, value in sorted(stored.items()):
        try:
            checklists.append(load(value))
        except ValueError:
            log.error("a stored checklist cannot be read: %s", number.decode("utf-8", "replace"))
    return tuple(checklists)


def load_times(stored: Mapping[bytes, bytes]) -> dict[str, float]:
    """Decode when numbers first received a message; malformed times are logged and left out."""
    times = {}
    for number, at in stored.items():
        try:
            times[number.decode("utf-8", "replace")] = float(at)
        except ValueError:
            log.error("a stored time cannot be read: %s", number.decode("utf-8", "replace"))
    return times
