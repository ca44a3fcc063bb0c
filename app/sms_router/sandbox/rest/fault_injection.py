"""One REST call that goes wrong, as a fault wants it."""

from __future__ import annotations

import asyncio

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sms_router.sandbox.rest.responses import error_response
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.world.errors import ApiRejection, refusal
from sms_router.sandbox.world.fault import RestFault, RestKind


class FaultInjector:
    """Answers a call in place of the application, or spoils its answer."""

    def __init__(self, fault: RestFault, faults: Faults, app: ASGIApp) -> None:
        """Do what ``fault`` says to ``app``'s answer; ``faults`` tell when a hanging call is let go."""
        self._fault = fault
        self._faults = faults
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the call."""
        kind = self._fault.kind
        if kind is RestKind.SLOW:
            await asyncio.sleep(self._fault.seconds)
            await self._app(scope, receive, send)
        elif kind is RestKind.HALF:
            await self._app(scope, receive, _HalfSent(send))
        else:
            if self._fault.after:
                await self._app(scope, receive, _unsent)
            if kind is RestKind.HANG:
                await self._hang(receive)
            await self._answer()(scope, receive, send)

    def _answer(self) -> Response:
        if self._fault.kind is RestKind.GARBAGE:
            return PlainTextResponse("<html><h1>It works!</h1", media_type="text/html")
        if self._fault.kind is RestKind.HANG:
            return error_response(refusal(20503))
        status = self._fault.status
        known = {401: 20003, 429: 20429, 500: 20500, 503: 20503}.get(status)
        return error_response(
            refusal(known) if known else ApiRejection(20000 + status, status, "Twilio is unwell")
        )

    async def _hang(self, receive: Receive) -> None:
        """Wait until the fault is cleared or the caller has given up."""
        waits = [asyncio.ensure_future(self._faults.hang()), asyncio.ensure_future(_left(receive))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


class _HalfSent:
    """Passes on half of an answer; the server then breaks the connection off, and says so in its log."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
        elif message.get("body"):
            half = message["body"][: len(message["body"]) // 2]
            await self._send({"type": "http.response.body", "body": half, "more_body": True})


async def _unsent(_: Message) -> None:
    """Lose an answer."""


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
