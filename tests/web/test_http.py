"""Reading a request's body within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive

from sms_router.web.http import Rejection, read_body

DISCONNECT: Message = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def receiving(messages: Iterable[Message], *, at_once: bool) -> Receive:
    """Return a ``receive`` that yields to the event loop before each message, or does not."""
    iterator = iter(messages)

    async def receive() -> Message:
        if not at_once:
            await asyncio.sleep(0)
        return next(iterator)

    return receive


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("messages", "result"),
    [
        ([piece(b"Body=HOURS")], b"Body=HOURS"),
        ([piece(b"")], b""),
        ([{"type": "http.request"}], b""),
        ([piece(b"Body=", more=True), piece(b"HO", more=True), piece(b"URS")], b"Body=HOURS"),
        ([piece(b"x" * 65_536)], b"x" * 65_536),
        ([piece(b"x" * 65_537)], Rejection.TOO_LARGE),
        ([piece(b"x" * 40_000, more=True), piece(b"x" * 25_537, more=True)], Rejection.TOO_LARGE),
        ([DISCONNECT], Rejection.DISCONNECTED),
        ([piece(b"Body=", more=True), DISCONNECT], Rejection.DISCONNECTED),
    ],
)
async def test_the_body_is_read_up_to_64_kb(
    messages: list[Message], result: bytes | Rejection, at_once: bool
) -> None:
    assert await read_body({}, receiving(messages, at_once=at_once)) == result


@pytest.mark.parametrize(
    ("length", "result"),
    [(b"65536", b""), (b"65537", Rejection.TOO_LARGE), (b"9" * 5000, Rejection.TOO_LARGE), (b"-1", b"")],
)
async def test_a_length_that_is_too_large_is_refused_unread(length: bytes, result: bytes | Rejection) -> None:
    assert await read_body({b"content-length": length}, receiving([piece(b"")], at_once=True)) == result


@pytest.mark.parametrize("before", [[], [piece(b"Body=", more=True)]])
async def test_a_body_that_does_not_arrive_is_refused(before: list[Message]) -> None:
    messages = list(before)

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Future()

    assert await read_body({}, receive, seconds=0.01) is Rejection.TOO_SLOW


async def test_a_cancelled_request_ends_its_receive() -> None:
    ended = asyncio.Event()

    async def receive() -> Message:
        try:
            return await asyncio.Future()
        finally:
            ended.set()

    reading = asyncio.create_task(read_body({}, receive))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert ended.is_set()
