"""What speaks against senders, for commands: cordons, limits, arrivals, as the routers have stored them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sms_router.cli.context import has_store, store_client
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

_NOW = 5.0
"""Seconds within which a moment is now: rates are known for no other time."""


@dataclass(frozen=True, slots=True)
class StoredConditions:
    """What holds for the senders at one moment."""

    cordons: tuple[Cordon, ...] = ()
    conditions: SenderConditions = NO_CONDITIONS
    rates: RateLimiter | None = None
    """None where nothing is limited, or the moment is not now."""

    def cordon(self, sid: str) -> Cordon | None:
        """Return the cordon of a sender, if it has one."""
        return next((each for each in self.cordons if each.sid == sid), None)


def load_conditions(
    settings: Settings, snapshots: Iterable[Snapshot], at: float | None = None
) -> StoredConditions:
    """Look up what holds at a moment, in seconds since the epoch; nothing before the first start."""
    if not has_store(settings):
        return StoredConditions()
    moment, snapshots = time.time() if at is None else at, tuple(snapshots)
    with store_client(settings) as client:
        cordons = tuple(each for each in stored_cordons(client, moment) if each.since <= moment + 1)
        awaited = _pending(client, snapshots, moment)
        if abs(moment - time.time()) > _NOW:
            return StoredConditions(
                cordons, SenderConditions(cordon_reasons(cordons, moment), pending=awaited)
            )
        rates = RateLimiter(settings.limits, lambda: moment)
        rates.set_senders(sender for snapshot in snapshots for sender in snapshot.senders)
        rates.merge(stored_usage(client, moment))
    conditions = SenderConditions(
        cordon_reasons(cordons, moment), rates.capped(), rates.over_rate(), rates.used, awaited
    )
    return StoredConditions(cordons, conditions, rates if settings.limits else None)


def _pending(client: redis.Redis, snapshots: Iterable[Snapshot], at: float) -> Mapping[str, str]:
    """Return what speaks against numbers on their way, by sid."""
    numbers = [pending_number(each) for each in load_state(client).pending if each.added <= at + 1]
    return pending_reasons(numbers, [snapshot.pool() for snapshot in snapshots]) if numbers else {}
