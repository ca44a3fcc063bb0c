"""Which address of the console leads where."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from app.web.console.attempts import Attempts
from app.web.console.desk import Desk
from app.web.console.guard import Endpoint, Guard, Page, Visit
from app.web.console.messages import Messages
from app.web.console.overview import Overview
from app.web.console.rendering import HERE, Pages, Refused
from app.web.console.sessions import Sessions

_ASSETS = {"console.css": "text/css", "icon.svg": "image/svg+xml"}


def routes(desk: Desk, password: str, steady: Callable[[], float]) -> list[Route]:
    """Return the console's routes; ``steady`` is a clock that is never set back, in seconds."""
    pages = Pages(desk.clock, desk.settings.twilio.api_base_url)
    guard = Guard(Sessions(password), Attempts(steady), pages, desk.settings.public_url, desk.clock)
    looks: dict[str, Page] = {}
    does: dict[str, Page] = {"/console/logout": guard.log_out}
    overview, messages = Overview(desk, pages), Messages(desk, pages)
    looks["/console"] = overview.show
    looks["/console/messages"] = messages.newest
    looks["/console/messages/{sid}"] = messages.story
    return [
        *(_asset(pages, name, media_type) for name, media_type in _ASSETS.items()),
        Route("/console/login", pages.guarded(guard.login_page), methods=["GET"]),
        Route("/console/login", pages.guarded(guard.log_in), methods=["POST"]),
        *(Route(path, guard.page(show), methods=["GET"]) for path, show in looks.items()),
        *(Route(path, guard.action(do), methods=["POST"]) for path, do in does.items()),
        Route("/console/", _to_overview),
        Route("/console/{rest:path}", guard.page(_nothing)),
    ]


async def _to_overview(_: Request) -> Response:
    return RedirectResponse("/console", 303)


async def _nothing(_: Visit) -> Response:
    raise Refused(404, "There is no such page.")


def _asset(pages: Pages, name: str, media_type: str) -> Route:
    """Return the route of a file that pages are drawn with; it has no secrets, and may be kept a while."""
    content = (HERE / name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=300"})

    safe: Endpoint = pages.guarded(endpoint)
    return Route(f"/console/{name}", safe, methods=["GET"])
