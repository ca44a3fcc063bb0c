"""The metrics of several workers together, while they run and after one has ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.upstream.circuit_breaker import CircuitState
from sms_router.routing.upstream.endpoint import EndpointStatus
from sms_router.web.metrics import (
    RECEIPTS,
    MultiprocessCollector,
    UpstreamMetrics,
    count_answer,
    count_receipt,
    flush,
    observe_stage,
)

WORKER = """
import sys
from sms_router.web import metrics

metrics.STORE_UP.set(int(sys.argv[1]))
metrics.SPOOLED.set(int(sys.argv[2]))
metrics.SPOOL_LOST.set(int(sys.argv[2]))
metrics.POOL_SIZE.labels("MG1").set(int(sys.argv[2]))
metrics.MESSAGES.labels("reply").inc()
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def worker(folder: Path, store_up: int, entries: int, *, elsewhere: bool = False) -> Iterator[None]:
    """Run a process that has set its figures; ``elsewhere`` starts it outside our process group."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(store_up), str(entries)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=elsewhere,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()


@pytest.fixture
def figures(tmp_path: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(MultiprocessCollector(tmp_path))
    return registry


def reported(figures: CollectorRegistry) -> tuple[float | None, ...]:
    """Return whether the store is up, what is spooled, what was lost, and the messages."""
    return (
        figures.get_sample_value("sms_router_store_up"),
        figures.get_sample_value("sms_router_spooled_entries"),
        figures.get_sample_value("sms_router_spool_lost_entries"),
        figures.get_sample_value("sms_router_messages_total", {"outcome": "reply"}),
    )


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_buffered_observations_are_exported_by_a_flush() -> None:
    """By outcome, and with each amount in its bucket: the bounds belong to the lower one."""
    flush()  # what other tests of this process have counted
    before = counted("sms_router_messages_total", outcome="late")
    total, sum_ = counted("sms_router_answer_seconds_count"), counted("sms_router_answer_seconds_sum")
    for seconds in (0.25, 0.5, 20.0):
        count_answer(Outcome.LATE, seconds)
    for seconds in (0.0005, 0.001, 0.0011, 99.0):
        observe_stage("of a test", seconds)
    flush()
    assert counted("sms_router_messages_total", outcome="late") == before + 3
    assert counted("sms_router_answer_seconds_count") == total + 3
    assert counted("sms_router_answer_seconds_sum") == sum_ + 20.75
    assert counted("sms_router_stage_seconds_bucket", stage="of a test", le="0.0005") == 1
    assert counted("sms_router_stage_seconds_bucket", stage="of a test", le="0.001") == 2
    assert counted("sms_router_stage_seconds_bucket", stage="of a test", le="+Inf") == 4
    flush()
    assert counted("sms_router_answer_seconds_count") == total + 3


def test_the_buffer_is_flushed_when_it_is_full() -> None:
    before = counted("sms_router_stage_seconds_count", stage="of a flood")
    for _ in range(1000):
        observe_stage("of a flood", 0.1)
    assert counted("sms_router_stage_seconds_count", stage="of a flood") == before + 1000


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_series_from_the_start(outcome: Outcome) -> None:
    assert REGISTRY.get_sample_value("sms_router_messages_total", {"outcome": outcome.value}) is not None


def test_counters_of_a_dead_worker_stay_and_its_live_gauges_go(
    tmp_path: Path, figures: CollectorRegistry
) -> None:
    with worker(tmp_path, 1, 2):
        with worker(tmp_path, 0, 5):
            assert reported(figures) == (0, 7, 7, 2)
        assert reported(figures) == (1, 2, 7, 2)
        assert figures.get_sample_value("sms_router_pool_senders", {"service": "MG1"}) == 2
    assert reported(figures) == (None, None, 7, 2)


def test_a_process_of_another_group_is_not_a_worker(tmp_path: Path, figures: CollectorRegistry) -> None:
    with worker(tmp_path, 1, 2), worker(tmp_path, 0, 5, elsewhere=True):
        assert reported(figures) == (1, 2, 7, 2)


def test_upstreams_are_labelled_up_to_a_bound() -> None:
    figures = UpstreamMetrics()
    lines = [
        EndpointStatus(
            f"http://test-{number}", CircuitState.OPEN if number else CircuitState.CLOSED, 5, 2, 1, None
        )
        for number in range(205)
    ]
    figures.update(lines)
    figures.update([replace(lines[0], calls=7, state=CircuitState.HALF_OPEN), *lines[1:]])
    figures.update([replace(line, state=CircuitState.CLOSED) for line in lines[1:]])
    figures.update([replace(lines[0], calls=1, failures=0, short_circuited=0)])

    def value(name: str, upstream: str) -> float | None:
        return REGISTRY.get_sample_value(f"sms_router_upstream_{name}", {"upstream": upstream})

    assert value("calls_total", "http://test-0") == 8
    assert value("failures_total", "http://test-0") == 2
    assert value("held_back_total", "http://test-0") == 1
    assert value("open", "http://test-1") == 0
    assert (value("calls_total", "others"), value("open", "others")) == (25, 0)
    assert value("calls_total", "http://test-201") is None


def test_error_codes_are_labelled_up_to_a_bound() -> None:
    for number in range(520):
        count_receipt("failed", 700_000_000 + number)
    reported = {sample.labels["code"] for metric in RECEIPTS.collect() for sample in metric.samples}
    assert "700000000" in reported
    assert "others" in reported
    assert len(reported) <= 501
