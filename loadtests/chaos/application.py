"""Another team's application that texts are forwarded to, and its backup."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum

from aiohttp import web

from loadtests.crowd.texts import FORWARDED
from sms_router.sandbox.hosting import free_port

KEYWORD = """
[[keyword]]
words = ["{word}"]
forward = {{ url = "{url}/sms", fallback_url = "{url}/backup" }}
"""

TWIML = "<Response><Message>From the {name}.</Message></Response>"


class Mood(Enum):
    """How the application fares; its backup is always well."""

    WELL = "well"
    HANGING = "hanging"
    FAILING = "failing"


class Application:
    """Answers what the router forwards."""

    def __init__(self) -> None:
        self.mood = Mood.WELL
        self._port = free_port()

    @property
    def keyword(self) -> str:
        """The rule that forwards to it, for ``keywords.toml``."""
        return KEYWORD.format(word=FORWARDED.body, url=f"http://127.0.0.1:{self._port}")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen."""
        server = web.Application()
        server.router.add_post("/sms", self._answer)
        server.router.add_post("/backup", self._back_up)
        runner = web.AppRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            yield
        finally:
            await runner.cleanup()

    async def _answer(self, _: web.Request) -> web.Response:
        if self.mood is Mood.FAILING:
            return web.Response(status=500)
        if self.mood is Mood.HANGING:
            await asyncio.sleep(3600)
        return _said("application")

    async def _back_up(self, _: web.Request) -> web.Response:
        return _said("backup")


def _said(name: str) -> web.Response:
    return web.Response(text=TWIML.format(name=name), content_type="text/xml")
