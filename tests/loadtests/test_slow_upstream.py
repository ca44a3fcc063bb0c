import asyncio

import pytest

from loadtests.bench.figures import Latency
from loadtests.bench.slow_upstream import DOCUMENT, UpstreamFigures, application_at, cells
from sms_router.sandbox.hosting import free_port

WIRE = b"POST /sms HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\na=b"


@pytest.mark.parametrize("cut", [20, 60, len(WIRE)])
async def test_the_application_answers_each_message(cut: int) -> None:
    port = free_port()
    async with application_at(port, 0.0):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            for piece in (WIRE[:cut], WIRE[cut:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert await reader.readexactly(len(DOCUMENT)) == DOCUMENT
        writer.close()


def test_a_row_without_forwarded_messages_has_no_latency_of_them() -> None:
    latency = Latency(500.0, 1.0, 2.5, 3.25)
    without, slow = cells(
        [
            UpstreamFigures("not called", latency, float("nan"), 0, 0, ()),
            UpstreamFigures("after 2 s", latency, 2001.5, 40, 0, ()),
        ]
    ).rows
    assert without == ("not called", "1.00", "2.50", "3.25", "-", "0", "0")
    assert slow[4:] == ("2,001.50", "40", "0")
