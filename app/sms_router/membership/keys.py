"""Every key of the membership in Redis, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from sms_router.store.keys import PREFIX

POOLS_CHANNEL = f"{PREFIX}:pools"
"""Where a Service's sid is published when something about it was stored or changed."""

CHANGES = f"{PREFIX}:changes"
"""The stream of what operators have changed."""

CORDONS = f"{PREFIX}:{{cordons}}"
"""Senders out of use, by sid."""

CORDONS_VERSION = f"{CORDONS}:version"
"""How often the cordons were changed; missing where Redis has lost them."""

USED = f"{PREFIX}:{{rates}}:used"
"""The senders by when they were last used."""

USAGE = f"{PREFIX}:{{rates}}:usage"
"""What each sender has sent: until when it is busy with it, and how much it was on its last day."""

RECEIVED = f"{PREFIX}:{{failures}}:seen"
"""The stream of what receipts have told of each number, a second of one worker in each entry."""


def warned_key(sender: str, fault: str) -> str:
    """Key that is there while a warning of a number's failures has been said."""
    return f"{PREFIX}:{{failures}}:warned:{sender}:{fault}"


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """The keys of one Service; they share a hash tag, so that one script may touch them."""

    snapshot: str
    mark: str
    """What the snapshot is: version, time of reading, changes before it."""
    changes: str
    """How often the Service was changed; a reading begun before the last change is no good."""
    turn: str
    """There while somebody reads Twilio."""
    failures: str
    """Readings that failed one after the other, of all workers."""

    @classmethod
    def of(cls, service_sid: str) -> PoolKeys:
        """Return the keys of a Service."""
        base = f"{PREFIX}:pool:{{{service_sid}}}"
        return cls(base, f"{base}:mark", f"{base}:changes", f"{base}:turn", f"{base}:failures")
