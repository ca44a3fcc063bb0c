"""How much a connection may leave incomplete, and for how long, before it is closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from sms_router.server import http_protocol
from sms_router.server.http_protocol import BoundedHttpProtocol

REQUEST = b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
LIMIT = 16


class ShortTimeouts(BoundedHttpProtocol):
    """The protocol with short timeouts."""

    HEADER_TIMEOUT = 0.05
    SHUTDOWN_GRACE = 0.05


@dataclass
class Application:
    """Answers 200 once ``open`` is set."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    body: bytes = b"ok"
    whole: bool = True
    """False for a response in two parts."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        self.called.set()
        while (await receive()).get("more_body"):
            pass
        await self.open.wait()
        headers = [(b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if not self.whole:
            await send({"type": "http.response.body", "more_body": True})
        await send({"type": "http.response.body", "body": self.body})


@dataclass
class Site:
    """A server in this process."""

    server: uvicorn.Server
    application: Application
    clients: list[Client] = field(default_factory=list)

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def connect(self, sent: bytes = b"") -> Client:
        """Connect, and wait until the server has accepted."""
        port = self.server.servers[0].sockets[0].getsockname()[1]
        before = self.server.server_state.connections.copy()
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        self.clients.append(client)
        async with asyncio.timeout(10):
            while self.server.server_state.connections <= before:
                await asyncio.sleep(0)
        client.send(sent)
        return client


@dataclass
class Client:
    """One connection to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> int:
        """Read one response and return its status."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            await self.reader.readexactly(2 if b"content-length: 2" in head else 0)
        return int(head.split()[1])

    async def closed(self) -> bytes:
        """Wait until the server has closed it; return what came before."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


Serve = Callable[..., AbstractAsyncContextManager[Site]]


@asynccontextmanager
async def serving(
    protocol: type[BoundedHttpProtocol] = BoundedHttpProtocol, *, slow: bool = False, keep_alive: int = 30
) -> AsyncIterator[Site]:
    """Run a server; with ``slow`` it answers when the test allows it. ``keep_alive`` is in seconds."""
    application = Application()
    if not slow:
        application.open.set()
    config = uvicorn.Config(
        application, port=0, http=protocol, ws="none", lifespan="off", limit_concurrency=LIMIT,
        timeout_keep_alive=keep_alive, timeout_graceful_shutdown=1, log_config=None,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    site = Site(server, application)
    try:
        yield site
    finally:
        application.open.set()
        for client in site.clients:
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()
        await server.shutdown()


@pytest.mark.parametrize("sent", [b"", b"P", b"POST /sms HTTP/1.1\r\nHost:", b"\r\n"])
async def test_a_connection_with_an_incomplete_head_is_closed(sent: bytes) -> None:
    async with serving(ShortTimeouts) as site:
        assert await (await site.connect(sent)).closed() == b""


async def test_a_connection_with_an_incomplete_later_request_is_closed() -> None:
    async with serving(ShortTimeouts) as site:
        client = await site.connect(REQUEST)
        assert await client.status() == 200
        client.send(b"POST /sms")
        assert await client.closed() == b""


async def test_a_request_in_progress_is_finished_before_an_incomplete_one_is_closed() -> None:
    async with serving(ShortTimeouts, slow=True) as site:
        client = await site.connect(REQUEST)
        await site.application.called.wait()
        client.send(b"POST")
        await (await site.connect()).closed()
        asyncio.get_running_loop().call_later(ShortTimeouts.HEADER_TIMEOUT * 2, site.application.open.set)
        assert await client.status() == 200
        assert await client.closed() == b""


async def test_an_idle_connection_is_kept_for_the_next_request() -> None:
    async with serving(ShortTimeouts) as site:
        client = await site.connect(REQUEST)
        assert await client.status() == 200
        for _ in range(3):
            await (await site.connect()).closed()
        client.send(REQUEST)
        assert await client.status() == 200


async def test_a_connection_that_is_idle_for_too_long_is_closed() -> None:
    async with serving(ShortTimeouts, keep_alive=0) as site:
        client = await site.connect(REQUEST)
        assert await client.status() == 200
        assert await client.closed() == b""


async def test_a_request_in_transit_at_shutdown_is_answered_and_the_last_one() -> None:
    async with serving() as site:
        rested, fresh = await site.connect(REQUEST), await site.connect()
        assert await rested.status() == 200
        for each in site.server.server_state.connections:
            each.shutdown()
        for client in (rested, fresh):
            client.send(REQUEST)
            answered = await client.closed()
            assert answered.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answered.lower()


async def test_idle_connections_are_closed_soon_after_shutdown() -> None:
    async with serving(ShortTimeouts) as site:
        rested = await site.connect(REQUEST)
        assert await rested.status() == 200
        for each in site.server.server_state.connections:
            each.shutdown()
        assert await rested.closed() == b""


async def test_a_request_longer_than_the_keep_alive_is_answered() -> None:
    async with serving(ShortTimeouts, slow=True, keep_alive=0) as site:
        client = await site.connect(REQUEST)
        await site.application.called.wait()
        await (await site.connect()).closed()
        site.application.open.set()
        assert await client.status() == 200


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving() as site:
        client = await site.connect(REQUEST * 3)
        assert [await client.status() for _ in range(3)] == [200] * 3
        client.send(REQUEST)
        assert await client.status() == 200


@pytest.mark.parametrize("parts", [1, 7], ids=["in one part", "in several parts"])
async def test_beyond_a_handful_of_pipelined_requests_the_connection_is_closed(parts: int) -> None:
    flood = b"GET / HTTP/1.1\r\n\r\n" * 3400
    async with serving(slow=True) as site:
        client = await site.connect()
        for index in range(parts):
            client.send(flood[len(flood) * index // parts : len(flood) * (index + 1) // parts])
        await site.application.called.wait()
        (connection,) = site.server.server_state.connections
        assert isinstance(connection, BoundedHttpProtocol)
        async with asyncio.timeout(10):
            while len(connection.pipeline) < 4:
                await asyncio.sleep(0)
        site.application.open.set()
        responses = await client.closed()
        assert responses.count(b"HTTP/1.1 200") == 5
        assert responses.lower().count(b"connection: close") == 1
        assert site.application.requests == 5


async def test_a_pipelined_request_with_a_body_is_the_last_one_that_is_read_whole() -> None:
    async with serving(slow=True) as site:
        client = await site.connect(REQUEST * 4 + REQUEST[:-1])
        await site.application.called.wait()
        site.application.open.set()
        assert [await client.status() for _ in range(4)] == [200] * 4
        client.send(REQUEST[-1:] + REQUEST)
        assert await client.status() == 200


async def test_an_invalid_request_behind_one_in_progress_gets_no_response_of_its_own() -> None:
    async with serving(slow=True) as site:
        client = await site.connect(REQUEST)
        await site.application.called.wait()
        client.send(b"\0\0\0\r\n\r\n")
        assert await client.closed() == b""


async def test_a_head_with_very_many_headers_is_refused() -> None:
    head = b"GET /sms HTTP/1.1\r\n" + b"a:b\r\n" * 128
    async with serving() as site:
        assert await (await site.connect(head + b"\r\n")).status() == 200
        answer = await (await site.connect(head + b"a:b\r\n\r\n")).closed()
        assert answer[:12] == b"HTTP/1.1 431"


async def test_a_body_of_very_many_chunks_is_refused() -> None:
    head = b"POST /sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as site:
        assert await (await site.connect(head + b"1\r\na\r\n" * 255 + b"0\r\n\r\n")).status() == 200
        answer = await (await site.connect(head + b"1\r\na\r\n" * 257)).closed()
        assert answer[:12] == b"HTTP/1.1 400"


async def test_what_all_incomplete_requests_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "MAX_WAITING_BYTES", 200_000)
    head = b"POST /sms HTTP/1.1\r\nContent-Length: 60000\r\n\r\n"
    async with serving(slow=True) as site:
        largest = await site.connect(head + b"a" * 59_000)
        smaller = [await site.connect(head + b"a" * 30_000) for _ in range(5)]
        assert await largest.closed() == b""
        site.application.open.set()
        for client in smaller:
            client.send(b"a" * 30_000)
            assert await client.status() == 200


async def test_what_all_pipelined_requests_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "MAX_WAITING_BYTES", 200_000)
    body = b"POST /sms HTTP/1.1\r\nContent-Length: 50000\r\n\r\n" + b"a" * 50_000
    async with serving(slow=True) as site:
        for _ in range(3):
            await site.connect(REQUEST + body * 2)
        async with asyncio.timeout(10):
            while site.connections > 2:
                await asyncio.sleep(0.01)
        site.application.open.set()
        answered = 0
        for client in site.clients:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                assert [await client.status() for _ in range(3)] == [200] * 3
                answered += 1
        assert answered == 2


async def test_unread_responses_count_as_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "MAX_WAITING_BYTES", 1_000_000)
    async with serving() as site:
        site.application.body = b"a" * 8_000_000
        await site.connect(REQUEST)
        async with asyncio.timeout(10):
            while site.connections:
                await asyncio.sleep(0.01)


async def test_the_largest_head_is_read_and_a_larger_one_refused() -> None:
    frame = b"GET /sms HTTP/1.1\r\nHost: x\r\nX-Long: \r\n\r\n"
    async with serving() as site:
        fits = frame.replace(b": \r\n", b": " + b"a" * (65_536 - len(frame)) + b"\r\n")
        assert await (await site.connect(fits)).status() == 200
        assert (await (await site.connect(fits.replace(b"Host", b"Ghost"))).closed())[:12] == b"HTTP/1.1 431"


@pytest.mark.parametrize(
    "endless", [b"a" * 1000, b"\r\n" * 500, b"A: b\r\n" * 200], ids=["value", "empty lines", "headers"]
)
async def test_an_endless_head_is_closed(endless: bytes) -> None:
    async with serving() as site:
        client = await site.connect(b"" if endless.isspace() else b"POST /sms HTTP/1.1\r\nX: ")
        for _ in range(2 * 65_536 // len(endless)):
            client.send(endless)
        await client.closed()
        assert site.connections == 0


async def test_the_size_of_a_request_is_bounded() -> None:
    async with serving() as site:
        client = await site.connect(b"POST /sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        for _ in range(2 * 1_048_576 // 6000):
            client.send(b"A: b\r\n" * 1000)
        await client.closed()
        assert site.connections == 0


async def test_the_bound_is_per_request_and_not_per_connection() -> None:
    async with serving() as site:
        client = await site.connect()
        for _ in range(40):
            client.send(b"POST /sms HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"a" * 60_000)
            assert await client.status() == 200


async def test_idle_connections_do_not_block_a_request() -> None:
    async with serving() as site:
        idle = [await site.connect() for _ in range(3 * LIMIT)]
        assert site.connections < LIMIT
        assert await (await site.connect(REQUEST)).status() == 200
        assert await idle[0].closed() == b""


async def test_connections_that_sent_nothing_are_evicted_before_idle_ones() -> None:
    async with serving() as site:
        known = await site.connect(REQUEST)
        assert await known.status() == 200
        for _ in range(3 * LIMIT):
            await site.connect(b"POST")
        known.send(REQUEST)
        assert await known.status() == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
@pytest.mark.parametrize("together", [True, False], ids=["together", "apart"])
async def test_the_body_of_an_upgrade_request_is_not_parsed_as_a_request(
    protocol: str, together: bool
) -> None:
    upgrade = (
        f"POST /sms HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\nContent-Length: {{}}\r\n\r\n"
    )
    head = upgrade.format(len(REQUEST)).encode()
    async with serving() as site:
        client = await site.connect(head + REQUEST if together else head)
        if not together:
            await site.application.called.wait()
            client.send(REQUEST)
        client.send(REQUEST)
        await client.closed()
        assert site.application.requests == 1


async def test_a_connection_that_does_not_read_its_responses_is_closed() -> None:
    async with serving(ShortTimeouts) as site:
        site.application.body = b"a" * 2_000_000
        await site.connect(REQUEST * 20)
        async with asyncio.timeout(10):
            while site.connections:
                await asyncio.sleep(0.01)
        assert site.application.requests < 20


async def test_connections_that_do_not_read_do_not_block_a_request() -> None:
    async with serving() as site:
        site.application.body = b"a" * 2_000_000
        for _ in range(LIMIT):
            site.application.called.clear()
            await site.connect(REQUEST * 20)
            await site.application.called.wait()
        site.application.body = b"ok"
        assert await (await site.connect(REQUEST)).status() == 200


async def test_requests_in_progress_are_never_evicted() -> None:
    async with serving(slow=True) as site:
        working = [await site.connect(REQUEST) for _ in range(LIMIT - 1)]
        late = await site.connect(REQUEST)
        assert await late.status() == 503
        site.application.open.set()
        assert [await client.status() for client in working] == [200] * len(working)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in parts"])
def test_a_response_to_a_lost_connection_is_dropped(whole: bool, caplog: pytest.LogCaptureFixture) -> None:
    """On uvloop, as in production: it raises where asyncio's own loop does not."""

    async def lose() -> None:
        async with serving(slow=True) as site:
            site.application.whole = whole
            client = await site.connect(REQUEST)
            await site.application.called.wait()
            (connection,) = site.server.server_state.connections
            assert connection.transport is not None
            connection.transport.abort()
            site.application.open.set()
            assert await client.closed() == b""

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lose())
    assert caplog.messages == []
