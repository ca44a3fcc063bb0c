import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest

from loadtests.chaos.network import Cut, Link, Network
from loadtests.chaos.partitions import SPLIT, links
from tests.store.processes import lasting_port


@contextlib.asynccontextmanager
async def echo_behind_network(
    network: Network,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            received.append(data)
            writer.write(data)
        writer.close()

    own, port = lasting_port(), lasting_port()
    server = await asyncio.start_server(echo, "127.0.0.1", own)
    async with server, network.running({("server", port): own}):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()


received: list[bytes] = []


@pytest.mark.parametrize(
    ("party", "what", "arrives", "is_answered"),
    [
        ("me", Cut.ALL, False, False),
        ("me", Cut.REQUESTS, False, False),
        ("me", Cut.ANSWERS, True, False),
        ("*", Cut.ALL, False, False),
        ("other", Cut.ALL, True, True),
    ],
)
async def test_what_is_sent_over_a_cut_link_arrives_when_it_is_repaired(
    party: str, what: Cut, arrives: bool, is_answered: bool
) -> None:
    received.clear()
    network = Network(lambda: {"me": [os.getpid()], "other": []})
    async with echo_behind_network(network) as (reader, writer):
        network.cut([Link(party, "server")], what)
        writer.write(b"x")
        answer = asyncio.create_task(reader.read(100))
        await asyncio.wait({answer}, timeout=2 if is_answered else 0.1)
        assert (bool(received), answer.done()) == (arrives, is_answered)
        await network.repair()
        assert await answer == b"x"


def test_the_sides_of_a_split_do_not_reach_each_other() -> None:
    one, other = {"a", "server0", "sentinel0"}, {"b", "server1", "sentinel1", "sentinel2"}
    assert all((link.party in one) != (link.server in one) for link in SPLIT)
    assert {link.party for link in SPLIT} | {link.server for link in SPLIT} == one | other
    assert links("a", ["b"], both_ways=True) == [Link("a", "b"), Link("b", "a")]
