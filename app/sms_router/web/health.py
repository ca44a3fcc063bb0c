"""A worker's health: why it is degraded, what an operator should know, and the metrics about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sms_router.membership.membership import Membership
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.published_sync import PublishedRulesSync
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.routing.pipeline.event_runner import EventRunner
from sms_router.routing.upstream.circuit_breaker import CircuitState
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.pending import PendingNumbers
from sms_router.store.server_check import StoreMonitor
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.web import metrics
from sms_router.web.metrics import FailureMetrics, PoolMetrics, UpstreamMetrics
from sms_router.web.rejections import RejectionLog

UPDATE_INTERVAL = 1.0
"""Seconds between two updates: the /metrics of one worker reports the last values of all of them."""


@dataclass(frozen=True, slots=True)
class HealthMonitor:
    """Reads the state of a worker's parts."""

    store: Store
    clock: ServerClock
    opt_outs: OptOutSync
    contacts: Contacts
    spool: Spool
    membership: Membership
    pending: PendingNumbers
    failures: FailureMonitor
    forwarder: Forwarder
    reloader: Reloader
    published_rules: PublishedRulesSync
    events: EventRunner
    rejections: RejectionLog
    store_monitor: StoreMonitor
    pool_metrics: PoolMetrics = field(default_factory=PoolMetrics)
    failure_metrics: FailureMetrics = field(default_factory=FailureMetrics)
    upstream_metrics: UpstreamMetrics = field(default_factory=UpstreamMetrics)

    def degraded_reasons(self) -> list[str]:
        """Return why the worker is degraded; empty while it is healthy."""
        reasons = [*self.reloader.errors(), *self.published_rules.errors()]
        if self.store.error is not None:
            reasons.append(f"Redis is not available: {self.store.error}")
        reasons += self.store_monitor.sentences(errors=True)
        if self.spool.size:
            reasons.append(f"{_entries(self.spool.size)} waiting in the spool")
        if self.spool.dropped:
            reasons.append(f"{_entries(self.spool.dropped)} lost")
        for status in self.membership.statuses():
            if status.age is None:
                why = status.failure or "Twilio has not been read yet"
                reasons.append(f"the senders of {status.service_sid} are not known: {why}")
            elif status.stale:
                why = status.failure or "another worker refreshes them and fails"
                reasons.append(f"the senders of {status.service_sid} are {status.age:.0f} s old: {why}")
        reasons += [
            f"upstream {upstream.name} is not called, because it keeps failing ({upstream.last_failure})"
            for upstream in self.forwarder.statuses()
            if upstream.state is not CircuitState.CLOSED
        ]
        return reasons

    def notices(self) -> list[str]:
        """Return what an operator should know even while the worker is healthy."""
        suspected = self.contacts.suspected
        texts = "1 text" if suspected == 1 else f"{suspected} texts"
        decision = f"{texts} may be meant as an opt-out; decide: sms-router opt-outs list --suspected"
        return [
            *([decision] if suspected else ()),
            *self.published_rules.notices(),
            *self.store_monitor.sentences(errors=False),
            *self.clock.notices(),
            *self.opt_outs.notices(),
            *self.membership.cordons.notices(),
            *self.pending.notices(),
            *map(str, self.failures.failing()),
            *self.events.notices(),
            *self.rejections.notices(),
        ]

    def update_metrics(self) -> None:
        """Write the current state into this process's metrics."""
        metrics.flush()
        metrics.CONFIGURATION_REFUSED.set(bool(self.reloader.errors() or self.published_rules.errors()))
        metrics.STORE_UP.set(self.store.error is None)
        metrics.SPOOLED.set(self.spool.size)
        metrics.SPOOL_LOST.set(self.spool.dropped)
        metrics.CORDONED.set(len(self.membership.cordons.active))
        metrics.SUSPECTED.set(self.contacts.suspected)
        metrics.EVENT_LAG.set(self.events.lag)
        metrics.PENDING.set(len(self.pending.numbers))
        self.failure_metrics.update(self.failures)
        self.pool_metrics.update(self.membership.statuses())
        self.upstream_metrics.update(self.forwarder.statuses())

    async def update(self) -> None:
        """Synchronise the clock with Redis, then update the metrics; called every `UPDATE_INTERVAL`."""
        await self.clock.sync()
        await self.contacts.count_suspected()
        self.update_metrics()


def _entries(count: int) -> str:
    return "1 journal entry is" if count == 1 else f"{count} journal entries are"
