"""A transport of ``requests`` that bounds the size of a response and the time to read it.

``requests`` reads a body of any size, and its timeout is for each wait: a server that sends a byte now and
then is never too late.
"""

from __future__ import annotations

import io
import time
from functools import partial
from http.client import HTTPResponse
from socket import socket
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

MAX_RESPONSE_BYTES = 16_777_216
"""A page of 1000 messages, the largest that is requested, has some 1.5 MB."""

_CHUNK_BYTES = 65_536


class BoundedAdapter(HTTPAdapter):
    """Reads each response within limits; ``http.client`` bounds its head to 100 lines of 64 KB.

    Args:
        seconds: from the end of the request to the end of the response.

    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self._bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        self._bound(manager)
        return manager

    def _bound(self, manager: PoolManager) -> None:
        """Let the connections of a manager read their responses with a deadline."""
        reader = partial(_ResponseWithDeadline, seconds=self._seconds)
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _with_reader(connection, reader)})
            for scheme, pool, connection in (
                ("http", HTTPConnectionPool, HTTPConnection),
                ("https", HTTPSConnectionPool, HTTPSConnection),
            )
        }

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        response = super().send(request, *args, **options)
        content = bytearray()
        try:
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
                content += chunk
                if len(content) > MAX_RESPONSE_BYTES:
                    raise ChunkedEncodingError("the response is too large", request=request)
        except (HTTPError, ChunkedEncodingError) as error:
            response.raw.close()
            if isinstance(error, ChunkedEncodingError):
                raise
            kind = ReadTimeout if isinstance(error, ReadTimeoutError) else ChunkedEncodingError
            raise kind(error, request=request) from error
        vars(response).update(_content=bytes(content), _content_consumed=True)
        response.raw.release_conn()
        return response


def _with_reader(connection: type[HTTPConnection], reader: Any) -> type[HTTPConnection]:
    return type(connection.__name__, (connection,), {"response_class": staticmethod(reader)})


class _ResponseWithDeadline(HTTPResponse):
    """A response whose head and body are read before a deadline."""

    def __init__(self, sock: socket, *args: Any, seconds: float, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        source, deadline = self.fp.detach(), time.monotonic() + seconds
        self.fp = io.BufferedReader(_DeadlineReader(source, sock, deadline))


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket with what is left of the time."""

    def __init__(self, source: io.RawIOBase, sock: socket, deadline: float) -> None:
        self._source = source
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the response takes too long")
        timeout = self._sock.gettimeout()
        if timeout is None or timeout > remaining:
            self._sock.settimeout(remaining)
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()
        super().close()
