"""A response of Twilio's API is bounded in size and time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from sms_router.twilio.bounded_adapter import BoundedAdapter


@contextmanager
def served(write: Callable[[Callable[[bytes], object]], object], *, in_head: bool = False) -> Iterator[str]:
    """Run a server whose bodies, or with ``in_head`` whose headers, a function writes, without a length."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.flush_headers() if in_head else self.end_headers()
            try:
                write(self.wfile.write)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def get(url: str, seconds: float) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", BoundedAdapter(seconds))
        return session.get(url, timeout=10)


def test_a_response_within_the_limits_is_read() -> None:
    with served(lambda write: write(b'{"a": 1}')) as url:
        assert get(url, 10).json() == {"a": 1}


def test_a_response_that_is_too_large_is_refused() -> None:
    def write_much(write: Callable[[bytes], object]) -> None:
        for _ in range(400):
            write(b"a" * 1_000_000)

    with served(write_much) as url, pytest.raises(requests.RequestException, match="too large"):
        get(url, 60)


@pytest.mark.parametrize("in_head", [False, True], ids=["body", "head"])
def test_a_response_that_arrives_byte_by_byte_is_not_waited_for(in_head: bool) -> None:
    stopped = threading.Event()

    def drip(write: Callable[[bytes], object]) -> None:
        while not stopped.wait(0.02):
            write(b"a")

    try:
        with served(drip, in_head=in_head) as url, pytest.raises(requests.exceptions.ReadTimeout):
            get(url, 0.2)
    finally:
        stopped.set()


def test_a_head_without_an_end_is_refused() -> None:
    def write_headers(write: Callable[[bytes], object]) -> None:
        for _ in range(400):
            write(b"X: " + b"a" * 60_000 + b"\r\n")

    with served(write_headers, in_head=True) as url, pytest.raises(requests.RequestException):
        get(url, 60)
