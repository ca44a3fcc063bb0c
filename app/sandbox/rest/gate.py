"""What every REST call passes first: the faults that are switched on, then the credentials."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox.faults import FaultKind, Faults, RestFault
from app.sandbox.refusals import Refusal, refusal
from app.sandbox.rest.responses import error_response

_TREES = ("/v1/", "/2010-04-01/")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Twilio API"'}


class Gate:
    """ASGI middleware around the REST trees; the sandbox's own paths pass untouched."""

    def __init__(self, app: ASGIApp, account_sid: str, auth_token: str, faults: Faults) -> None:
        """Let in whoever knows the account's sid and token."""
        self._app = app
        self._credentials = f"{account_sid}:{auth_token}".encode()
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the call, or pass it on."""
        if scope["type"] != "http" or not scope["path"].startswith(_TREES):
            await self._app(scope, receive, send)
            return
        fault = self._faults.strike()
        if fault:
            response: Response | None = await self._misbehave(fault, receive)
        elif not self._known(scope):
            response = error_response(refusal(20003), _CHALLENGE)
        else:
            response = None
        await (response or self._app)(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, encoded = header.partition(b" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(given, self._credentials)

    async def _misbehave(self, fault: RestFault, receive: Receive) -> Response:
        if fault.kind is FaultKind.GARBAGE:
            return PlainTextResponse("<html><h1>It works!</h1", media_type="text/html")
        if fault.kind is FaultKind.HANG:
            await self._hang(receive)
            return error_response(refusal(20503))
        known = {429: 20429, 500: 20500, 503: 20503}.get(fault.status)
        return error_response(
            refusal(known) if known else Refusal(20000 + fault.status, fault.status, "Twilio is unwell")
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


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
