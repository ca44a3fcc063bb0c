"""The proxy of the tests delays data, and keeps its order."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.store.private_valkey import PrivateValkey
from tests.store.slow_proxy import SlowProxy


async def test_no_response_overtakes_another_when_the_delay_shrinks(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    target, path = private_valkey.url.removeprefix("unix://"), tmp_path / "slow"
    async with SlowProxy(target, path, 0.1).running() as proxy:
        reader, writer = await asyncio.open_unix_connection(path)
        written = [b"$1\r\n%d\r\n" % number for number in range(6)]
        for number in range(6):
            proxy.delay = 0.1 if number < 3 else 0.0
            writer.write(b"ECHO %d\r\n" % number)
            await asyncio.sleep(0.01)
        assert await reader.readexactly(len(b"".join(written))) == b"".join(written)
        writer.close()
        await writer.wait_closed()
