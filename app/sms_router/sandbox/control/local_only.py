"""Keeps web pages out of the sandbox's own API: a browser on the same machine would send their requests."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sms_router.sandbox.control.json_body import PATH_PREFIX

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class LocalOnlyMiddleware:
    """Requires a local Host, and JSON in each POST, for the sandbox's own paths.

    A page of another site cannot send JSON without the permission of this server, and a name that resolves to
    this machine (DNS rebinding) is not a local Host.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and scope["path"].startswith(PATH_PREFIX):
            app = _refuse(scope["method"], Headers(scope=scope)) or app
        await app(scope, receive, send)


def _refuse(method: str, headers: Headers) -> JSONResponse | None:
    if not _is_local(headers.get("host", "")):
        sentence = "The Host header must be 127.0.0.1, localhost or [::1]: this API is for this machine only."
        return JSONResponse({"error": sentence}, 403)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method == "POST" and media_type != "application/json":
        sentence = "The Content-Type must be application/json; with curl: --json '{...}'."
        return JSONResponse({"error": sentence}, 415)
    return None


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_HOSTS
    except ValueError:
        return False
