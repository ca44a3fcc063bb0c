"""How a worker is: why it is degraded, what an operator should know of, and its metrics."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from sms_router.membership.membership import Membership
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.upstream.circuit_breaker import State
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.pending import PendingNumbers
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.web import metrics
from sms_router.web.metrics_collectors import FailureMetrics, PoolMetrics, UpstreamMetrics
from sms_router.web.rejections import RejectionLog

log = logging.getLogger("sms_router")

OBSERVE_EVERY = 1.0
"""Seconds between two looks at it: any worker's /metrics tells what all of them last saw."""


@dataclass(frozen=True, slots=True)
class HealthMonitor:
    """What is looked at to tell how a worker is."""

    store: Store
    clock: ServerClock
    spool: Spool
    membership: Membership
    pending: PendingNumbers
    failures: FailureMonitor
    upstreams: Forwarder
    reloader: Reloader
    refusals: RejectionLog
    pool_figures: PoolMetrics
    failure_figures: FailureMetrics = field(default_factory=FailureMetrics)
    upstream_figures: UpstreamMetrics = field(default_factory=UpstreamMetrics)

    def degraded_reasons(self) -> list[str]:
        """Say why the worker is degraded; empty while it is well."""
        reasons = self.reloader.errors()
        if self.store.error is not None:
            reasons.append(f"Redis does not serve: {self.store.error}")
        if self.spool.size:
            reasons.append(f"{_entries(self.spool.size)} waiting in the spool")
        if self.spool.dropped:
            reasons.append(f"{_entries(self.spool.dropped)} lost")
        for status in self.membership.statuses():
            if status.age is None:
                why = status.failure or "Twilio was not read yet"
                reasons.append(f"the senders of {status.service_sid} are not known: {why}")
            elif status.stale:
                why = status.failure or "another worker reads them, and fails"
                reasons.append(f"the senders of {status.service_sid} are {status.age:.0f} s old: {why}")
        reasons += [
            f"{line.name} is not called, since it keeps failing ({line.trouble})"
            for line in self.upstreams.statuses()
            if line.state is not State.CLOSED
        ]
        return reasons

    def notices(self) -> list[str]:
        """Say what an operator should know of, though the router is well."""
        return [
            *self.clock.notices(),
            *self.membership.cordons.notices(),
            *self.pending.notices(),
            *map(str, self.failures.failing()),
            *self.refusals.notices(),
        ]

    def update_metrics(self) -> None:
        """Bring the metrics up to date."""
        metrics.flush()
        metrics.CONFIGURATION_REFUSED.set(bool(self.reloader.errors()))
        metrics.STORE_UP.set(self.store.error is None)
        metrics.SPOOLED.set(self.spool.size)
        metrics.SPOOL_LOST.set(self.spool.dropped)
        metrics.CORDONED.set(len(self.membership.cordons.active))
        metrics.PENDING.set(len(self.pending.numbers))
        self.failure_figures.update(self.failures)
        self.pool_figures.update(self.membership.statuses())
        self.upstream_figures.update(self.upstreams.statuses())

    async def keep_updating(self) -> None:
        """Bring the metrics up to date from time to time, and the clock; until cancelled."""
        while True:
            try:
                await self.clock.ask()
                self.update_metrics()
            except Exception:
                log.exception("the metrics could not be brought up to date; trying again")
            await asyncio.sleep(OBSERVE_EVERY)


def _entries(count: int) -> str:
    return "1 journal entry is" if count == 1 else f"{count} journal entries are"
