"""Pages as HTML: the templates, their filters, and the headers of every response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sms_router.config.settings import Settings
from sms_router.privacy import mask_text
from sms_router.routing.history.replay import format_duration
from sms_router.routing.history.timeline import format_iso, format_time
from sms_router.web.console.sessions import ConsoleSession

FOLDER = Path(__file__).parent

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

Endpoint = Callable[[Request], Awaitable[Response]]


class PageError(Exception):
    """A page does not exist, or a form cannot be accepted: an HTTP status and a sentence for the operator."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Pages:
    """Renders the templates; ``clock`` is in seconds since the epoch."""

    def __init__(self, clock: Callable[[], float], settings: Settings) -> None:
        environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            moment=format_time,
            iso=format_iso,
            ago=lambda at: format_ago(at, clock()),
            hidden=mask_text,
        )
        environment.globals.update(api_base_url=settings.twilio.api_base_url, is_open=settings.is_open)
        self._environment = environment

    def show(
        self, template: str, session: ConsoleSession | None, status: int = 200, **values: object
    ) -> Response:
        """Render a page; ``session`` is None for a visitor who is not logged in."""
        page = self._environment.get_template(template)
        return HTMLResponse(page.render(session=session, **values), status)

    def show_error(self, error: PageError, session: ConsoleSession | None) -> Response:
        return self.show(
            "error.html", session, error.status, sentence=error.sentence, missing=error.status == 404
        )

    def with_security_headers(self, endpoint: Endpoint) -> Endpoint:
        """Wrap an endpoint: page errors are rendered, and every response gets `HEADERS`."""

        async def wrapped(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except PageError as error:
                response = self.show_error(error, None)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return wrapped


def format_ago(at: float | None, now: float) -> str:
    """Return how long ago ``at`` (milliseconds) is at ``now`` (seconds since the epoch)."""
    if not at:
        return ""
    elapsed = now * 1000 - at
    return "just now" if elapsed < 60_000 else f"{format_duration(int(elapsed))} ago"
