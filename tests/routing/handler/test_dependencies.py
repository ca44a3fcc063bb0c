"""Resources of ``@lifespan``, values of ``@provide`` and of middlewares, and handlers that block."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from types import ModuleType

import pytest

from sms_router import Forward, HandlerInfo, InboundMessage, Reply, keyword, lifespan, provide
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.responders import TemplateResponder, WrappedResponder
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler, Middleware
from sms_router.routing.handler.inspection import HandlerError
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.routing.handler.running_handlers import BlockedLoopError, RunningHandlers, describe_block
from sms_router.routing.keywords.templates import StaticReply
from tests.routing.messages import message

events: list[str] = []


@lifespan("database")
async def open_database() -> AsyncIterator[str]:
    events.append("open")
    yield "database"
    events.append("close")


@lifespan
async def cache(database: str) -> AsyncIterator[str]:
    yield f"cache of {database}"


@provide("session")
async def open_session(database: str, user: str) -> AsyncIterator[str]:
    events.append("begin")
    try:
        yield f"session of {user}"
    except Exception:
        events.append("rollback")
        raise
    events.append("commit")


@provide
def user(argument: str) -> str:
    return argument


@provide
def receipt() -> Iterator[str]:
    events.append(f"thread {threading.current_thread() is not threading.main_thread()}")
    yield "receipt"
    events.append("printed")


@keyword("ORDER")
async def order(session: str, cache: str) -> str:
    events.append("handle")
    return f"{session}, {cache}"


@keyword("PRINT")
def print_receipt(receipt: str) -> str:
    return receipt


@keyword("FAIL")
async def fail(session: str) -> None:
    raise ValueError(session)


@keyword("REFUSED")
async def refused(session: str) -> Reply:
    return Reply("Which?", then="nowhere")


@keyword("PASSED")
async def passed(tenant: str, handler: HandlerInfo) -> str:
    return f"{tenant} {handler.name} {handler.rule}"


async def tenancy(call_next: Callable[..., Awaitable[Reply]]) -> Reply:
    return await call_next(tenant="acme")


def refuse_steps(reply: Reply) -> None:
    if reply.then is not None:
        raise HandlerError("no step")


async def loaded(stack: AsyncExitStack, *middlewares: str) -> dict[str, Handler]:
    """Load the handlers of this module as a worker does, with their resources."""
    events.clear()
    around = (f"{__name__}:tenancy", *middlewares)
    registry = HandlerRegistry.load((__name__,), middlewares=around)
    assert registry.errors == []
    assert registry.environment is not None
    await registry.environment.start(stack)
    stack.push_async_callback(registry.environment.aclose)
    return {spec.words[0]: handler for spec, handler in registry.handlers}


@pytest.mark.parametrize(
    ("word", "result", "expected"),
    [
        ("ORDER", "session of XL, cache of database", ["begin", "handle", "commit"]),
        ("PRINT", "receipt", ["thread True", "printed"]),
        ("FAIL", "session of XL", ["begin", "rollback"]),
        ("REFUSED", "no step", ["begin", "rollback"]),
        ("PASSED", "acme passed PASSED", []),
    ],
)
async def test_a_handler_gets_what_it_declares(word: str, result: str, expected: list[str]) -> None:
    async with AsyncExitStack() as stack:
        handler = (await loaded(stack))[word]
        try:
            reply = await handler(message(word), "XL", word, accept=refuse_steps)
        except (ValueError, HandlerError) as error:
            assert str(error) == result
        else:
            assert reply.texts == (result,)
        assert events == ["open", *expected]
    assert events == ["open", *expected, "close"]


async def test_nothing_is_made_before_the_worker_starts() -> None:
    events.clear()
    handlers = dict(HandlerRegistry.load((__name__,), middlewares=(f"{__name__}:tenancy",)).handlers)
    order = next(handler for spec, handler in handlers.items() if spec.words == ("ORDER",))
    with pytest.raises(HandlerError, match="'database' is not available"):
        await order(message("ORDER"), "XL", "ORDER")
    assert events == []


@pytest.mark.parametrize(
    ("source", "mistake"),
    [
        ("@provide('message')\ndef f(): ...", "the name 'message' is also an argument of every handler"),
        ("@provide('a')\ndef f(): ...\n@provide('a')\ndef g(): ...", "the name 'a' is also at wrong:2 f"),
        ("@lifespan('a')\nasync def f(): return 1", "@lifespan stands above an async function that yields"),
        ("@lifespan('a')\nasync def f(message): yield 1", "the argument 'message' is unknown"),
        ("@provide('a')\ndef f(nothing): ...", "the argument 'nothing' is unknown"),
        (
            "class Depends:\n    pass\n@keyword('A')\ndef f(db=Depends()): ...",
            'db has a Depends(...) of another framework as its default; write @provide("db")',
        ),
        (
            "@keyword('A')\ndef f(words: tuple[str, ...], message: int): ...",
            "message is of the type InboundMessage, not int",
        ),
    ],
)
def test_a_mistake_is_named_when_handlers_are_loaded(
    source: str, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("wrong")
    exec(compile(f"from sms_router import *\n{source}", "wrong.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "wrong", module)
    (error,) = HandlerRegistry.load(("wrong",)).errors
    assert mistake in error


async def test_a_provider_that_swallows_the_error_fails_the_message() -> None:
    environment = HandlerEnvironment()

    async def quiet() -> AsyncIterator[int]:
        with suppress(ValueError):
            yield 1

    async def broken(quiet: int) -> None:
        raise ValueError(quiet)

    assert list(environment.add([("provide", "quiet", quiet)])) == []
    with pytest.raises(HandlerError, match="must raise the error again"):
        await Handler.of(broken, environment)(message("X"), "", "X")


async def test_a_middleware_for_all_stands_around_a_template() -> None:
    async def shout(call_next: Callable[..., Awaitable[Reply]], handler: HandlerInfo, argument: str) -> str:
        reply = await call_next()
        return f"{reply.texts[0].upper()} {handler.rule} {argument}"

    async def broken(call_next: Callable[..., Awaitable[Reply]]) -> str:
        raise ValueError("no database")

    template = TemplateResponder(StaticReply(Reply("9 to 5")), "today", "HOURS")
    environment = HandlerEnvironment()
    for function, expected in (
        (shout, Reply("9 TO 5 hours today")),
        (broken, ReplyFailed("ValueError: no database")),
    ):
        wrapped = WrappedResponder(template, "hours", [Middleware.of(function)], environment)
        assert await wrapped.run(message("HOURS today"), 0.0, ()) == expected


async def test_a_handler_may_have_another_application_reply() -> None:
    async def forward(target: Forward, message: InboundMessage) -> Reply:
        if "broken" in target.url:
            raise HandlerError("it answered 500")
        return Reply(f"{target.url} got {message.body}")

    async def to_the_old_one(argument: str) -> Forward:
        return Forward(argument)

    environment = HandlerEnvironment()
    handler = Handler.of(to_the_old_one, environment)
    with pytest.raises(HandlerError, match="nothing is forwarded here"):
        await handler(message("X"), "https://old.example.com", "X")
    environment.forward = forward
    reply = await handler(message("X"), "https://old.example.com", "X")
    assert reply.texts == ("https://old.example.com got X",)
    with pytest.raises(HandlerError, match="it answered 500"):
        await handler(message("X"), "https://broken.example.com", "X")


async def test_a_plain_function_can_read_that_its_deadline_has_passed() -> None:
    stopped = threading.Event()

    def slow(cancelled: threading.Event) -> None:
        if cancelled.wait(10):
            stopped.set()

    environment = HandlerEnvironment()
    handler = Handler.of(slow, environment)
    with pytest.raises(asyncio.CancelledError):
        call = asyncio.create_task(handler(message("X"), "", "X"))
        await asyncio.sleep(0.05)
        call.cancel()
        await call
    assert await asyncio.to_thread(stopped.wait, 10)
    await environment.aclose()


async def test_a_handler_that_blocks_the_loop_fails_beyond_the_limit() -> None:
    now = 100.0
    environment = HandlerEnvironment(running=RunningHandlers(lambda: now, block_limit=0.5))

    async def blocking(argument: str) -> str:
        nonlocal now
        await asyncio.sleep(0)
        now += float(argument)
        return "done"

    handler = Handler.of(blocking, environment)
    assert (await handler(message("X"), "0.5", "X")).texts == ("done",)
    with pytest.raises(BlockedLoopError, match=r"blocked the event loop for 0\.6 s"):
        await handler(message("X"), "0.6", "X")


async def test_a_handler_that_blocks_is_named_with_its_line_while_it_blocks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sms_router.routing.handler.running_handlers.BLOCKED_AFTER", 0.01)
    running = RunningHandlers()
    running.start()

    async def block() -> None:
        limit = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < limit:
            time.sleep(0.01)  # noqa: ASYNC251 (what is tested)

    with caplog.at_level(logging.ERROR):
        await running.measured("blocking", block())
    running.close()
    assert "the async handler blocking blocks the event loop at " in caplog.messages[0]
    assert "the async handler late blocks the event loop, and" in describe_block("late", 0)
