"""The statuses of Sender Pools, upstreams and failing numbers, written into the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sms_router.membership.service_state import ServiceStatus
from sms_router.routing.contacts.receipt_analysis import UNKNOWN_CODE
from sms_router.routing.upstream.circuit_breaker import CircuitState
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

MAX_UPSTREAMS = 200
"""Upstreams that get a label: numbers may name thousands. The rest are counted as "others"."""


class FailureMetrics:
    """The share of each number's messages that are not delivered."""

    def __init__(self) -> None:
        self._labelled: set[tuple[str, str]] = set()

    def update(self, failures: FailureMonitor) -> None:
        """Set the gauges; a number without recent failures is set to 0."""
        shares = {(share.error_class, share.sender): share.share for share in failures.shares()}
        for labels in self._labelled | shares.keys():
            FAILURE_SHARE.labels(*labels).set(shares.get(labels, 0.0))
        self._labelled = set(shares)
        failing = Counter(warning.error_class for warning in failures.failing())
        for fault in (*ErrorClass, UNKNOWN_CODE):
            FAILING.labels(str(fault)).set(failing[str(fault)])


class PoolMetrics:
    """The age, size and refreshes of each Sender Pool."""

    def __init__(self) -> None:
        self._previous: dict[str, ServiceStatus] = {}

    def update(self, statuses: Iterable[ServiceStatus]) -> None:
        """Set the gauges; counters grow by the difference to the previous statuses."""
        for status in statuses:
            service = status.service_sid
            if status.age is not None and status.version is not None:
                POOL_AGE.labels(service).set(status.age)
                POOL_VERSION.labels(service).set(status.version)
            POOL_SIZE.labels(service).set(status.size)
            POOL_STALE.labels(service).set(status.stale)
            before = self._previous.get(service)
            POOL_REFRESHES.labels(service).inc(status.refreshes - (before.refreshes if before else 0))
            POOL_FAILURES.labels(service).inc(status.failures - (before.failures if before else 0))
            POOL_STALE_SERVES.labels(service).inc(status.stale_uses - (before.stale_uses if before else 0))
            self._previous[service] = status


class UpstreamMetrics:
    """The calls, failures and circuit breaker of each upstream."""

    def __init__(self) -> None:
        self._previous: dict[str, EndpointStatus] = {}
        self._labelled: set[str] = set()

    def update(self, statuses: Iterable[EndpointStatus]) -> None:
        """Set the gauges; counters grow by the difference to the previous statuses."""
        is_open = dict.fromkeys(self._labelled, False)
        current = {}
        for status in statuses:
            label = self._label(status.name)
            is_open[label] = is_open.get(label, False) or status.state is not CircuitState.CLOSED
            before = self._previous.get(status.name)
            if before is None or before.calls > status.calls:
                before = EndpointStatus(status.name, CircuitState.CLOSED, 0, 0, 0, None)
            UPSTREAM_CALLS.labels(label).inc(status.calls - before.calls)
            UPSTREAM_FAILURES.labels(label).inc(status.failures - before.failures)
            UPSTREAM_HELD_BACK.labels(label).inc(status.short_circuited - before.short_circuited)
            current[status.name] = status
        self._previous = current
        for label, state in is_open.items():
            UPSTREAM_OPEN.labels(label).set(state)

    def _label(self, name: str) -> str:
        label = name if name in self._labelled or len(self._labelled) < MAX_UPSTREAMS else "others"
        self._labelled.add(label)
        return label
