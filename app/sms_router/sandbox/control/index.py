"""``GET /``: a page that tells what this server is, with commands to paste and the paths that exist."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sms_router.sandbox.control.requests import PATH_PREFIX
from sms_router.sandbox.rest.responses import Resource, origin

_TEMPLATE = Template(Path(__file__).with_name("index.html").read_text("utf-8"))


class IndexPage(Resource):
    """The page; it contains no secret, because it can be read with any ``Host``."""

    def routes(self) -> list[Route]:
        return [Route("/", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        numbers = [escape(number.address) for number in self._account.numbers]
        lines = [f"<li><code>{escape(line)}</code></li>" for line in describe_routes(request)]
        page = _TEMPLATE.substitute(
            base=escape(origin(request)),
            account=escape(self._account.sid),
            service=escape(next((service.sid for service in self._account.services), "none")),
            numbers=", ".join(f"<code>{number}</code>" for number in numbers) or "none",
            number=next(iter(numbers), "12345"),
            own="".join(line for line in lines if PATH_PREFIX in line),
            twilio="".join(line for line in lines if PATH_PREFIX not in line),
        )
        return HTMLResponse(page)


def describe_routes(request: Request) -> Iterator[str]:
    """Yield the method and the path of each route, such as ``GET /sandbox/alerts``, but for this page."""
    for route in request.app.routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if route.path != "/":
                yield f"{method} {route.path}"
