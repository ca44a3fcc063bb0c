"""The sandbox's own JSON: bodies, keys and mistakes in plain sentences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

PATHS = "/sandbox"
"""How the sandbox's own paths begin; all others are Twilio's."""

LARGEST_BODY = 256 * 1024
"""Bytes."""


class BadRequestError(Exception):
    """The caller's mistake, in a sentence that says what to change."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        """Answer ``sentence`` with ``status``."""
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


async def on_mistake(_: Request, error: Exception) -> JSONResponse:
    """Answer a mistake."""
    if not isinstance(error, BadRequestError):
        raise error
    return JSONResponse({"error": error.sentence}, error.status)


async def on_wrong_path(request: Request, error: HTTPException) -> JSONResponse:
    """Answer a path or a method that the sandbox does not have: with those that it has."""
    there = dict.fromkeys(
        f"{method} {route.path}"
        for route in request.app.routes
        if isinstance(route, Route) and route.path.startswith(PATHS)
        for method in sorted((route.methods or set()) - {"HEAD"})
    )
    sentence = f"There is no {request.method} {request.url.path} here, but: {', '.join(there)}."
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def read_object(request: Request) -> Mapping[str, object]:
    """Return the JSON object in a request's body."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_BODY:
            raise BadRequestError(f"The body is larger than {LARGEST_BODY} bytes.", 413)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"The body is not JSON: {error}") from error
    return as_object(value, "The body")


def as_object(value: object, name: str) -> Mapping[str, object]:
    """Return a JSON object; refuse anything else."""
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object.")
    return value


def allow_keys(values: Mapping[str, object], known: Iterable[str], name: str) -> None:
    """Refuse keys that mean nothing here, with the nearest one that does."""
    known = list(known)
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
            raise BadRequestError(f"{name} has an unknown key {key!r}; {advice}")


def text(values: Mapping[str, object], key: str, default: str | None = None) -> str:
    """Return a text; without a default it must be there."""
    value = values.get(key, default)
    if not isinstance(value, str):
        raise BadRequestError(f"{key!r} must be a text." if key in values else f"{key!r} is missing.")
    return value


def texts(values: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return a list of texts, empty when it is not there."""
    value = values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadRequestError(f"{key!r} must be a list of texts.")
    return tuple(value)


def whole_number(values: Mapping[str, object], key: str, lowest: int, highest: int) -> int | None:
    """Return a whole number in a range, or None when it is not there."""
    value = values.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise BadRequestError(f"{key!r} must be a whole number from {lowest} to {highest}.")
    return value
