"""What the sandbox's own API requires of requests (a local Host, JSON bodies), and its error."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from sms_router.errors import ConfigurationError
from sms_router.sandbox.rest.parameters import MAX_BODY_BYTES, read_body
from sms_router.toml import Model, validate

PATH_PREFIX = "/sandbox"
"""The sandbox's own paths; all others are Twilio's."""

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_MISTAKES = 10


class BadRequestError(Exception):
    """A mistake of the caller: the status, and a sentence with the remedy."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


async def read_json(request: Request, model: type[Model], context: object = None) -> Model:
    """Return the JSON object in a request's body as a model.

    Raises:
        BadRequestError: when it is too large or not JSON, or with the mistakes in it.

    """
    raw = await read_body(request, BadRequestError(f"The body is larger than {MAX_BODY_BYTES} bytes.", 413))
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadRequestError("The body must be a JSON object.")
    try:
        return validate(content, model, context=context)
    except ConfigurationError as error:
        raise BadRequestError("; ".join(error.mistakes[:_MAX_MISTAKES])) from error


class LocalOnlyMiddleware:
    """Requires a local Host, and JSON in each POST, for the sandbox's own paths.

    It keeps web pages out of this API: a browser on the same machine would send their requests. A page of
    another site cannot send JSON without the permission of this server, and a name that resolves to this
    machine (DNS rebinding) is not a local Host.
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
