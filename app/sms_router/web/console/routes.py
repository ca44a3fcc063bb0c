"""The addresses of the console's pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from sms_router.web.console.auth import Authenticator, ConsoleRequest, Endpoint, Page
from sms_router.web.console.contacts import ContactPages
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.keywords import KeywordPages
from sms_router.web.console.messages import MessagePages
from sms_router.web.console.overview import OverviewPage, SessionPages
from sms_router.web.console.rendering import FOLDER, PageError, Pages
from sms_router.web.console.replays import ReplayPages
from sms_router.web.console.senders import SenderPages

_ASSETS = {"console.css": "text/css", "icon.svg": "image/svg+xml"}


def routes(context: ConsoleContext, password: str, monotonic: Callable[[], float]) -> list[Route]:
    """Return the console's routes; ``monotonic`` is a clock in seconds."""
    pages = Pages(context.clock, context.settings)
    authenticator = Authenticator(context, pages, password, monotonic)
    messages = MessagePages(context, pages)
    replays = ReplayPages(context, pages, messages.find)
    senders = SenderPages(context, pages)
    keywords = KeywordPages(context, pages)
    sessions = SessionPages(context, pages)
    contacts = ContactPages(context, pages, messages.find)
    shown: dict[str, Page] = {
        "/console": OverviewPage(context, pages).show,
        "/console/messages": messages.list,
        "/console/messages/{sid}": messages.show,
        "/console/messages/{sid}/replay": replays.show,
        "/console/senders": senders.show,
        "/console/keywords": keywords.show,
        "/console/people": contacts.search,
        "/console/suspected": contacts.suspected,
        "/console/sessions": sessions.show,
    }
    posted: dict[str, Page] = {
        "/console/messages": messages.search,
        "/console/logout": authenticator.log_out,
        "/console/messages/{sid}/replay": replays.request,
        "/console/messages/{sid}/cancel": messages.cancel,
        "/console/senders/{sid}/cordon": senders.cordon,
        "/console/senders/{sid}/release": senders.release,
        "/console/services/{sid}/refresh": senders.refresh,
        "/console/keywords": keywords.explain,
        "/console/people": contacts.show,
        "/console/suspected": contacts.decide,
        "/console/people/opt-out": partial(contacts.change, is_opt_out=True),
        "/console/people/opt-in": partial(contacts.change, is_opt_out=False),
        "/console/sessions/{digest}/end": sessions.end,
    }
    return [
        *(_asset(pages, name, media_type) for name, media_type in _ASSETS.items()),
        Route("/console/login", pages.with_security_headers(authenticator.login_page), methods=["GET"]),
        Route("/console/login", pages.with_security_headers(authenticator.log_in), methods=["POST"]),
        *(Route(path, authenticator.page(page), methods=["GET"]) for path, page in shown.items()),
        *(Route(path, authenticator.action(page), methods=["POST"]) for path, page in posted.items()),
        Route("/console/", _redirect_to_overview),
        Route("/console/{rest:path}", authenticator.page(_not_found), methods=["GET", "POST"]),
    ]


async def _redirect_to_overview(_: Request) -> Response:
    return RedirectResponse("/console", 303)


async def _not_found(_: ConsoleRequest) -> Response:
    raise PageError(404, "There is no such page.")


def _asset(pages: Pages, name: str, media_type: str) -> Route:
    """Return the route of a static file, which needs no login and may be cached."""
    content = (FOLDER / name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=media_type, headers={"cache-control": "public, max-age=300"})

    wrapped: Endpoint = pages.with_security_headers(endpoint)
    return Route(f"/console/{name}", wrapped, methods=["GET"])
