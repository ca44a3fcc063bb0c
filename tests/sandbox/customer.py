"""A customer's application: it keeps what it was asked, and answers what the test wrote down."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.twilio.form import parse_form

Page = Response | Callable[[], Awaitable[Response]]


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    path: str
    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass
class Customer:
    """``pages`` maps paths to answers; any other path is answered by ``<Response/>``."""

    url: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    def asked_at(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == path]

    def says(self, path: str, inner: str) -> None:
        self.pages[path] = twiml(inner)

    async def _answer(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        url = self.url + raw_path + (f"?{query}" if query else "")
        form = dict(parse_form(await request.body()))
        self.asked.append(Asked(request.method, request.url.path, url, dict(request.headers), form))
        page = self.pages.get(request.url.path, twiml(""))
        return page if isinstance(page, Response) else await page()


def twiml(inner: str) -> Response:
    """Answer TwiML."""
    return Response(f"<Response>{inner}</Response>", media_type="application/xml")
