"""What operators have changed, at Twilio and here: who, when, and what came of it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis import Redis

from sms_router.store.keys import AUDIT_LOG

KEPT = 1000
"""Changes at the least; older ones make room, so that the stream stays small."""


class AuditOutcome(Enum):
    """What came of a change."""

    DONE = "done"
    UNKNOWN = "unknown"
    """No answer came: Twilio may have made it or not."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change, made or attempted."""

    at: float
    """Seconds since the epoch, by Redis' clock."""
    who: str
    """The operating system's user name."""
    service_sid: str
    action: str
    """``add``, ``remove``, ``update``, ``cordon``, ``release`` or ``onboarding``."""
    subject: str
    """The sid that was changed."""
    detail: str
    """What was changed, in words."""
    outcome: AuditOutcome


def current_operator() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
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
    """Keep a change that this user has made, or somebody else whose name is given."""
    told: dict[Any, Any] = {
        "who": who or current_operator(),
        "service": service_sid,
        "action": action,
        "subject": subject,
        "detail": detail,
        "outcome": outcome.value,
    }
    redis.xadd(AUDIT_LOG, told, maxlen=KEPT, approximate=True)


def recent(redis: Redis, limit: int) -> list[AuditEntry]:
    """Return the last changes, the newest first."""
    entries: Any = redis.xrevrange(AUDIT_LOG, count=limit)
    return [_change(reference, _texts(fields)) for reference, fields in entries]


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}


def _change(reference: bytes, told: Mapping[str, str]) -> AuditEntry:
    return AuditEntry(
        at=int(reference.partition(b"-")[0]) / 1000,
        who=told.get("who", ""),
        service_sid=told.get("service", ""),
        action=told.get("action", ""),
        subject=told.get("subject", ""),
        detail=told.get("detail", ""),
        outcome=AuditOutcome(told.get("outcome", AuditOutcome.DONE.value)),
    )
