"""A customer's application: it records the requests, and answers with the pages that a test has set."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sms_router.twilio.form import parse_form

Page = Response | Callable[[], Awaitable[Response]]


@dataclass(frozen=True)
class RecordedRequest:
    method: str
    path: str
    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass
class CustomerApplication:
    """``pages`` maps paths to responses; for any other path the response is ``<Response/>``."""

    url: str = ""
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[RecordedRequest] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    def requests_to(self, path: str) -> list[RecordedRequest]:
        return [request for request in self.requests if request.path == path]

    def set_twiml(self, path: str, verbs: str) -> None:
        self.pages[path] = twiml(verbs)

    async def _answer(self, request: Request) -> Response:
        raw_path = request.scope["raw_path"].decode()
        query = request.scope["query_string"].decode()
        url = self.url + raw_path + (f"?{query}" if query else "")
        form = dict(parse_form(await request.body()))
        recorded = RecordedRequest(request.method, request.url.path, url, dict(request.headers), form)
        self.requests.append(recorded)
        page = self.pages.get(request.url.path, twiml(""))
        return page if isinstance(page, Response) else await page()


def twiml(verbs: str) -> Response:
    return Response(f"<Response>{verbs}</Response>", media_type="application/xml")
