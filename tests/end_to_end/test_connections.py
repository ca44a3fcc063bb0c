"""What strangers on the port can do to a running router: nothing that its texts would notice."""

from __future__ import annotations

import asyncio
import socket
import struct
from urllib.parse import urlencode

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import PUBLIC, RouterProcess, signature, webhook

RESET = struct.pack("ii", 1, 0)


def signed_request() -> bytes:
    """Return a genuine text as it goes over the wire."""
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


async def test_senders_that_hang_up_at_once_leave_nothing_in_the_log(start_router: StartRouter) -> None:
    router = start_router()
    for _ in range(200):
        with connect(router, signed_request()) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await asyncio.sleep(0)
    assert (await router.deliver(webhook())).status == 200
    assert router.stop() == 0
    assert "Traceback" not in router.log


async def test_requests_that_are_not_http_do_not_fill_the_log(start_router: StartRouter) -> None:
    router = start_router()
    before = len(router.log.splitlines())
    upgrade = b"GET /sms HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    for sent in (b"\x16\x03\x01 garbage\r\n\r\n", upgrade) * 50:
        with connect(router, sent) as stranger:
            assert stranger.recv(100).startswith(b"HTTP/1.1 4")
    assert (await router.deliver(webhook())).status == 200
    assert len(router.log.splitlines()) - before < 10


async def test_a_head_without_end_is_refused_and_texts_are_answered_meanwhile(
    start_router: StartRouter,
) -> None:
    router = start_router()
    with connect(router, b"POST /sms HTTP/1.1\r\nHost: x\r\nX-Long: ") as endless:
        sent = 0
        try:
            while sent < 10_000_000:
                sent += endless.send(b"a" * 100_000)
        except ConnectionError:
            pass
        assert sent < 10_000_000
        assert (await router.deliver(webhook())).status == 200


async def test_an_idle_connection_is_closed_after_the_configured_time(start_router: StartRouter) -> None:
    router = start_router("[server]\nkeep_alive = 1\n")
    with connect(router, signed_request()) as idle:
        received = b""
        while data := await asyncio.to_thread(idle.recv, 65_536):
            received += data
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" not in received.lower()
