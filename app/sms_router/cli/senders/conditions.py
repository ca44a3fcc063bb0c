"""The stored conditions of senders: cordons, rate limits, numbers in onboarding."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sms_router.cli.context import has_store
from sms_router.cli.store import store_client
from sms_router.config.settings import Settings
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.sync.cordon_sync import stored_cordons
from sms_router.membership.sync.rate_sync import stored_usage
from sms_router.onboarding.repository import load_state
from sms_router.onboarding.sync import pending_number
from sms_router.senders.cordons import Cordon, cordon_reasons
from sms_router.senders.models import NO_CONDITIONS, SenderConditions
from sms_router.senders.pending import pending_reasons
from sms_router.senders.rate_limits import RateLimiter

if TYPE_CHECKING:
    import redis

_NOW_TOLERANCE = 5.0
"""Seconds within which a time counts as now: rates are stored for no other time."""


@dataclass(frozen=True, slots=True)
class StoredConditions:
    """The conditions of the senders at one time."""

    cordons: tuple[Cordon, ...] = ()
    conditions: SenderConditions = NO_CONDITIONS
    rates: RateLimiter | None = None
    """None when nothing is limited, or the time is not now."""

    def cordon(self, sid: str) -> Cordon | None:
        return next((cordon for cordon in self.cordons if cordon.sid == sid), None)


def load_conditions(
    settings: Settings, snapshots: Iterable[Snapshot], at: float | None = None
) -> StoredConditions:
    """Read the conditions at a time (seconds since the epoch; default: now); none before the first start."""
    if not has_store(settings):
        return StoredConditions()
    moment, snapshots = time.time() if at is None else at, tuple(snapshots)
    with store_client(settings) as client:
        cordons = tuple(cordon for cordon in stored_cordons(client, moment) if cordon.since <= moment + 1)
        pending = _pending_reasons(client, snapshots, moment)
        if abs(moment - time.time()) > _NOW_TOLERANCE:
            return StoredConditions(
                cordons, SenderConditions(cordon_reasons(cordons, moment), pending=pending)
            )
        rates = RateLimiter(settings.limits, lambda: moment)
        rates.set_senders(sender for snapshot in snapshots for sender in snapshot.senders)
        rates.merge(stored_usage(client, moment))
    conditions = SenderConditions(
        cordon_reasons(cordons, moment), rates.capped(), rates.over_rate(), rates.used, pending
    )
    return StoredConditions(cordons, conditions, rates if settings.limits else None)


def _pending_reasons(client: redis.Redis, snapshots: Iterable[Snapshot], at: float) -> Mapping[str, str]:
    """Return by sid why numbers in onboarding are not used."""
    checklists = load_state(client).pending
    numbers = [pending_number(checklist) for checklist in checklists if checklist.added <= at + 1]
    return pending_reasons(numbers, [snapshot.pool() for snapshot in snapshots]) if numbers else {}
