"""Ports for servers that are about to start."""

import errno
import socket

import pytest
from starlette.applications import Starlette

from sms_router.sandbox.hosting import free_port, serve


async def test_a_server_listens_on_a_port_that_was_kept_for_it() -> None:
    port = free_port()
    async with serve(Starlette(), port) as url:
        assert url == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_nobody_else_takes_a_port_before_its_server_listens() -> None:
    port = free_port()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use") as refused:
        stranger.bind(("127.0.0.1", port))
    assert refused.value.errno == errno.EADDRINUSE
    assert free_port() != port


def test_nobody_answers_there_until_then() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=5)
