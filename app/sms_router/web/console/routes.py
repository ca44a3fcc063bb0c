"""Which address of the console leads where."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sms_router.web.console.auth import Authenticator, ConsoleRequest, Endpoint, Page
from sms_router.web.console.contacts import ContactPages
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.keywords import Keywords
from sms_router.web.console.login_throttle import LoginThrottle
from sms_router.web.console.messages import MessagePages
from sms_router.web.console.overview import Overview
from sms_router.web.console.rendering import HERE, PageError, Pages
from sms_router.web.console.replays import Replays
from sms_router.web.console.senders import Senders
from sms_router.web.console.sessions import Sessions

_ASSETS = {"console.css": "text/css", "icon.svg": "image/svg+xml"}


def routes(desk: ConsoleContext, password: str, steady: Callable[[], float]) -> list[Route]:
    """Return the console's routes; ``steady`` is a clock that is never set back, in seconds."""
    pages = Pages(desk.clock, desk.settings.twilio.api_base_url)
    public_url, door = desk.settings.public_url, desk.settings.server.private_port
    secure = door is None and public_url.startswith("https:")  # nobody says how a private port is reached
    sessions, attempts = Sessions(password), LoginThrottle(steady)
    guard = Authenticator(sessions, desk.endings, attempts, pages, public_url, desk.clock, secure=secure)
    looks: dict[str, Page] = {}
    does: dict[str, Page] = {"/console/logout": guard.log_out}
    looks["/console"] = Overview(desk, pages).show
    messages = MessagePages(desk, pages)
    looks["/console/messages"] = messages.newest
    looks["/console/messages/{sid}"] = messages.show
    replays = Replays(desk, pages, messages.find)
    looks["/console/messages/{sid}/replay"] = replays.show
    does["/console/messages/{sid}/replay"] = replays.ask
    senders = Senders(desk, pages)
    looks["/console/senders"] = senders.show
    does["/console/senders/{sid}/cordon"] = senders.cordon
    does["/console/senders/{sid}/release"] = senders.release
    does["/console/services/{sid}/refresh"] = senders.refresh
    keywords = Keywords(desk, pages)
    looks["/console/keywords"] = keywords.show
    does["/console/keywords"] = keywords.explain
    people = ContactPages(desk, pages, messages.find)
    looks["/console/people"] = people.ask
    does["/console/people"] = people.show
    does["/console/people/opt-out"] = people.opt_out
    does["/console/people/opt-in"] = people.opt_in
    return [
        *(_asset(pages, name, media_type) for name, media_type in _ASSETS.items()),
        Route("/console/login", pages.with_security_headers(guard.login_page), methods=["GET"]),
        Route("/console/login", pages.with_security_headers(guard.log_in), methods=["POST"]),
        *(Route(path, guard.page(show), methods=["GET"]) for path, show in looks.items()),
        *(Route(path, guard.action(do), methods=["POST"]) for path, do in does.items()),
        Route("/console/", _to_overview),
        Route("/console/{rest:path}", guard.page(_nothing)),
    ]


async def _to_overview(_: Request) -> Response:
    return RedirectResponse("/console", 303)


async def _nothing(_: ConsoleRequest) -> Response:
    raise PageError(404, "There is no such page.")


def _asset(pages: Pages, name: str, media_type: str) -> Route:
    """Return the route of a file that pages are drawn with; it has no secrets, and may be kept a while."""
    content = (HERE / name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=300"})

    safe: Endpoint = pages.with_security_headers(endpoint)
    return Route(f"/console/{name}", safe, methods=["GET"])
