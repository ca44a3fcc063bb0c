"""Ports for servers that are about to start."""

import errno
import socket

import pytest
from starlette.applications import Starlette

from sms_router.sandbox.hosting import free_port, serve


async def test_a_server_can_listen_on_a_reserved_port() -> None:
    port = free_port()
    async with serve(Starlette(), port) as url:
        assert url == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_reserved_port_cannot_be_taken_by_another_program() -> None:
    port = free_port()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use") as rejected:
        stranger.bind(("127.0.0.1", port))
    assert rejected.value.errno == errno.EADDRINUSE
    assert free_port() != port


def test_a_reserved_port_refuses_connections() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=5)
