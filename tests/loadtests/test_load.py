import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from loadtests.bench.client import Connection, connect
from loadtests.bench.load import ClosedLoop, OpenLoop, Tally
from loadtests.bench.traffic import Webhook

RIGHT = b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: 11\r\n\r\n<Response/>"
WRONG = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
WEBHOOK = Webhook(b"POST /sms HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", b"")

Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(answer: Answering, count: int) -> AsyncIterator[list[Connection]]:
    """A server that answers in one way, and connections to it; nothing is left open."""
    done: asyncio.Queue[None] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readexactly(len(WEBHOOK.wire)):
                await answer(writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        done.put_nowait(None)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        connections = await connect(listening.sockets[0].getsockname()[1], count)
        yield connections
        for connection in connections:
            connection.close()
        for _ in connections:
            await done.get()


async def right(writer: asyncio.StreamWriter) -> None:
    writer.write(RIGHT)


async def wrong(writer: asyncio.StreamWriter) -> None:
    writer.write(WRONG)


async def in_two_pieces(writer: asyncio.StreamWriter) -> None:
    writer.write(RIGHT[:40])
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(RIGHT[40:])


async def disconnect(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def closed(answer: Answering, messages: int = 50, connections: int = 4) -> Tally:
    async with connected(answer, connections) as opened:
        return await ClosedLoop(opened, iter([WEBHOOK] * messages), seconds=30).run()


async def test_a_closed_loop_sends_every_message_once() -> None:
    tally = await closed(right)
    assert (tally.answered, tally.wrong) == (50, 0)
    assert tally.rate > 0


async def test_an_answer_in_pieces_is_one_answer() -> None:
    tally = await closed(in_two_pieces)
    assert (tally.answered, tally.wrong) == (50, 0)


async def test_wrong_answers_are_counted_and_the_first_few_named() -> None:
    tally = await closed(wrong)
    assert (tally.answered, tally.wrong) == (0, 50)
    assert tally.faults == ["status 500"] * 3


async def test_lost_connections_end_the_load_with_faults() -> None:
    tally = await closed(disconnect)
    assert (tally.answered, tally.wrong) == (0, 4)
    assert "lost" in tally.faults[0]


async def test_more_connections_than_messages_is_no_fault() -> None:
    tally = await closed(right, messages=3, connections=8)
    assert (tally.answered, tally.wrong) == (3, 0)


async def test_an_open_loop_ends_when_the_messages_are_used_up() -> None:
    async with connected(right, 2) as connections:
        tally = await OpenLoop(connections, iter([WEBHOOK] * 60), rate=5000).run(seconds=30)
    assert (tally.answered, tally.wrong) == (60, 0)


async def test_an_open_loop_without_connections_counts_unsent_messages() -> None:
    tally = await OpenLoop([], iter([WEBHOOK] * 5), rate=5000).run(seconds=30)
    assert (tally.answered, tally.wrong) == (0, 5)
