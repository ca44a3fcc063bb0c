"""The Prometheus metrics, all of them.

What every message counts is buffered in lists and passed to prometheus_client once a second, or before the
metrics are read: one call for each would take ten times as long. A killed worker loses that second.

Several workers keep their metrics in files of one folder, and each of them reports the sum: counters include
those of dead workers, gauges are of living workers only.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from sms_router.membership.service_state import ServiceStatus
from sms_router.routing.contacts.receipt_analysis import UNKNOWN_CODE
from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.upstream.circuit_breaker import CircuitState
from sms_router.routing.upstream.endpoint import EndpointStatus
from sms_router.senders.error_table import ErrorClass
from sms_router.senders.failure_monitor import FailureMonitor

_highest = partial(Gauge, multiprocess_mode="livemax")
"""Of several workers the highest value is reported."""
_newest = partial(Gauge, multiprocess_mode="livemostrecent")
"""Of several workers the value that was set last is reported."""

MESSAGES = Counter("sms_router_messages_total", "Webhook requests answered, by outcome.", ["outcome"])
REFUSED = Counter("sms_router_refused_total", "Webhook requests refused, by reason.", ["reason"])
UNSIGNED = Counter(
    "sms_router_would_refuse_total", 'Requests that signature = "warn" let through, by reason.', ["reason"]
)


class _Histogram(Histogram):
    """prometheus_client's histogram, for many observations at once."""

    def observe_all(self, values: Collection[float]) -> None:
        ordered, counted = sorted(values), 0
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):
            within = bisect_right(ordered, bound)
            bucket.inc(within - counted)
            counted = within
        self._sum.inc(sum(values))


SECONDS = _Histogram(
    "sms_router_answer_seconds",
    "Time from the arrival of a webhook to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 15),
)
STAGES = _Histogram(
    "sms_router_stage_seconds",
    "Time that messages wait: for Redis scripts by name, and for Twilio's API (rest).",
    ["stage"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
SECOND_ANSWERS = Counter(
    "sms_router_second_answers_total",
    "Messages that two workers answered differently while Redis was away.",
)
MISSED = Counter(
    "sms_router_missed_messages_total",
    "Messages in Twilio's log whose webhook never came, by what became of them.",
    ["result"],
)
RECEIPTS = Counter(
    "sms_router_receipts_total", "Status callbacks, by status and error code.", ["status", "code"]
)
FAULTS = Counter(
    "sms_router_faults_total",
    "Messages that were not delivered, by error class and sender; unknown: a code not in the error table.",
    ["class", "sender"],
)
OUTGOING = Counter(
    "sms_router_outgoing_total",
    "Messages sent by REST, by kind of reply and result.",
    ["kind", "result"],
)
EVENTS = Counter(
    "sms_router_events_total",
    "Events of handlers with @on, by kind and result.",
    ["kind", "result"],
)
EVENT_LAG = _highest("sms_router_event_lag_seconds", "How long the last event has waited for its handlers.")
RELOADS = Counter("sms_router_reloads_total", "Reloads of the configuration, by outcome.", ["outcome"])
CONFIGURATION_REFUSED = _highest(
    "sms_router_configuration_refused",
    "1 while the configuration on disk is refused and an earlier one is in use.",
)
STORE_UP = Gauge("sms_router_store_up", "1 while Redis is available.", multiprocess_mode="livemin")
SPOOLED = Gauge(
    "sms_router_spooled_entries", "Journal entries in the spool on disk.", multiprocess_mode="livesum"
)
SPOOL_LOST = Gauge("sms_router_spool_lost_entries", "Journal entries lost.", multiprocess_mode="sum")
CORDONED = _newest("sms_router_cordoned_senders", "Senders that an operator has cordoned.")
SUSPECTED = _newest(
    "sms_router_suspected_texts", "Contacts whose texts may be meant as an opt-out and wait for a decision."
)
PENDING = _newest(
    "sms_router_pending_numbers", "Numbers in onboarding, which are not used before they are live."
)
FAILURE_SHARE = _highest(
    "sms_router_failure_share",
    "Share of a number's recent messages that were not delivered, 0 to 1, by error class.",
    ["class", "sender"],
)
FAILING = _highest(
    "sms_router_failing_senders", "Numbers whose failure share is above the limit, by error class.", ["class"]
)
POOL_AGE = _highest(
    "sms_router_pool_age_seconds",
    "Age of a Sender Pool since it was last read from Twilio; the highest of the workers.",
    ["service"],
)
POOL_VERSION = Gauge(
    "sms_router_pool_version",
    "Version of a Sender Pool; the lowest of the workers.",
    ["service"],
    multiprocess_mode="livemin",
)
POOL_SIZE = _newest("sms_router_pool_senders", "Senders in a Sender Pool.", ["service"])
POOL_STALE = _highest(
    "sms_router_pool_stale", "1 while a Sender Pool is older than its hard age, or not known.", ["service"]
)
POOL_REFRESHES = Counter(
    "sms_router_pool_refreshes_total", "Refreshes of a Sender Pool that succeeded.", ["service"]
)
POOL_FAILURES = Counter(
    "sms_router_pool_failures_total", "Refreshes of a Sender Pool that failed.", ["service"]
)
POOL_STALE_SERVES = Counter(
    "sms_router_pool_stale_serves_total",
    "Senders selected from a Sender Pool older than its hard age.",
    ["service"],
)

UPSTREAM_OPEN = _highest(
    "sms_router_upstream_open",
    "1 while the circuit breaker of an upstream is open in any worker.",
    ["upstream"],
)
UPSTREAM_CALLS = Counter("sms_router_upstream_calls_total", "Requests to an upstream.", ["upstream"])
UPSTREAM_FAILURES = Counter(
    "sms_router_upstream_failures_total", "Requests to an upstream that failed.", ["upstream"]
)
UPSTREAM_HELD_BACK = Counter(
    "sms_router_upstream_held_back_total",
    "Requests not made because the circuit breaker was open.",
    ["upstream"],
)

MAX_ERROR_CODES = 500
"""Error codes that get a label; status callbacks can have some two hundred."""


class MultiprocessCollector(Collector):
    """The metrics of all workers of this router, added up: the files in PROMETHEUS_MULTIPROC_DIR."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Delete the gauges of workers that have ended, for whatever reason, and read the others."""
        for file in self._folder.glob("gauge_live*.db"):
            if not _is_worker(int(file.stem.rpartition("_")[2])):
                file.unlink(missing_ok=True)  # another worker may delete it at the same time
        metrics: Iterable[Metric] = MultiProcessCollector(None, str(self._folder)).collect()
        return metrics


def registry() -> CollectorRegistry:
    """Return what /metrics reads: the files of all workers when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    of_all = CollectorRegistry()
    of_all.register(MultiprocessCollector(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return of_all


def _is_worker(process_id: int) -> bool:
    """Return whether this is a process of ours: workers share the process group of their supervisor."""
    try:
        return os.getpgid(process_id) == os.getpgrp()
    except OSError:
        return False


MAX_BUFFERED = 1_000
"""Observations of one kind in the buffer."""

_answer_times: defaultdict[Outcome, list[float]] = defaultdict(list)
_stage_times: defaultdict[str, list[float]] = defaultdict(list)
for _outcome in Outcome:
    MESSAGES.labels(_outcome.value)  # rate() misses the first increase of a series that never was 0


def count_answer(outcome: Outcome, seconds: float) -> None:
    times = _answer_times[outcome]
    times.append(seconds)
    if len(times) >= MAX_BUFFERED:
        flush()


def observe_stage(stage: str, seconds: float) -> None:
    times = _stage_times[stage]
    times.append(seconds)
    if len(times) >= MAX_BUFFERED:
        flush()


def flush() -> None:
    """Pass what is buffered to prometheus_client."""
    for outcome, times in _answer_times.items():
        MESSAGES.labels(outcome.value).inc(len(times))
        SECONDS.observe_all(times)
        times.clear()
    for stage, times in _stage_times.items():
        STAGES.labels(stage).observe_all(times)
        times.clear()


_labelled_codes = {""}
"""The error codes that have a label."""


def count_receipt(status: str, code: int | None) -> None:
    label = str(code or "")
    if label not in _labelled_codes:
        if len(_labelled_codes) < MAX_ERROR_CODES:
            _labelled_codes.add(label)
        else:
            label = "others"
    RECEIPTS.labels(status, label).inc()


def count_event(kind: str, result: str) -> None:
    EVENTS.labels(kind, result).inc()


def count_outgoing(kind: str, result: str) -> None:
    OUTGOING.labels(kind, result).inc()


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
        failing = Counts(warning.error_class for warning in failures.failing())
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
