"""Connections that hang up, send no HTTP or never end do not disturb a running router."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from urllib.parse import urlencode

import psutil
import pytest

from loadtests.hostile.connections import KINDS
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import PUBLIC, RouterProcess, signature, webhook

RESET = struct.pack("ii", 1, 0)


def signed_request() -> bytes:
    """Return the bytes of a signed webhook."""
    parameters = webhook()
    body = urlencode(parameters).encode()
    head = (
        "POST /sms HTTP/1.1\r\nHost: sms.example.com\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nX-Twilio-Signature: {signature(f'{PUBLIC}/sms', parameters)}\r\n\r\n"
    )
    return head.encode() + body


def connect(router: RouterProcess, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", router.port), timeout=30)
    connection.sendall(sent)
    return connection


async def test_clients_that_reset_the_connection_leave_nothing_in_the_log(start_router: StartRouter) -> None:
    router = start_router()
    for _ in range(200):
        with connect(router, signed_request()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await asyncio.sleep(0)
    assert (await router.deliver(webhook())).status == 200
    assert router.stop() == 0
    assert "Traceback" not in router.log


async def test_requests_that_are_not_http_do_not_fill_the_log(start_router: StartRouter) -> None:
    router = start_router()
    before = len(router.log.splitlines())
    upgrade = b"GET /sms HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    for sent in (b"\x16\x03\x01 garbage\r\n\r\n", upgrade) * 50:
        with connect(router, sent) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert (await router.deliver(webhook())).status == 200
    assert len(router.log.splitlines()) - before < 10


async def test_endless_headers_are_refused_while_other_messages_are_answered(
    start_router: StartRouter,
) -> None:
    router = start_router()
    with connect(router, b"POST /sms HTTP/1.1\r\nHost: x\r\nX-Long: ") as connection:
        sent = 0
        try:
            while sent < 10_000_000:
                sent += connection.send(b"a" * 100_000)
        except ConnectionError:
            pass
        assert sent < 10_000_000
        assert (await router.deliver(webhook())).status == 200


async def test_hostile_connections_of_all_kinds_hold_little_memory_and_messages_are_answered(
    start_router: StartRouter,
) -> None:
    router = start_router()
    await router.deliver(webhook())
    assert router.process is not None
    worker = psutil.Process(router.process.pid)
    before = worker.memory_info().rss
    with contextlib.ExitStack() as opened:
        for kind in [*KINDS.values()] * 30:
            connection = opened.enter_context(connect(router))
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.send(kind.opening)
            if kind.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                connection.close()
        assert (await router.deliver(webhook())).status == 200
        assert worker.memory_info().rss - before < 40_000_000
    assert (await router.deliver(webhook())).status == 200


@pytest.mark.slow
async def test_an_idle_connection_is_closed_after_the_configured_time(start_router: StartRouter) -> None:
    router = start_router("[server]\nkeep_alive = 1\n")
    with connect(router, signed_request()) as connection:
        received = b""
        while data := await asyncio.to_thread(connection.recv, 65_536):
            received += data
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" not in received.lower()
