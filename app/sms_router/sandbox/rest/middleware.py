"""Middlewares of the REST calls: Basic authentication, and calls that fail as the active fault requires."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sms_router.sandbox.rest.responses import error_response
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.world.errors import ApiRejection, rejection
from sms_router.sandbox.world.fault import RestFault, RestKind
from sms_router.tasks import cancel_and_wait

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Twilio API"'}


def _is_rest(scope: Scope) -> bool:
    """Return whether a request is for Twilio's REST API, not for the sandbox's own paths."""
    return scope["type"] == "http" and str(scope["path"]).startswith(("/v1/", "/2010-04-01/"))


class AuthMiddleware:
    """Requires the account's sid and token for REST paths; the sandbox's own paths need no credentials."""

    def __init__(self, app: ASGIApp, account_sid: str, auth_token: str) -> None:
        self._app = app
        self._credentials = f"{account_sid}:{auth_token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if _is_rest(scope) and not self._is_authenticated(scope):
            app = error_response(rejection(20003), _CHALLENGE)
        await app(scope, receive, send)

    def _is_authenticated(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, encoded = header.partition(b" ")
        try:
            credentials = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(credentials, self._credentials)


class FaultMiddleware:
    """Responds to REST calls in place of the application, or damages its response."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._faults.consume_rest(scope["path"]) if _is_rest(scope) else None
        if fault is None:
            await self._app(scope, receive, send)
        elif fault.kind is RestKind.SLOW:
            await asyncio.sleep(fault.seconds or 0)
            await self._app(scope, receive, send)
        elif fault.kind is RestKind.HALF:
            await self._app(scope, receive, _half(send))
        else:
            if fault.after:
                await self._app(scope, receive, _discard)
            if fault.kind is RestKind.HANG:
                await self._hang(receive)
            await _response(fault)(scope, receive, send)

    async def _hang(self, receive: Receive) -> None:
        """Return when the fault is cleared or the caller has disconnected."""
        waits = [asyncio.ensure_future(self._faults.hang()), asyncio.ensure_future(_disconnected(receive))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*waits)


def _response(fault: RestFault) -> Response:
    if fault.kind is RestKind.GARBAGE:
        return PlainTextResponse("<html><h1>It works!</h1", media_type="text/html")
    if fault.kind is RestKind.HANG:
        return error_response(rejection(20503))
    status = fault.status or 500
    code = {401: 20003, 429: 20429, 500: 20500, 503: 20503}.get(status)
    return error_response(rejection(code) if code else ApiRejection(20000 + status, status, "Injected fault"))


def _half(send: Send) -> Send:
    """Send half of the body; uvicorn then closes the connection, and logs an error."""

    async def send_half(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif message.get("body"):
            half = message["body"][: len(message["body"]) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})

    return send_half


async def _discard(_: Message) -> None:
    """Send nothing."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
