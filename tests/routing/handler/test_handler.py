"""Handler functions: how they are inspected, called and wrapped in middlewares."""

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
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler, HandlerTimeoutError, Middleware
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.inspection import HandlerError
from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from tests.routing.messages import message

THREADS = HandlerEnvironment(HandlerThreadPool(2))
CallNext = Callable[[], Awaitable[Reply]]


def handler_of(function: Callable[..., object]) -> Handler:
    return Handler.of(function, THREADS)


async def call(function: Callable[..., object], body: str = "SAY hello there") -> Reply:
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


def no_arguments() -> str:
    return "no arguments"


def with_reply(reply: type[Reply], argument: str) -> Reply:
    return reply(argument)


class Shop:
    """Callables that are no functions."""

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


def with_prefix(prefix: str, argument: str) -> str:
    return f"{prefix} {argument}"


async def with_prefix_async(prefix: str, argument: str) -> str:
    return f"{prefix} {argument}"


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def wrapped_async(function: Callable[..., str]) -> Callable[..., Any]:
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
        (no_arguments, "no arguments"),
        (with_reply, "hello there"),
        (Shop(), "object hello there"),
        (LaterShop(), "async object hello there"),
        (Shop().later, "method hello there"),
        (Shop.of_class, "Shop hello there"),
        (Shop.static, "static hello there"),
        (functools.partial(with_prefix, "prefix"), "prefix hello there"),
        (functools.partial(with_prefix_async, "prefix"), "prefix hello there"),
        (functools.partial(plain, argument="fixed"), "plain fixed"),
        (wrapped(plain), "plain hello there"),
        (wrapped(asynchronous), "async hello there"),
        (wrapped_async(plain), "wrapped plain hello there"),
        (functools.cache(plain), "plain hello there"),
        (lambda argument: argument.upper(), "HELLO THERE"),
    ],
)
async def test_any_callable_is_called_with_the_arguments_that_it_declares(
    function: Callable[..., object], text: str
) -> None:
    assert (await call(function)).text == text


@pytest.mark.parametrize(
    ("function", "is_async"),
    [
        (asynchronous, True),
        (Shop().later, True),
        (LaterShop(), True),
        (functools.partial(with_prefix_async, "said"), True),
        (wrapped_async(plain), True),
        (plain, False),
        (Shop(), False),
        (functools.partial(with_prefix, "said"), False),
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
def test_only_async_functions_run_on_the_event_loop(function: Callable[..., object], is_async: bool) -> None:
    assert handler_of(function).is_async is is_async


async def texts(message: InboundMessage) -> AsyncIterator[str]:
    yield message.body


def text_by_text() -> Iterator[str]:
    yield "one"


def by_position(message: InboundMessage, /) -> None: ...


def misspelled(mesage: InboundMessage) -> None: ...


def blocking(http: aiohttp.ClientSession) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (blocking, "blocking: only an async function can use http; make it one, or use requests"),
        (
            misspelled,
            r"misspelled: the argument 'mesage' is unknown; did you mean message\? A handler may declare"
            " message, words, argument",
        ),
        (by_position, "by_position: message is passed by name; remove the / from the function's arguments"),
        (Shop.later, r"Shop\.later: is a method without its object"),
        (Shop, "Shop: is a class"),
        (texts, "texts: yields; return a Reply with a list of texts instead"),
        (text_by_text, "text_by_text: yields"),
    ],
)
def test_a_function_that_cannot_be_a_handler_is_refused_with_the_reason(
    function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(HandlerError, match=reason):
        handler_of(function)


def test_a_refusal_names_the_function_its_line_and_all_arguments() -> None:
    with pytest.raises(HandlerError) as caught:
        handler_of(misspelled)
    assert f"{__name__}:{misspelled.__code__.co_firstlineno} misspelled" in str(caught.value)
    arguments = "message, words, argument, answer, keyword, log, conversation, contact, reply, http, sms"
    assert f"{arguments}, handler, cancelled" in str(caught.value)


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        (None, SILENCE),
        ("", SILENCE),
        ("text", Reply("text")),
        (Reply(["one", "two"], media=["https://a.example/b.png"]),) * 2,
    ],
)
async def test_a_text_a_reply_or_none_may_be_returned(result: object, reply: Reply) -> None:
    assert await call(lambda: result) == reply


@pytest.mark.parametrize("result", [5, b"text", ["one", "two"], {"text": "a"}, True, Reply])
async def test_any_other_result_is_refused(result: object) -> None:
    with pytest.raises(HandlerError, match="a handler returns a text, a Reply, a Forward, or None"):
        await call(lambda: result)


async def test_an_exception_of_a_handler_is_raised() -> None:
    async def broken() -> None:
        raise LookupError("no balance")

    with pytest.raises(LookupError, match="no balance"):
        await call(broken)


def test_the_logger_has_the_name_of_the_function() -> None:
    assert handler_of(plain).log.name == "handlers.plain"


async def hanging() -> str:
    await asyncio.sleep(3600)
    return "too late"


async def ignoring_cancellation() -> str:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    return "too late"


def hanging_in_a_thread() -> str:
    RELEASED.wait(10)
    return "too late"


RELEASED = threading.Event()


@pytest.mark.parametrize("function", [hanging, ignoring_cancellation, hanging_in_a_thread])
async def test_a_handler_fails_after_its_own_deadline(function: Callable[..., object]) -> None:
    RELEASED.clear()
    handler = dataclasses.replace(handler_of(function), deadline=0.01)
    try:
        with pytest.raises(HandlerTimeoutError, match=r"took longer than its deadline of 0\.01 s"):
            await handler(message("X"), "", "X")
    finally:
        RELEASED.set()


async def test_a_timeout_error_of_the_function_is_not_that_of_the_deadline() -> None:
    async def timing_out() -> None:
        raise TimeoutError("the shop does not answer")

    handler = dataclasses.replace(handler_of(timing_out), deadline=60)
    with pytest.raises(TimeoutError, match="the shop does not answer"):
        await handler(message("X"), "", "X")


def with_middlewares(
    *functions: Callable[..., object], inner: Callable[..., object] = asynchronous
) -> Handler:
    return Handler.of(inner, THREADS, [Middleware.of(function) for function in functions])


async def upper_case(call_next: CallNext) -> Reply:
    reply = await call_next()
    return Reply([text.upper() for text in reply.texts])


async def with_sender(message: InboundMessage, call_next: CallNext) -> str:
    reply = await call_next()
    return f"{reply.texts[0]} for {message.sender}"


async def failing() -> str:
    raise RuntimeError("no balance")


async def catching(call_next: CallNext) -> Reply | str:
    try:
        return await call_next()
    except RuntimeError as error:
        return f"failed ({error})"


async def replacing(call_next: CallNext) -> None:
    """Return no reply, without a call of the handler."""


@pytest.mark.parametrize(
    ("middlewares", "inner", "texts"),
    [
        ((upper_case,), asynchronous, ("ASYNC HELLO",)),
        ((upper_case, with_sender), asynchronous, ("ASYNC HELLO FOR +14155550123",)),
        ((with_sender, upper_case), plain, ("PLAIN HELLO for +14155550123",)),
        ((upper_case, catching), failing, ("FAILED (NO BALANCE)",)),
        ((upper_case, replacing), failing, ()),
    ],
)
async def test_a_middleware_may_act_after_a_handler_instead_of_it_and_on_its_error(
    middlewares: tuple[Callable[..., object], ...], inner: Callable[..., object], texts: tuple[str, ...]
) -> None:
    reply = await with_middlewares(*middlewares, inner=inner)(message("SAY hello"), "hello", "SAY")
    assert reply.texts == texts


async def test_a_middleware_gets_the_timeout_error_of_the_handler() -> None:
    async def handling(call_next: CallNext) -> Reply | str:
        try:
            return await call_next()
        except HandlerTimeoutError:
            return "it takes longer"

    handler = dataclasses.replace(with_middlewares(handling, inner=hanging), deadline=0.01)
    assert (await handler(message("X"), "", "X")).texts == ("it takes longer",)


async def test_context_variables_of_a_middleware_are_set_in_a_thread() -> None:
    shop = contextvars.ContextVar("shop", default="nowhere")

    async def opening(call_next: CallNext) -> Reply:
        shop.set("Main Street")
        return await call_next()

    def where() -> str:
        return shop.get()

    assert (await with_middlewares(opening, inner=where)(message("X"), "", "X")).texts == ("Main Street",)


async def test_a_middleware_must_return_what_a_handler_may() -> None:
    async def counting(call_next: CallNext) -> int:
        return len((await call_next()).texts)

    with pytest.raises(HandlerError, match="counting returned int"):
        await with_middlewares(counting)(message("X"), "", "X")


async def without_call_next() -> None: ...


def plain_middleware(call_next: CallNext) -> None: ...


async def unknown_argument(call_next: CallNext, database: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (without_call_next, "must declare call_next"),
        (plain_middleware, "must be an async function"),
        (unknown_argument, "the argument 'database' is unknown.*call_next"),
    ],
)
def test_a_function_that_cannot_be_a_middleware_is_refused(
    function: Callable[..., object], reason: str
) -> None:
    with pytest.raises(HandlerError, match=reason):
        Middleware.of(function)


@contextlib.asynccontextmanager
async def cookie_server() -> AsyncIterator[str]:
    """Serve a page that sets a cookie and returns whether the request had one."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"a cookie" if b"Cookie:" in request else b"no cookie"
        head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_handlers_share_one_session_without_cookies() -> None:
    sessions = []

    async def fetch(http: aiohttp.ClientSession, argument: str) -> str:
        sessions.append(http)
        async with http.get(argument) as response:
            return await response.text()

    client = HandlerHttpClient()
    environment = HandlerEnvironment(http_client=client)
    handlers = [Handler.of(function, environment) for function in (fetch, fetch)]
    async with cookie_server() as url:
        texts = [(await handler(message("FETCH"), url, "FETCH")).texts for handler in handlers]
    assert texts == [("no cookie",), ("no cookie",)]
    assert sessions[0] is sessions[1]
    assert not sessions[0].closed
    await client.aclose()
    assert sessions[0].closed


async def test_an_unused_client_opens_no_session() -> None:
    await HandlerHttpClient().aclose()
