import asyncio

import pytest

from loadtests.bench.client import Connection, connect
from loadtests.bench.figures import Latency
from loadtests.bench.slow_upstream import REPLY, UpstreamFigures, application_at, cells
from loadtests.bench.traffic import Webhook
from sms_router.sandbox.hosting import free_port

WIRE = b"POST /sms HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\na=b"


@pytest.mark.parametrize("cut", [20, 60, len(WIRE)])
async def test_the_application_answers_each_message(cut: int) -> None:
    port = free_port()
    async with application_at(port, 0.0):
        (connection,) = await connect(port, 1)
        faults: asyncio.Queue[str | None] = asyncio.Queue()

        def done(_: Connection, _seconds: float, fault: str | None) -> None:
            faults.put_nowait(fault)

        for _ in range(2):
            connection.exchange(Webhook(WIRE[:cut], REPLY.encode()), 0.0, done)
            assert connection._transport is not None
            await asyncio.sleep(0)
            connection._transport.write(WIRE[cut:])
            assert await faults.get() is None
        connection.close()


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
