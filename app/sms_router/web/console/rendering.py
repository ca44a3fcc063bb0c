"""Pages as HTML: the templates, what they may use, and the headers that every answer has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sms_router.privacy import mask_number, mask_text
from sms_router.routing.history.replay import in_words
from sms_router.routing.history.timeline import iso, moment_of
from sms_router.web.console.sessions import ConsoleSession

HERE = Path(__file__).parent

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
    """What was asked for is not there, or not to be done: a page that says so."""

    def __init__(self, status: int, sentence: str) -> None:
        """Take the HTTP status and what people are told."""
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Pages:
    """Renders templates."""

    def __init__(self, clock: Callable[[], float], stand_in: str) -> None:
        """``clock`` is in seconds since the epoch; ``stand_in`` is called in place of Twilio, if any."""
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            moment=moment_of,
            iso=iso,
            ago=lambda at: ago(at, clock()),
            masked=mask_number,
            hidden=mask_text,
        )
        environment.globals["stand_in"] = stand_in
        self._environment = environment

    def show(
        self, template: str, session: ConsoleSession | None, status: int = 200, **values: object
    ) -> Response:
        """Render a page for somebody, or for nobody in particular."""
        page = self._environment.get_template(template)
        return HTMLResponse(page.render(session=session, **values), status)

    def refusal(self, refused: PageError, session: ConsoleSession | None) -> Response:
        """Say that something is not to be had, or not to be done."""
        return self.show("refused.html", session, refused.status, sentence=refused.sentence)

    def with_security_headers(self, endpoint: Endpoint) -> Endpoint:
        """Add what every answer has, whatever it is."""

        async def safe(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except PageError as refused:
                response = self.refusal(refused, None)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return safe


def ago(at: float | None, now: float) -> str:
    """Say how long ago that was; ``at`` is in milliseconds, ``now`` in seconds since the epoch."""
    if not at:
        return ""
    passed = now * 1000 - at
    return "just now" if passed < 60_000 else f"{in_words(int(passed))} ago"
