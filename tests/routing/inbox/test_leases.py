"""What is logged when the event loop was late."""

from __future__ import annotations

import asyncio
import time

import pytest

from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.inbox.leases import LeaseRenewer, describe_lag
from tests.routing.messages import message
from tests.routing.workers import Worker

INTERVAL = 0.1


@pytest.mark.parametrize(
    ("lag", "cpu_seconds", "handlers", "sentence"),
    [
        (2.04, 0.0, ["balance"],
         "the event loop was late by 2.0 s while balance ran, and every message waited; an async handler "
         "that blocks must be a plain function, which runs in a thread"),
        (2.0, 1.9, ["a", "b"], "the event loop was late by 2.0 s while a, b ran, and every message waited;"),
        (2.0, 0.2, [],
         "the event loop was late by 2.0 s and no async handler ran: the process had too little processor "
         "time, or was suspended"),
        (2.0, 1.5, [],
         "the event loop was late by 2.0 s and no async handler ran: the router itself computed for 1.5 s"),
    ],
)  # fmt: skip
def test_a_late_loop_is_described_by_what_was_observed(
    lag: float, cpu_seconds: float, handlers: list[str], sentence: str
) -> None:
    assert describe_lag(lag, cpu_seconds, handlers).startswith(sentence)


def test_a_handler_counts_while_it_runs_and_after_its_end() -> None:
    now = [10.0]
    running = RunningHandlers(lambda: now[0])
    assert running.since(0) == []
    with running.run("balance"), running.run("hours"):
        assert running.since(99) == ["balance", "hours"]
        now[0] = 12.0
    assert running.since(12.0) == ["balance", "hours"]
    assert running.since(12.1) == []


async def blocking() -> None:
    time.sleep(1)  # noqa: ASYNC251 (the mistake that is reported)


def in_a_thread() -> None:
    time.sleep(1)


async def renew_while(work: object, one: Worker, running: RunningHandlers) -> None:
    renewer = LeaseRenewer(one.store, b"owner", 3 * INTERVAL, running)
    renewer.start()
    await asyncio.sleep(0)
    assert callable(work)
    result = work()
    if result is not None:
        await result
    await asyncio.sleep(3 * INTERVAL)
    await renewer.aclose()


async def test_a_handler_that_blocks_is_named(one: Worker, caplog: pytest.LogCaptureFixture) -> None:
    running = RunningHandlers()
    pool = HandlerThreadPool(1)
    handler = Handler.of(blocking, HandlerEnvironment(pool, running=running))
    await renew_while(lambda: handler(message("x"), "", "X"), one, running)
    (line,) = [text for text in caplog.messages if "event loop" in text]
    assert "while blocking ran, and every message waited" in line
    pool.close()


async def test_a_loop_that_is_late_without_a_handler_blames_none(
    one: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    running = RunningHandlers()
    pool = HandlerThreadPool(1)
    plain = Handler.of(in_a_thread, HandlerEnvironment(pool, running=running))
    call = asyncio.create_task(plain(message("x"), "", "X"))
    await renew_while(lambda: time.sleep(1), one, running)
    await call
    (line,) = [text for text in caplog.messages if "event loop" in text]
    assert "no async handler ran: the process had too little processor time, or was suspended" in line
    pool.close()
