"""The application that messages are forwarded to, and its fallback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum

from aiohttp import web

from loadtests.workload.texts import FORWARDED
from sms_router.sandbox.hosting import free_port

KEYWORD = """
[[keyword]]
words = ["{word}"]
forward = {{ url = "{url}/sms", fallback_url = "{url}/backup" }}
"""

TWIML = "<Response><Message>From the {name}.</Message></Response>"


class UpstreamState(Enum):
    """What the application does; its fallback always works."""

    WORKING = "working"
    HANGING = "hanging"
    FAILING = "failing"


class UpstreamApplication:
    """Answers the messages that the router forwards."""

    def __init__(self) -> None:
        self.state = UpstreamState.WORKING
        self._port = free_port()

    @property
    def keyword(self) -> str:
        """The rule for ``keywords.toml`` that forwards to it."""
        return KEYWORD.format(word=FORWARDED.body, url=f"http://127.0.0.1:{self._port}")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen."""
        server = web.Application()
        server.router.add_post("/sms", self._answer)
        server.router.add_post("/backup", self._answer_fallback)
        runner = web.AppRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        if self.state is UpstreamState.FAILING:
            return web.Response(status=500)
        if self.state is UpstreamState.HANGING:
            await asyncio.sleep(3600)
        return _twiml("application")

    async def _answer_fallback(self, _: web.Request) -> web.Response:
        return _twiml("backup")


def _twiml(name: str) -> web.Response:
    return web.Response(text=TWIML.format(name=name), content_type="text/xml")
