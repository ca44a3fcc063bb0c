"""Dates, JSON and errors, as Twilio writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from sms_router.sandbox.world.errors import MORE_INFO, ApiRejection, RefusedError, refusal

Json = dict[str, object]


def iso(moment: datetime) -> str:
    """Return a date of the ``/v1`` tree."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc2822(moment: datetime | None) -> str | None:
    """Return a date of the ``/2010-04-01`` tree."""
    return format_datetime(moment) if moment else None


def origin(request: Request) -> str:
    """Return scheme, host and port as the caller used them, for absolute URLs."""
    return f"{request.url.scheme}://{request.url.netloc}"


def error_response(refused: ApiRejection, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return Twilio's error body (facts 6.3)."""
    body = {
        "code": refused.code,
        "message": refused.message,
        "more_info": MORE_INFO.format(code=refused.code),
        "status": refused.status,
    }
    return JSONResponse(body, refused.status, headers=headers)


def not_found(request: Request) -> RefusedError:
    """Return the error for something that does not exist."""
    return RefusedError(refusal(20404, path=request.url.path))


async def on_refusal(_: Request, error: Exception) -> JSONResponse:
    """Answer a refusal."""
    if not isinstance(error, RefusedError):
        raise error
    return error_response(error.refusal)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an unknown path or a wrong method as Twilio does."""
    if not isinstance(error, HTTPException):
        raise error
    code = 20004 if error.status_code == 405 else 20404
    return error_response(refusal(code, path=request.url.path), error.headers)
