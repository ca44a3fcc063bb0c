"""Keyword functions: how they are inspected and called."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from sms_router import InboundMessage, Reply
from sms_router.routing.handler.handler import (
    ARGUMENTS,
    Handler,
    HandlerError,
    HandlerTimeoutError,
    Middleware,
)
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from tests.routing.messages import message

THREADS = HandlerThreadPool(2)
CallNext = Callable[[], Awaitable[Reply]]


def handler_of(function: Callable[..., object]) -> Handler:
    return Handler.of(function, THREADS)


async def answer_of(function: Callable[..., object], body: str = "SAY hello there") -> Reply:
    return await handler_of(function)(message(body), "hello there", "SAY")


async def asynchronous(argument: str) -> str:
    return f"async {argument}"


def plain(argument: str) -> str:
    return f"plain {argument}"


def keyword_only(*, argument: str) -> str:
    return argument


def with_defaults(argument: str, unknown: int = 5, *more: object, **named: object) -> str:
    return f"{argument} {unknown} {more} {named}"


def everything(message: InboundMessage, words: object, argument: str, keyword: str, log: object) -> str:
    return f"{message.sender} {words} {argument} {keyword} {isinstance(log, logging.Logger)}"


def nothing() -> str:
    return "nothing asked"


def with_reply(reply: type[Reply], argument: str) -> Reply:
    return reply(argument)


class Shop:
    """Things that can be called and are not functions."""

    def __call__(self, argument: str) -> str:
        return f"object {argument}"

    async def later(self, argument: str) -> str:
        return f"method {argument}"

    @classmethod
    def of_class(cls, argument: str) -> str:
        return f"{cls.__name__} {argument}"

    @staticmethod
    def static(argument: str) -> str:
        return f"static {argument}"


class LaterShop:
    async def __call__(self, argument: str) -> str:
        return f"async object {argument}"


def settled(prefix: str, argument: str) -> str:
    return f"{prefix} {argument}"


async def settled_later(prefix: str, argument: str) -> str:
    return f"{prefix} {argument}"


def plainly_wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def asynchronously_wrapped(function: Callable[..., str]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> str:
        return f"wrapped {function(*args, **kwargs)}"

    return wrapper


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (asynchronous, "async hello there"),
        (plain, "plain hello there"),
        (keyword_only, "hello there"),
        (with_defaults, "hello there 5 () {}"),
        (everything, "+14155550123 ('SAY', 'hello', 'there') hello there SAY True"),
        (nothing, "nothing asked"),
        (with_reply, "hello there"),
        (Shop(), "object hello there"),
        (LaterShop(), "async object hello there"),
        (Shop().later, "method hello there"),
        (Shop.of_class, "Shop hello there"),
        (Shop.static, "static hello there"),
        (functools.partial(settled, "said"), "said hello there"),
        (functools.partial(settled_later, "said"), "said hello there"),
        (functools.partial(plain, argument="fixed"), "plain fixed"),
        (plainly_wrapped(plain), "plain hello there"),
        (plainly_wrapped(asynchronous), "async hello there"),
        (asynchronously_wrapped(plain), "wrapped plain hello there"),
        (functools.cache(plain), "plain hello there"),
        (lambda argument: argument.upper(), "HELLO THERE"),
    ],
)
async def test_whatever_can_be_called_is_called_with_what_it_declares(
    function: Callable[..., object], text: str
) -> None:
    assert (await answer_of(function)).text == text


@pytest.mark.parametrize(
    ("function", "on_the_loop"),
    [
        (asynchronous, True),
        (Shop().later, True),
        (LaterShop(), True),
        (functools.partial(settled_later, "said"), True),
        (asynchronously_wrapped(plain), True),
        (plain, False),
        (Shop(), False),
        (functools.partial(settled, "said"), False),
    ],
    ids=[
        "async function",
        "async method",
        "object called async",
        "partial of an async function",
        "async wrapper",
        "function",
        "object",
        "partial",
    ],
)
def test_only_async_functions_run_on_the_loop(function: Callable[..., object], on_the_loop: bool) -> None:
    assert handler_of(function).plain is not on_the_loop


async def texts(message: InboundMessage) -> AsyncIterator[str]:
    yield message.body


def text_by_text() -> Iterator[str]:
    yield "one"


def by_place(message: InboundMessage, /) -> None: ...


def misspelt(mesage: InboundMessage) -> None: ...


def blocking(http: aiohttp.ClientSession) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (blocking, "blocking: http is awaited; make it an async function, or bring requests"),
        (misspelt, "misspelt: nothing is known as 'mesage'; a handler may declare message, words, argument"),
        (by_place, "by_place: message must be taken by its name; remove the / from the function's arguments"),
        (Shop.later, r"Shop\.later: is a method without its object"),
        (Shop, "Shop: is a class"),
        (texts, "texts: yields; return a Reply with a list of texts instead"),
        (text_by_text, "text_by_text: yields"),
    ],
)
def test_a_function_that_cannot_answer_is_refused_by_name(function: Callable[..., object], told: str) -> None:
    with pytest.raises(HandlerError, match=told):
        handler_of(function)


def test_a_refused_function_is_told_with_its_line_and_every_name_there_is() -> None:
    with pytest.raises(HandlerError) as caught:
        handler_of(misspelt)
    assert f"{__name__}:{misspelt.__code__.co_firstlineno} misspelt" in str(caught.value)
    assert ", ".join(ARGUMENTS) in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (None, SILENCE),
        ("", SILENCE),
        ("text", Reply("text")),
        (Reply(["one", "two"], media=["https://a.example/b.png"]),) * 2,
    ],
)
async def test_a_text_a_reply_or_nothing_is_an_answer(answer: object, reply: Reply) -> None:
    assert await answer_of(lambda: answer) == reply


@pytest.mark.parametrize("answer", [5, b"text", ["one", "two"], {"text": "a"}, True, Reply])
async def test_anything_else_is_not(answer: object) -> None:
    with pytest.raises(HandlerError, match="a handler returns a text, a Reply, or nothing"):
        await answer_of(lambda: answer)


async def test_what_a_handler_raises_is_not_hidden() -> None:
    async def broken() -> None:
        raise LookupError("no balance")

    with pytest.raises(LookupError, match="no balance"):
        await answer_of(broken)


def test_the_logger_bears_the_functions_name() -> None:
    assert handler_of(plain).log.name == "handlers.plain"


async def hanging() -> str:
    await asyncio.sleep(3600)
    return "too late"


async def stubborn() -> str:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    return "too late"


def hanging_in_a_thread() -> str:
    LET_GO.wait(10)
    return "too late"


LET_GO = threading.Event()


@pytest.mark.parametrize("function", [hanging, stubborn, hanging_in_a_thread])
async def test_after_its_own_deadline_a_handler_has_failed(function: Callable[..., object]) -> None:
    LET_GO.clear()
    handler = dataclasses.replace(handler_of(function), deadline=0.01)
    try:
        with pytest.raises(HandlerTimeoutError, match=r"took longer than its deadline of 0\.01 s"):
            await handler(message("X"), "", "X")
    finally:
        LET_GO.set()


async def test_a_timeout_of_the_handlers_own_is_not_taken_for_its_deadline() -> None:
    async def impatient() -> None:
        raise TimeoutError("the shop does not answer")

    handler = dataclasses.replace(handler_of(impatient), deadline=60)
    with pytest.raises(TimeoutError, match="the shop does not answer"):
        await handler(message("X"), "", "X")


def around(*functions: Callable[..., object], inner: Callable[..., object] = asynchronous) -> Handler:
    return Handler.of(inner, THREADS, [Middleware.of(function) for function in functions])


async def shouting(call_next: CallNext) -> Reply:
    reply = await call_next()
    return Reply([text.upper() for text in reply.texts])


async def signing(message: InboundMessage, call_next: CallNext) -> str:
    reply = await call_next()
    return f"{reply.texts[0]} for {message.sender}"


async def closed() -> str:
    raise RuntimeError("the shop burns")


async def comforting(call_next: CallNext) -> Reply | str:
    try:
        return await call_next()
    except RuntimeError as error:
        return f"soon again ({error})"


async def barring(call_next: CallNext) -> None:
    """Say nothing, and let nobody else say anything."""


@pytest.mark.parametrize(
    ("middlewares", "inner", "texts"),
    [
        ((shouting,), asynchronous, ("ASYNC HELLO",)),
        ((shouting, signing), asynchronous, ("ASYNC HELLO FOR +14155550123",)),
        ((signing, shouting), plain, ("PLAIN HELLO for +14155550123",)),
        ((shouting, comforting), closed, ("SOON AGAIN (THE SHOP BURNS)",)),
        ((shouting, barring), closed, ()),
    ],
)
async def test_middlewares_act_before_after_instead_and_on_errors(
    middlewares: tuple[Callable[..., object], ...], inner: Callable[..., object], texts: tuple[str, ...]
) -> None:
    reply = await around(*middlewares, inner=inner)(message("SAY hello"), "hello", "SAY")
    assert reply.texts == texts


async def test_a_middleware_sees_that_the_deadline_has_passed() -> None:
    async def counting(call_next: CallNext) -> Reply | str:
        try:
            return await call_next()
        except HandlerTimeoutError:
            return "it takes its time"

    handler = dataclasses.replace(around(counting, inner=hanging), deadline=0.01)
    assert (await handler(message("X"), "", "X")).texts == ("it takes its time",)


async def test_what_a_middleware_sets_in_the_context_is_there_in_a_thread_too() -> None:
    shop = contextvars.ContextVar("shop", default="nowhere")

    async def opening(call_next: CallNext) -> Reply:
        shop.set("Main Street")
        return await call_next()

    def where() -> str:
        return shop.get()

    assert (await around(opening, inner=where)(message("X"), "", "X")).texts == ("Main Street",)


async def test_a_middleware_must_answer_as_a_handler_does() -> None:
    async def counting(call_next: CallNext) -> int:
        return len((await call_next()).texts)

    with pytest.raises(HandlerError, match="counting returned int"):
        await around(counting)(message("X"), "", "X")


async def lonely() -> None: ...


def unhurried(call_next: CallNext) -> None: ...


async def greedy(call_next: CallNext, database: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lonely, "declares call_next"),
        (unhurried, "is an async function"),
        (greedy, "nothing is known as 'database'.*call_next"),
    ],
)
def test_what_is_no_middleware_is_told(function: Callable[..., object], told: str) -> None:
    with pytest.raises(HandlerError, match=told):
        Middleware.of(function)


@contextlib.asynccontextmanager
async def greeter() -> AsyncIterator[str]:
    """Serve a greeting and a cookie; what was asked is in the greeting."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        body = b"a cookie came" if b"Cookie:" in asked else b"hello"
        head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_handlers_share_one_session_that_keeps_no_cookies() -> None:
    sessions = []

    async def ask(http: aiohttp.ClientSession, argument: str) -> str:
        sessions.append(http)
        async with http.get(argument) as response:
            return await response.text()

    connections = HandlerHttpClient()
    asked = [Handler.of(function, THREADS, (), connections) for function in (ask, ask)]
    async with greeter() as url:
        answers = [(await handler(message("ASK"), url, "ASK")).texts for handler in asked]
    assert answers == [("hello",), ("hello",)]
    assert sessions[0] is sessions[1]
    assert not sessions[0].closed
    await connections.aclose()
    assert sessions[0].closed


async def test_a_session_that_nobody_asked_for_is_never_opened() -> None:
    await HandlerHttpClient().aclose()
