"""Basic authentication of every REST call."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from sms_router.sandbox.rest.responses import REST_PATHS, error_response
from sms_router.sandbox.world.errors import rejection

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Twilio API"'}


class AuthMiddleware:
    """Requires the account's sid and token for REST paths; the sandbox's own paths need no credentials."""

    def __init__(self, app: ASGIApp, account_sid: str, auth_token: str) -> None:
        self._app = app
        self._credentials = f"{account_sid}:{auth_token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        is_rest = scope["type"] == "http" and scope["path"].startswith(REST_PATHS)
        if is_rest and not self._is_authenticated(scope):
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
