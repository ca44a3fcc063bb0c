"""What parts of a worker count for themselves, put into its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sms_router.membership.service_state import ServiceStatus
from sms_router.routing.contacts.receipt_analysis import UNKNOWN_CODE
from sms_router.routing.upstream.circuit_breaker import State
from sms_router.routing.upstream.endpoint import EndpointStatus
from sms_router.senders.error_table import ErrorClass
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.web.metrics import (
    FAILING,
    FAILURE_SHARE,
    POOL_AGE,
    POOL_FAILURES,
    POOL_REFRESHES,
    POOL_SIZE,
    POOL_STALE,
    POOL_STALE_SERVES,
    POOL_VERSION,
    UPSTREAM_CALLS,
    UPSTREAM_FAILURES,
    UPSTREAM_HELD_BACK,
    UPSTREAM_OPEN,
)

MOST_UPSTREAMS = 200
"""Upstreams with figures of their own; numbers may name thousands, and the rest count as "others"."""


class FailureMetrics:
    """Puts what receipts tell of each number into this process's metrics."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, str]] = set()

    def update(self, failures: FailureMonitor) -> None:
        """Show these shares; what has lost nothing lately is shown as 0."""
        shares = {(each.error_class, each.sender): each.share for each in failures.shares()}
        for labels in self._shown | shares.keys():
            FAILURE_SHARE.labels(*labels).set(shares.get(labels, 0.0))
        self._shown = set(shares)
        failing = Counter(each.error_class for each in failures.failing())
        for fault in (*ErrorClass, UNKNOWN_CODE):
            FAILING.labels(str(fault)).set(failing[str(fault)])


class PoolMetrics:
    """Puts what the membership counts for itself into this process's metrics."""

    def __init__(self) -> None:
        self._counted: dict[str, ServiceStatus] = {}

    def update(self, statuses: Iterable[ServiceStatus]) -> None:
        """Show these statuses; counters grow by what is new since the last ones."""
        for status in statuses:
            service = status.service_sid
            if status.age is not None and status.version is not None:
                POOL_AGE.labels(service).set(status.age)
                POOL_VERSION.labels(service).set(status.version)
            POOL_SIZE.labels(service).set(status.size)
            POOL_STALE.labels(service).set(status.stale)
            before = self._counted.get(service)
            POOL_REFRESHES.labels(service).inc(status.refreshes - (before.refreshes if before else 0))
            POOL_FAILURES.labels(service).inc(status.failures - (before.failures if before else 0))
            POOL_STALE_SERVES.labels(service).inc(
                status.stale_serves - (before.stale_serves if before else 0)
            )
            self._counted[service] = status


class UpstreamMetrics:
    """Puts what the lines to the upstreams count for themselves into this process's metrics."""

    def __init__(self) -> None:
        self._counted: dict[str, EndpointStatus] = {}
        self._named: set[str] = set()

    def update(self, statuses: Iterable[EndpointStatus]) -> None:
        """Show these statuses; counters grow by what is new since the last ones."""
        open_ones = dict.fromkeys(self._named, 0)
        counted = {}
        for status in statuses:
            name = self._name(status.name)
            open_ones[name] = max(open_ones.get(name, 0), status.state is not State.CLOSED)
            before = self._counted.get(status.name)
            if before is None or before.calls > status.calls:
                before = EndpointStatus(status.name, State.CLOSED, 0, 0, 0, None)
            UPSTREAM_CALLS.labels(name).inc(status.calls - before.calls)
            UPSTREAM_FAILURES.labels(name).inc(status.failures - before.failures)
            UPSTREAM_HELD_BACK.labels(name).inc(status.short_circuited - before.short_circuited)
            counted[status.name] = status
        self._counted = counted
        for name, is_open in open_ones.items():
            UPSTREAM_OPEN.labels(name).set(is_open)

    def _name(self, name: str) -> str:
        name = name if name in self._named or len(self._named) < MOST_UPSTREAMS else "others"
        self._named.add(name)
        return name
