"""The HTTP client of handlers is bounded in what it reads."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest

from sms_router.routing.handler.http_client import HandlerHttpClient


@pytest.mark.parametrize(("megabytes", "is_read"), [(15, True), (300, False)])
async def test_a_body_is_read_up_to_a_limit(megabytes: int, is_read: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(megabytes):
                writer.write(b"a" * 1_000_000)
                await writer.drain()
        writer.close()

    client = HandlerHttpClient()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client.session().get(f"http://127.0.0.1:{port}/") as response:
            if is_read:
                assert await response.text() == "a" * 1_000_000 * megabytes
                assert len(await response.read()) == 1_000_000 * megabytes
            else:
                with pytest.raises(aiohttp.ClientPayloadError, match="larger than 16 MB"):
                    await response.json()
    await client.aclose()
