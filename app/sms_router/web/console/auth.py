"""Before each page: who asks, whether a form is ours, and what may be kept of the answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.source import PoolReadError
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.web.console.endings import RevokedSessions
from sms_router.web.console.login_throttle import LoginThrottle
from sms_router.web.console.origin import is_same_origin
from sms_router.web.console.rendering import PageError, Pages
from sms_router.web.console.sessions import LASTS, ConsoleSession, Sessions
from sms_router.web.http import Rejection, is_form, read_body, read_headers

log = logging.getLogger("sms_router.console")

COOKIE = "sms_router_console"

_OUR_PATH = re.compile(r"/console(/[A-Za-z0-9_-]+)*")
"""Where a login leads back to: never to another site."""


@dataclass(frozen=True, slots=True)
class ConsoleRequest:
    """One request of somebody who is logged in."""

    request: Request
    session: ConsoleSession
    form: Mapping[str, str]
    """Empty unless it was posted."""
    reveal: bool
    """Whether they have asked for numbers and texts in full."""

    def query(self, name: str) -> str:
        """Return a value of the query; empty when there is none."""
        return self.request.query_params.get(name, "")

    def place(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])


Page = Callable[[ConsoleRequest], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Authenticator:
    """Lets people in and out, and stands before every page."""

    def __init__(
        self,
        sessions: Sessions,
        endings: RevokedSessions,
        attempts: LoginThrottle,
        pages: Pages,
        public_url: str,
        clock: Callable[[], float],
        *,
        secure: bool,
    ) -> None:
        """``clock`` is in seconds since the epoch; with ``secure`` the cookie is for https alone."""
        self._sessions = sessions
        self._endings = endings
        self._attempts = attempts
        self._pages = pages
        self._public_url = public_url
        self._clock = clock
        self._secure = secure

    def page(self, show: Page) -> Endpoint:
        """Return the endpoint of a page that somebody looks at."""

        async def endpoint(request: Request) -> Response:
            session = await self._session(request)
            if session is None:
                asked = urlencode({"next": request.url.path})
                return RedirectResponse(f"/console/login?{asked}", 303)
            reveal = request.query_params.get("reveal") == "1"
            return await self._shown(show, ConsoleRequest(request, session, {}, reveal))

        return self._pages.with_security_headers(endpoint)

    def action(self, do: Page) -> Endpoint:
        """Return the endpoint of a form."""

        async def endpoint(request: Request) -> Response:
            session = await self._session(request)
            if session is None:
                return RedirectResponse("/console/login", 303)
            form = await self._form(request)
            if not self._sessions.check_csrf(session, form.get("csrf", "")):
                raise PageError(403, "This form is not of your session. Reload the page, and try again.")
            return await self._shown(do, ConsoleRequest(request, session, form, form.get("reveal") == "1"))

        return self._pages.with_security_headers(endpoint)

    async def _shown(self, page: Page, visit: ConsoleRequest) -> Response:
        try:
            return await page(visit)
        except PageError as refused:
            return self._pages.refusal(refused, visit.session)
        except (StoreUnavailableError, SharedStateError) as error:
            log.warning("a page of the console cannot be shown: %s", error)
            return self._pages.show("away.html", visit.session, status=503, why=str(error))
        except PoolReadError as error:
            return self._pages.refusal(PageError(502, f"Twilio could not be asked: {error}"), visit.session)

    async def login_page(self, request: Request) -> Response:
        """Ask for the password."""
        if await self._session(request) is not None:
            return RedirectResponse("/console", 303)
        return self._pages.show("login.html", None, next=request.query_params.get("next", ""), wrong="")

    async def log_in(self, request: Request) -> Response:
        """Take a password, and begin a session where it is the right one."""
        form = await self._form(request)
        peer = request.client.host if request.client is not None else ""
        following = form.get("next", "")
        wait = self._attempts.retry_after(peer)
        if wait:
            wrong = f"Too many wrong passwords. Try again in {wait + 1:.0f} seconds."
            response = self._pages.show("login.html", None, status=429, next=following, wrong=wrong)
            response.headers["retry-after"] = f"{wait + 1:.0f}"
            return response
        if not self._sessions.check_password(form.get("password", "")):
            self._attempts.failed(peer)
            log.warning("the console: a wrong password from %s", peer)
            wrong = "That is not the password."
            return self._pages.show("login.html", None, status=403, next=following, wrong=wrong)
        log.info("the console: somebody has logged in from %s", peer)
        response = RedirectResponse(following if _OUR_PATH.fullmatch(following) else "/console", 303)
        self._keep(request, response, self._sessions.open(self._clock()).token, LASTS)
        return response

    async def log_out(self, visit: ConsoleRequest) -> Response:
        """End the session, wherever else its cookie may be."""
        await self._endings.end(visit.session)
        response = RedirectResponse("/console/login", 303)
        self._keep(visit.request, response, "", 0)
        return response

    async def _session(self, request: Request) -> ConsoleSession | None:
        session = self._sessions.read(request.cookies.get(COOKIE, ""), self._clock())
        return None if session is None or await self._endings.is_revoked(session) else session

    def _keep(self, request: Request, response: Response, token: str, seconds: int) -> None:
        response.set_cookie(
            COOKIE,
            token,
            max_age=seconds,
            path="/console",
            secure=self._secure or request.headers.get("x-forwarded-proto") == "https",
            httponly=True,
            samesite="strict",
        )

    async def _form(self, request: Request) -> dict[str, str]:
        """Read a form of ours.

        Raises:
            Refused: when it is another site's, too large, or no form.

        """
        if not is_same_origin(request.headers, self._public_url):
            raise PageError(403, "This form was sent from another site.")
        headers = read_headers(request.scope)
        if not is_form(headers):
            raise PageError(415, "This is no form.")
        raw = await read_body(headers, request.receive)
        if isinstance(raw, Rejection):
            raise PageError(raw.status, f"The form cannot be read: {raw.word}.")
        try:
            return first_values(parse_form(raw))
        except MalformedFormError as error:
            raise PageError(400, f"The form cannot be read: {error}.") from error
