"""What every REST call passes first: the faults that are switched on, then the credentials."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from sms_router.sandbox.rest.fault_injection import FaultInjector
from sms_router.sandbox.rest.responses import error_response
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.world.errors import refusal

_TREES = ("/v1/", "/2010-04-01/")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Twilio API"'}


class AuthMiddleware:
    """ASGI middleware around the REST trees; the sandbox's own paths pass untouched."""

    def __init__(self, app: ASGIApp, account_sid: str, auth_token: str, faults: Faults) -> None:
        """Let in those who know the account's sid and token."""
        self._app = app
        self._credentials = f"{account_sid}:{auth_token}".encode()
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the call, or pass it on."""
        if scope["type"] != "http" or not scope["path"].startswith(_TREES):
            await self._app(scope, receive, send)
            return
        fault = self._faults.strike_rest(scope["path"])
        if fault:
            await FaultInjector(fault, self._faults, self._let_in)(scope, receive, send)
        else:
            await self._let_in(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app if self._known(scope) else error_response(refusal(20003), _CHALLENGE)
        await app(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, encoded = header.partition(b" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(given, self._credentials)
