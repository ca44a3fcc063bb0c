"""What the resources share: the parts of the sandbox; dates, JSON and errors, as Twilio writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.world.errors import MORE_INFO, ApiRejection, RejectedError, rejection

Json = dict[str, object]


class Resource:
    """Endpoints of one resource: Twilio's, or the sandbox's own."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._account = platform.account
        self._clock = platform.clock

    def routes(self) -> list[Route]:
        raise NotImplementedError


def iso(moment: datetime) -> str:
    """Format a date as the ``/v1`` tree does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc2822(moment: datetime | None) -> str | None:
    """Format a date as the ``/2010-04-01`` tree does."""
    return format_datetime(moment) if moment else None


def origin(request: Request) -> str:
    """Return scheme, host and port that the caller used, for absolute URLs."""
    return f"{request.url.scheme}://{request.url.netloc}"


def error_response(rejected: ApiRejection, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return Twilio's error body (facts 6.3)."""
    body = {
        "code": rejected.code,
        "message": rejected.message,
        "more_info": MORE_INFO.format(code=rejected.code),
        "status": rejected.status,
    }
    return JSONResponse(body, rejected.status, headers=headers)


def not_found(request: Request) -> RejectedError:
    return RejectedError(rejection(20404, path=request.url.path))
