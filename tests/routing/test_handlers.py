"""Keyword functions: how they are inspected and called."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from app import InboundMessage, Reply
from app.routing.handlers import ARGUMENTS, Handler, HandlerError
from app.routing.replies import SILENCE
from app.routing.threads import Threads
from tests.routing.messages import message

THREADS = Threads(2)


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


@pytest.mark.parametrize(
    ("function", "told"),
    [
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
