from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router.store import connection as connection_module
from sms_router.store.connection import ConnectionClosedError, PipelinedConnection, connect, run_all
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.url import Address, Command
from tests.store.private_valkey import PrivateValkey
from tests.store.shared_stores import SharedStores

MODEST = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Recorder(asyncio.Transport):
    """Records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


def ignore(_: PipelinedConnection) -> None:
    """Ignore the end of the connection."""


def recorded() -> tuple[PipelinedConnection, Recorder]:
    connection, transport = PipelinedConnection(ignore), Recorder()
    connection.connection_made(transport)
    return connection, transport


def pack(command: Command) -> bytes:
    return bytes(hiredis.pack_command(command))


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[PipelinedConnection]:
    connection = await connect(Address.parse(url), ignore)
    try:
        yield connection
    finally:
        connection.close()
        await connection.wait_closed()


@pytest.fixture(params=["valkey"])
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    """One server: the tests of this file use no other topology."""
    return stores.url(request.param)


@pytest.fixture
async def connection(valkey_url: str) -> AsyncIterator[PipelinedConnection]:
    async with connected(valkey_url) as connection:
        yield connection


async def test_commands_of_one_loop_iteration_are_one_write() -> None:
    connection, transport = recorded()
    commands: list[Command] = [("SET", "key", 1), ("GET", b"key"), ("PING",)]
    answers = [connection.send(command) for command in commands]
    assert transport.writes == []
    await asyncio.sleep(0)
    connection.send(("DEL", "key")).cancel()
    await asyncio.sleep(0)
    first = b"".join(map(pack, commands))
    assert transport.writes == [first, pack(("DEL", "key"))]
    assert not any(answer.done() for answer in answers)


@MODEST
@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 50))
async def test_responses_reach_their_callers_however_the_bytes_arrive(
    bodies: list[bytes], piece: int
) -> None:
    connection, _ = recorded()
    answers = [connection.send(("ECHO", body)) for body in bodies]
    stream = b"".join(b"$%d\r\n%b\r\n" % (len(body), body) for body in bodies)
    for start in range(0, len(stream), piece):
        connection.data_received(stream[start : start + piece])
    assert [answer.result() for answer in answers] == bodies


@MODEST
@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), min_size=1, max_size=200))
async def test_cancelled_callers_do_not_shift_responses(
    connection: PipelinedConnection, calls: list[tuple[bytes, bool]]
) -> None:
    answers = [(connection.send(("ECHO", body)), body, leaves) for body, leaves in calls]
    for answer, _, leaves in answers:
        if leaves:
            answer.cancel()
    assert [await answer for answer, _, leaves in answers if not leaves] == [
        body for _, body, leaves in answers if not leaves
    ]
    assert await connection.send(("PING",)) == b"PONG"


async def test_callers_in_many_tasks_get_their_own_responses(connection: PipelinedConnection) -> None:
    async def run_one(number: int) -> bool:
        for turn in range(5):
            body = f"{number}.{turn}".encode()
            if await connection.send(("ECHO", body)) != body:
                return False
        return True

    assert all(await asyncio.gather(*map(run_one, range(1000))))


async def test_every_byte_is_returned_unchanged(connection: PipelinedConnection) -> None:
    body = bytes(range(256)) * 1000
    assert await connection.send(("SET", body, body)) == b"OK"
    assert await connection.send(("GET", body)) == body


async def test_an_error_of_redis_is_a_result(connection: PipelinedConnection) -> None:
    wrong, right = connection.send(("INCR", "a", "b")), connection.send(("PING",))
    assert isinstance(await wrong, hiredis.ReplyError)
    assert await right == b"PONG"


async def test_a_lost_connection_fails_pending_callers(valkey_url: str, valkey: redis.Redis) -> None:
    ended: list[PipelinedConnection] = []
    connection = await connect(Address.parse(valkey_url), ended.append)
    identity = await connection.send(("CLIENT", "ID"))
    waiting = [connection.send(("BLPOP", "nothing", 0)), connection.send(("PING",))]
    waiting.append(connection.send(("PING",)))
    waiting[-1].cancel()
    await asyncio.to_thread(valkey.client_kill_filter, _id=str(identity))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        ConnectionClosedError,
        ConnectionClosedError,
        asyncio.CancelledError,
    ]
    assert ended == [connection]
    with pytest.raises(ConnectionClosedError):
        connection.send(("PING",))


async def test_a_closed_connection_fails_its_callers(connection: PipelinedConnection) -> None:
    waiting = connection.send(("PING",))
    connection.close()
    await connection.wait_closed()
    with pytest.raises(ConnectionClosedError):
        await waiting


async def test_commands_above_the_limit_of_pending_ones_are_refused(
    connection: PipelinedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_PENDING", 10)
    under_way = [connection.send(("PING",)) for _ in range(10)]
    with pytest.raises(StoreUnavailableError, match="pending"):
        connection.send(("PING",))
    assert await asyncio.gather(*under_way) == [b"PONG"] * 10
    assert await connection.send(("PING",)) == b"PONG"


async def test_the_oldest_pending_command_is_measured(connection: PipelinedConnection) -> None:
    assert connection.oldest_pending is None
    answer = connection.send(("PING",))
    assert connection.oldest_pending is not None
    await answer
    assert connection.oldest_pending is None


NOT_REDIS = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"+PONG\r\n+one answer that nobody asked for\r\n",
    b"",
    bytes(range(128, 256)),
]


@pytest.mark.parametrize("greeting", NOT_REDIS, ids=["http", "unasked", "hangs up", "noise"])
async def test_a_server_that_is_not_redis_is_disconnected(tmp_path: Path, greeting: bytes) -> None:
    hung_up = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        hung_up.set()

    path = tmp_path / "s"
    async with await asyncio.start_unix_server(greet, path), asyncio.timeout(10):
        with pytest.raises(StoreUnavailableError):
            await connect(Address.parse(f"unix://{path}"), ignore)
        await hung_up.wait()


async def test_a_response_of_another_protocol_shifts_no_other_response() -> None:
    connection, _ = recorded()
    first, second = connection.send(("PING",)), connection.send(("PING",))
    connection.data_received(b"#f\r\n+PONG\r\n")  # a boolean of RESP3
    assert first.result() is False
    assert second.result() == b"PONG"


async def test_login_and_database_are_those_of_the_url(private_valkey: PrivateValkey) -> None:
    with private_valkey.client() as admin:
        admin.acl_setuser(
            "anna", enabled=True, passwords=["+her word"], categories=["+@all"], keys=["*"], channels=["*"]
        )
        admin.config_set("requirepass", "the word")
    path = private_valkey.url.removeprefix("unix://")
    for login, number in (("anna:her%20word", 3), (":the%20word", 4)):
        async with connected(f"unix://{login}@{path}?db={number}") as connection:
            await connection.send(("SET", "found", number))
            assert f"db={number}" in str(await connection.send(("CLIENT", "INFO")))


@pytest.mark.parametrize("login", ["", ":wrong-secret@", "nobody:wrong-secret@"])
async def test_a_refused_login_is_reported_without_the_password(
    private_valkey: PrivateValkey, login: str
) -> None:
    with private_valkey.client() as admin:
        admin.config_set("requirepass", "right")
    path = private_valkey.url.removeprefix("unix://")
    with pytest.raises(StoreUnavailableError, match="refused") as refusal:
        await connect(Address.parse(f"unix://{login}{path}"), ignore)
    assert "wrong-secret" not in str(refusal.value)


async def test_a_refused_preparation_closes_the_connection(valkey_url: str) -> None:
    ended = asyncio.Event()
    with pytest.raises(StoreUnavailableError, match="NONSENSE was refused"):
        await connect(
            Address.parse(valkey_url),
            lambda _: ended.set(),
            lambda connection: run_all(connection, [("NONSENSE",), ("PING",)]),
        )
    async with asyncio.timeout(10):
        await ended.wait()


async def test_no_server_is_an_os_error(tmp_path: Path, unused_tcp_port: int) -> None:
    for url in (f"unix://{tmp_path / 'nobody'}", f"redis://127.0.0.1:{unused_tcp_port}"):
        with pytest.raises(OSError, match=r"."):
            await connect(Address.parse(url), ignore)


async def test_connecting_to_a_frozen_server_is_cancelled_by_the_callers_timeout(
    private_valkey: PrivateValkey,
) -> None:
    ended = asyncio.Event()
    private_valkey.freeze()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connect(Address.parse(private_valkey.url), lambda _: ended.set())
    async with asyncio.timeout(10):
        await ended.wait()
