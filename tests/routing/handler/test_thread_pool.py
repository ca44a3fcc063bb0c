"""The threads of plain handlers."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest

from sms_router.routing.handler.thread_pool import WAITING_FOR_EACH, HandlerThreadPool, QueueFullError


async def test_a_function_runs_in_a_thread_that_does_not_keep_the_process() -> None:
    def where() -> threading.Thread:
        return threading.current_thread()

    thread = await HandlerThreadPool(1).run(where)
    assert isinstance(thread, threading.Thread)
    assert thread is not threading.main_thread()
    assert thread.daemon


async def test_no_more_threads_than_allowed_are_started() -> None:
    threads, all_there = HandlerThreadPool(3), threading.Barrier(3)

    def meet() -> int:
        all_there.wait(5)
        return threading.get_ident()

    assert len({await each for each in [asyncio.create_task(threads.run(meet)) for _ in range(9)]}) == 3


async def test_a_blocked_function_does_not_stop_another_one() -> None:
    threads, released = HandlerThreadPool(2), threading.Event()
    blocked = asyncio.create_task(threads.run(lambda: released.wait(5)))
    assert await threads.run(lambda: "done") == "done"
    assert not blocked.done()
    released.set()
    assert await blocked is True


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_what_a_function_raises_arrives(error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await HandlerThreadPool(1).run(fail)
    assert caught.value is error


async def test_a_stop_iteration_arrives_too() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await HandlerThreadPool(1).run(lambda: next(iter(())))


async def test_context_variables_are_those_of_the_caller() -> None:
    name = ContextVar("name", default="nobody")
    name.set("Ada")
    assert await HandlerThreadPool(1).run(name.get) == "Ada"


async def test_too_many_waiting_calls_are_refused_and_room_comes_back() -> None:
    threads, released = HandlerThreadPool(1), threading.Event()
    running = [
        asyncio.create_task(threads.run(lambda: released.wait(5))) for _ in range(1 + WAITING_FOR_EACH)
    ]
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await threads.run(lambda: None)
    released.set()
    await asyncio.gather(*running)
    assert await threads.run(lambda: "room") == "room"


async def test_closing_drops_what_has_not_begun() -> None:
    threads, began, released = HandlerThreadPool(1), threading.Event(), threading.Event()

    def hold() -> str:
        began.set()
        released.wait(5)
        return "held"

    first = asyncio.create_task(threads.run(hold))
    second = asyncio.create_task(threads.run(lambda: "never"))
    await asyncio.to_thread(began.wait, 5)
    threads.close()
    released.set()
    assert await first == "held"
    with pytest.raises(asyncio.CancelledError):
        await second
