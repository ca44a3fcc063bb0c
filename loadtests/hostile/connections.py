"""Connections of ten hostile kinds, in a process of their own, and messages to answer meanwhile."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from time import perf_counter
from typing import NamedTuple

import uvloop

from loadtests.bench.traffic import Webhook

HEAD = b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
RESET = struct.pack("ii", 1, 0)

DRIP_INTERVAL = 1.0
ANSWER_TIMEOUT = 15.0


class Kind(NamedTuple):
    """What a connection sends."""

    opening: bytes
    drip: bytes = b""
    """Sent again every `DRIP_INTERVAL`."""
    reads: bool = True
    resets: bool = False
    """Whether the client resets the connection once it has sent the opening."""


KINDS = {
    "nothing": Kind(b""),
    "slow head": Kind(b"POST /sms HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a"),
    "slow body": Kind(HEAD + b"Content-Length: 60000\r\n\r\nBody=", b"a"),
    "63 kB of pipelined requests": Kind((b"GET / HTTP/1.1\r\n\r\n" * 3500)[:63_000]),
    "unread answers": Kind(
        METRICS * 4, METRICS + (HEAD + b"Content-Length: 60000\r\n\r\n" + b"a" * 60_000) * 4, reads=False
    ),
    "a header of 64 kB": Kind(HEAD + b"X-Long: " + b"a" * 65_000, b"a"),
    "5,000 headers": Kind(HEAD + b"a: b\r\n" * 5000),
    "chunks of a byte": Kind(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 10_000, b"1\r\na\r\n"
    ),
    "reset": Kind(HEAD + b"Content-Length: 60000\r\n\r\n" + b"a" * 30_000, resets=True),
    "not HTTP": Kind(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500),
}


@contextmanager
def hostile_connections(port: int, kinds: list[Kind], count: int) -> Iterator[Callable[[], int]]:
    """Hold connections open from another process, in turn of each kind; yield what counts the opened ones."""
    context = multiprocessing.get_context("spawn")
    opened = context.Value("l", 0)
    process = context.Process(target=_run, args=(port, kinds, count, opened), daemon=True)
    process.start()
    try:
        yield lambda: opened.value
    finally:
        process.terminate()
        process.join()


def _run(port: int, kinds: list[Kind], count: int, opened: Synchronized[int]) -> None:
    uvloop.run(_hold_all(port, kinds, count, opened))


async def _hold_all(port: int, kinds: list[Kind], count: int, opened: Synchronized[int]) -> None:
    slots = asyncio.Semaphore(200)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(_hold(port, kinds[number % len(kinds)], slots, opened))
    await asyncio.Event().wait()


async def _hold(port: int, kind: Kind, slots: asyncio.Semaphore, opened: Synchronized[int]) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError), socket.socket() as connection:
        connection.setblocking(False)
        if not kind.reads:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        async with slots:
            await loop.sock_connect(connection, ("127.0.0.1", port))
        opened.value += 1
        await loop.sock_sendall(connection, kind.opening)
        if kind.resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            await asyncio.gather(_drip(connection, kind), _read(connection, kind))


async def _drip(connection: socket.socket, kind: Kind) -> None:
    while kind.drip:
        await asyncio.sleep(DRIP_INTERVAL)
        await asyncio.get_running_loop().sock_sendall(connection, kind.drip)


async def _read(connection: socket.socket, kind: Kind) -> None:
    while kind.reads:
        if not await asyncio.get_running_loop().sock_recv(connection, 65_536):
            raise ConnectionResetError


async def time_messages(port: int, webhooks: Iterator[Webhook], seconds: float) -> tuple[list[float], int]:
    """Send messages, each over a new connection.

    Returns the seconds of each answered message, and the number of the others.
    """
    times: list[float] = []
    unanswered, end = 0, perf_counter() + seconds
    while (began := perf_counter()) < end:
        if await _is_answered(port, next(webhooks)):
            times.append(perf_counter() - began)
        else:
            unanswered += 1
        await asyncio.sleep(0.02)
    return times, unanswered


async def _is_answered(port: int, webhook: Webhook) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(webhook.wire)
                head = await reader.readuntil(b"\r\n\r\n")
                return head.startswith(b"HTTP/1.1 200") and webhook.expected in await reader.read(65_536)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
