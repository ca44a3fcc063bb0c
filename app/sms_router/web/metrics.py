"""Counters for Prometheus; one place, so that names and labels agree.

What every text counts is kept in lists, and told to the library once a second or before it is asked: by
itself it would take ten times as long for each. A worker that is killed takes that second along.

With several workers each keeps its figures in files of a common folder, and any of them tells all:
counts go on counting what a dead worker counted, gauges are the living ones'.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from sms_router.routing.inbox.answer import Outcome

MESSAGES = Counter("sms_router_messages_total", "Webhook requests answered, by outcome.", ["outcome"])
REFUSED = Counter("sms_router_refused_total", "Webhook requests refused, by reason.", ["reason"])
UNSIGNED = Counter(
    "sms_router_would_refuse_total", 'Requests that signature = "warn" let through, by reason.', ["reason"]
)


class _Histogram(Histogram):
    """The library's, which can be told many amounts at once."""

    def observe_all(self, amounts: Collection[float]) -> None:
        """Count amounts."""
        for index, count in Counts(bisect_left(self._upper_bounds, each) for each in amounts).items():
            self._buckets[index].inc(count)
        self._sum.inc(sum(amounts))


SECONDS = _Histogram(
    "sms_router_answer_seconds",
    "From a webhook's arrival to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 15),
)
STAGES = _Histogram(
    "sms_router_stage_seconds",
    "What a message waits for: the scripts on Redis by their names, and rest, a call of Twilio's API.",
    ["stage"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
RECEIPTS = Counter(
    "sms_router_receipts_total", "Status callbacks, by status and error code.", ["status", "code"]
)
FAULTS = Counter(
    "sms_router_faults_total",
    "Messages that did not arrive, by class of the error and sender; unknown: a code not in the error table.",
    ["class", "sender"],
)
OUTGOING = Counter(
    "sms_router_outgoing_total",
    "Messages that were to leave by REST: from which document, and what became of them.",
    ["kind", "result"],
)
RELOADS = Counter(
    "sms_router_reloads_total", "Times that the configuration was read again, by outcome.", ["outcome"]
)
CONFIGURATION_REFUSED = Gauge(
    "sms_router_configuration_refused",
    "1 while the configuration on disk is refused and an older one is at work.",
    multiprocess_mode="livemax",
)
STORE_UP = Gauge("sms_router_store_up", "1 while Redis serves.", multiprocess_mode="livemin")
SPOOLED = Gauge(
    "sms_router_spooled_entries", "Journal entries that wait on disk.", multiprocess_mode="livesum"
)
SPOOL_LOST = Gauge("sms_router_spool_lost_entries", "Journal entries lost.", multiprocess_mode="sum")
CORDONED = Gauge(
    "sms_router_cordoned_senders",
    "Senders that an operator has taken out of use.",
    multiprocess_mode="livemostrecent",
)
PENDING = Gauge(
    "sms_router_pending_numbers",
    "Numbers on their way in, which are not used before they are live.",
    multiprocess_mode="livemostrecent",
)
FAILURE_SHARE = Gauge(
    "sms_router_failure_share",
    "How much of what a number sends is lost, 0 to 1, by class of the error; of the last receipts.",
    ["class", "sender"],
    multiprocess_mode="livemax",
)
FAILING = Gauge(
    "sms_router_failing_senders",
    "Warnings that hold: numbers that lose too much, by class of the error.",
    ["class"],
    multiprocess_mode="livemax",
)
POOL_AGE = Gauge(
    "sms_router_pool_age_seconds",
    "Since Twilio last confirmed a pool; the oldest of the workers'.",
    ["service"],
    multiprocess_mode="livemax",
)
POOL_VERSION = Gauge(
    "sms_router_pool_version",
    "Version of a pool; the lowest of the workers'.",
    ["service"],
    multiprocess_mode="livemin",
)
POOL_SIZE = Gauge(
    "sms_router_pool_senders", "Senders of a pool.", ["service"], multiprocess_mode="livemostrecent"
)
POOL_STALE = Gauge(
    "sms_router_pool_stale",
    "1 while a pool is older than its hard age, or not known at all.",
    ["service"],
    multiprocess_mode="livemax",
)
POOL_REFRESHES = Counter("sms_router_pool_refreshes_total", "Readings of Twilio that succeeded.", ["service"])
POOL_FAILURES = Counter("sms_router_pool_failures_total", "Readings of Twilio that failed.", ["service"])
POOL_STALE_SERVES = Counter(
    "sms_router_pool_stale_serves_total", "Senders chosen from a pool older than its hard age.", ["service"]
)

UPSTREAM_OPEN = Gauge(
    "sms_router_upstream_open",
    "1 while an upstream keeps failing and is not called; of any worker.",
    ["upstream"],
    multiprocess_mode="livemax",
)
UPSTREAM_CALLS = Counter("sms_router_upstream_calls_total", "Documents asked of an upstream.", ["upstream"])
UPSTREAM_FAILURES = Counter(
    "sms_router_upstream_failures_total", "Documents that an upstream did not give.", ["upstream"]
)
UPSTREAM_HELD_BACK = Counter(
    "sms_router_upstream_held_back_total", "Calls not made because the upstream keeps failing.", ["upstream"]
)

MOST_CODES = 500
"""Error codes with figures of their own; Twilio has some two hundred that a status callback can bring."""


class MultiprocessCollector(Collector):
    """The figures of all workers of this router, added up."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is where the workers keep them: PROMETHEUS_MULTIPROC_DIR."""
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Forget the gauges of workers that are gone, however they went, and read the others'."""
        for file in self._folder.glob("gauge_live*.db"):
            if not _is_a_worker(int(file.stem.rpartition("_")[2])):
                file.unlink(missing_ok=True)  # another worker may be forgetting it too
        figures: Iterable[Metric] = MultiProcessCollector(None, str(self._folder)).collect()
        return figures


def _is_a_worker(process: int) -> bool:
    """Say whether a process of ours has this id: workers share a process group with who started them."""
    try:
        return os.getpgid(process) == os.getpgrp()
    except OSError:
        return False


MOST_UNTOLD = 1_000
"""Amounts of one kind that wait to be told."""

_answers: defaultdict[Outcome, list[float]] = defaultdict(list)
_stages: defaultdict[str, list[float]] = defaultdict(list)
for _outcome in Outcome:
    MESSAGES.labels(_outcome.value)  # a figure that nobody has seen at 0 does not show its first rise


def count_answer(outcome: Outcome, seconds: float) -> None:
    """Count one answered request, and how long its answer has taken."""
    _count(_answers[outcome], seconds)


def observe_stage(stage: str, seconds: float) -> None:
    """Count how long one stage has taken."""
    _count(_stages[stage], seconds)


def _count(amounts: list[float], seconds: float) -> None:
    amounts.append(seconds)
    if len(amounts) >= MOST_UNTOLD:
        flush()


def flush() -> None:
    """Tell the library what was counted since the last time."""
    for outcome, amounts in _answers.items():
        MESSAGES.labels(outcome.value).inc(len(amounts))
        SECONDS.observe_all(amounts)
        amounts.clear()
    for stage, amounts in _stages.items():
        STAGES.labels(stage).observe_all(amounts)
        amounts.clear()


_CODES = {""}
"""The error codes that have figures of their own."""


def count_receipt(status: str, code: int | None) -> None:
    """Count one status callback."""
    name = str(code or "")
    if name not in _CODES:
        if len(_CODES) < MOST_CODES:
            _CODES.add(name)
        else:
            name = "others"
    RECEIPTS.labels(status, name).inc()


def count_outgoing(kind: str, result: str) -> None:
    """Count one message of the outbox."""
    OUTGOING.labels(kind, result).inc()
