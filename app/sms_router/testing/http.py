"""Other applications and services in tests: aiohttp's client and server, joined without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from sms_router.routing.handler.http_client import HandlerHttpClient


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request of a handler, or of a rule that forwards."""

    method: str
    url: str
    body: str


@dataclass(slots=True)
class HttpService:
    """What a URL answers, and the requests that came to it."""

    text: str
    status: int
    content_type: str
    requests: list[HttpRequest] = field(default_factory=list)


class _MemoryTransport(asyncio.Transport):
    """One end of a connection within the process."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self.other: _MemoryTransport | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self.other is not None:
            self._loop.call_soon(self.other._protocol.data_received, bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.other is None

    def close(self) -> None:
        if (other := self.other) is not None:
            self.other = other.other = None
            for end in (self, other):
                self._loop.call_soon(end._protocol.connection_lost, None)

    abort = close

    def pause_reading(self) -> None:
        """Nothing is held back: all bodies are short."""

    resume_reading = pause_reading


class _Connector(aiohttp.BaseConnector):
    """Connects to the services of a test, and raises for any other URL."""

    def __init__(self, services: dict[str, HttpService]) -> None:
        super().__init__(force_close=True)
        self._services = services

    async def _create_connection(self, req: aiohttp.ClientRequest, *_: object) -> ResponseHandler:
        url = str(req.url)
        found = max((known for known in self._services if url.startswith(known)), key=len, default=None)
        if found is None:
            raise aiohttp.ClientConnectionError(
                f'a test connects to nothing; define what this URL returns: sms.http("{url}", "...")'
            )
        service = self._services[found]

        async def answer(request: web.BaseRequest) -> web.Response:
            service.requests.append(HttpRequest(request.method, url, await request.text()))
            return web.Response(text=service.text, status=service.status, content_type=service.content_type)

        client, server = self._factory(), web.Server(answer)()
        near, far = _MemoryTransport(client), _MemoryTransport(server)
        near.other, far.other = far, near
        server.connection_made(far)
        client.connection_made(near)
        return client


class OfflineHttpClient(HandlerHttpClient):
    """The ``http`` of handlers, and the session of rules that forward."""

    def __init__(self) -> None:
        super().__init__()
        self.services: dict[str, HttpService] = {}
        """By the beginning of their URLs; the longest counts."""

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector, cookies = _Connector(self.services), aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=cookies)
        return self._session

    def add(self, url: str, answer: object, status: int, content_type: str) -> HttpService:
        """Set what a URL, and those that begin with it, answer: a text, or what becomes JSON."""
        if isinstance(answer, str):
            content_type = content_type or ("text/xml" if answer.startswith("<") else "text/plain")
        else:
            answer, content_type = json.dumps(answer), content_type or "application/json"
        self.services[url] = HttpService(answer, status, content_type)
        return self.services[url]
