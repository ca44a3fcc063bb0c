"""The pool in which plain handlers run."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from sms_router.routing.handler.thread_pool import HandlerThreadPool, QueueFullError


async def test_a_function_runs_in_a_daemon_thread() -> None:
    def current() -> threading.Thread:
        return threading.current_thread()

    thread = await HandlerThreadPool(1).run(current)
    assert isinstance(thread, threading.Thread)
    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_no_more_threads_than_allowed_are_started() -> None:
    pool, barrier = HandlerThreadPool(3), threading.Barrier(3)

    def meet() -> int:
        barrier.wait(5)
        return threading.get_ident()

    assert len({await call for call in [asyncio.create_task(pool.run(meet)) for _ in range(9)]}) == 3


async def test_a_blocked_function_does_not_stop_another_one() -> None:
    pool, released = HandlerThreadPool(2), threading.Event()
    blocked = asyncio.create_task(pool.run(lambda: released.wait(5)))
    assert await pool.run(lambda: "done") == "done"
    assert not blocked.done()
    released.set()
    assert await blocked is True


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_an_exception_of_the_function_is_raised(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await HandlerThreadPool(1).run(fail)
    assert caught.value is error


async def test_a_stop_iteration_is_raised_as_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await HandlerThreadPool(1).run(lambda: next(iter(())))


async def test_a_function_has_the_context_variables_of_the_caller() -> None:
    name = ContextVar("name", default="nobody")
    name.set("Ada")
    assert await HandlerThreadPool(1).run(name.get) == "Ada"


async def test_a_thread_has_64_waiting_calls_and_a_further_one_is_refused() -> None:
    pool, released = HandlerThreadPool(1), threading.Event()
    running = [asyncio.create_task(pool.run(lambda: released.wait(5))) for _ in range(1 + 64)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await pool.run(lambda: None)
    released.set()
    await asyncio.gather(*running)
    assert await pool.run(lambda: "done") == "done"


async def test_closing_cancels_the_waiting_calls() -> None:
    pool, began, released = HandlerThreadPool(1), threading.Event(), threading.Event()

    def hold() -> str:
        began.set()
        released.wait(5)
        return "held"

    first = asyncio.create_task(pool.run(hold))
    second = asyncio.create_task(pool.run(lambda: "never"))
    await asyncio.to_thread(began.wait, 5)
    pool.close()
    released.set()
    assert await first == "held"
    with pytest.raises(asyncio.CancelledError):
        await second
