"""JSON bodies and errors of the sandbox's own API."""

from __future__ import annotations

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sms_router.errors import ConfigurationError
from sms_router.toml import Model, validate

PATH_PREFIX = "/sandbox"
"""The sandbox's own paths; all others are Twilio's."""

MAX_BODY_BYTES = 256 * 1024
_MAX_MISTAKES = 10


class BadRequestError(Exception):
    """A mistake of the caller: the status, and a sentence that says what to change."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


async def on_bad_request(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, BadRequestError):
        raise error
    return JSONResponse({"error": error.sentence}, error.status)


async def on_unknown_path(request: Request, error: HTTPException) -> JSONResponse:
    """Answer an unknown path or method with the list of those that exist."""
    known = dict.fromkeys(
        f"{method} {route.path}"
        for route in request.app.routes
        if isinstance(route, Route) and route.path.startswith(PATH_PREFIX)
        for method in sorted((route.methods or set()) - {"HEAD"})
    )
    sentence = f"There is no {request.method} {request.url.path} here, but: {', '.join(known)}."
    if request.url.path == "/":
        sentence += " This is an offline Twilio; its phone is the command: sms-router text HOURS"
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def read_json(request: Request, model: type[Model], context: object = None) -> Model:
    """Return the JSON object in a request's body as a model.

    Raises:
        BadRequestError: when it is too large or not JSON, or with the mistakes in it.

    """
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise BadRequestError(f"The body is larger than {MAX_BODY_BYTES} bytes.", 413)
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
