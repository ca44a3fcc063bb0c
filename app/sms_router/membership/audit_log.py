"""The audit log: what operators have changed, at Twilio and in the router."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis import Redis

from sms_router.store.keys import AUDIT_LOG

MAX_LENGTH = 1000
"""Entries; older ones are removed."""


class AuditOutcome(Enum):
    """The result of a change."""

    DONE = "done"
    UNKNOWN = "unknown"
    """Twilio did not confirm it: no response, or one that differs from the request."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, made or attempted."""

    at: float
    """Seconds since the epoch, by Redis' clock."""
    who: str
    """User name of the operating system, or ``the console``."""
    service_sid: str
    action: str
    """``add``, ``remove``, ``update``, ``cordon``, ``release`` or ``onboarding``."""
    subject: str
    """The sid that was changed."""
    detail: str
    """The change, in one line."""
    outcome: AuditOutcome


def current_operator() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user of a container may have no name
        return f"user {os.getuid()}"


def record(
    redis: Redis,
    service_sid: str,
    action: str,
    subject: str,
    detail: str,
    outcome: AuditOutcome = AuditOutcome.DONE,
    who: str | None = None,
) -> None:
    """Add a change; ``who`` is the current user by default."""
    fields: dict[Any, Any] = {
        "who": who or current_operator(),
        "service": service_sid,
        "action": action,
        "subject": subject,
        "detail": detail,
        "outcome": outcome.value,
    }
    redis.xadd(AUDIT_LOG, fields, maxlen=MAX_LENGTH, approximate=True)


def recent(redis: Redis, limit: int) -> list[AuditEntry]:
    """Return the last changes, the newest first."""
    entries: Any = redis.xrevrange(AUDIT_LOG, count=limit)
    return [_decode(entry_id, fields) for entry_id, fields in entries]


def _decode(entry_id: bytes, stored: Mapping[bytes, bytes]) -> AuditEntry:
    fields = {name.decode(): value.decode("utf-8", "replace") for name, value in stored.items()}
    return AuditEntry(
        at=int(entry_id.partition(b"-")[0]) / 1000,
        who=fields.get("who", ""),
        service_sid=fields.get("service", ""),
        action=fields.get("action", ""),
        subject=fields.get("subject", ""),
        detail=fields.get("detail", ""),
        outcome=AuditOutcome(fields.get("outcome", AuditOutcome.DONE.value)),
    )
