"""Access to the console: login, sessions, CSRF tokens and the origin of forms."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.source import PoolReadError
from sms_router.store.errors import StoreUnavailableError
from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.phone_numbers import InvalidNumberError
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.login_throttle import LoginThrottle, client_address
from sms_router.web.console.rendering import PageError, Pages
from sms_router.web.console.sessions import DEVICE_LIFETIME, SESSION_LIFETIME, ConsoleSession, Sessions
from sms_router.web.http import Rejection, is_form, read_body, read_headers

log = logging.getLogger("sms_router.console")

COOKIE = "sms_router_console"
DEVICE_COOKIE = "sms_router_device"
NOTICE_COOKIE = "sms_router_notice"

NOTICE_LIFETIME = 60
"""Seconds until the page after a form must have been opened to show what the form did."""

_CONSOLE_PATH = re.compile(r"/console(/[A-Za-z0-9_-]+)*")
"""Where a login may redirect to: never to another site."""


@dataclass(frozen=True, slots=True)
class ConsoleRequest:
    """A request of a logged-in operator."""

    http: Request
    session: ConsoleSession
    form: Mapping[str, str]
    """Empty for a GET."""
    reveal: bool
    """Whether numbers and texts are shown in full."""
    asks_to_reveal: bool
    """Whether they are masked but for this request."""

    def query(self, name: str) -> str:
        """Return a query parameter; empty when it is missing."""
        return self.http.query_params.get(name, "")

    def query_page(self) -> int:
        """Return the query parameter ``page``; 0 when it is missing or not a number below 10,000."""
        page = self.query("page")
        return int(page) if page.isdecimal() and len(page) < 5 else 0

    def path_parameter(self, name: str) -> str:
        return str(self.http.path_params[name])


class Done(RedirectResponse):
    """The response to a form: the browser opens ``path``, and that page shows ``notice`` once."""

    def __init__(self, path: str, notice: str) -> None:
        super().__init__(path, 303)
        self.notice = notice


Page = Callable[[ConsoleRequest], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsolePages:
    """Pages of the console that belong together."""

    context: ConsoleContext
    pages: Pages

    def render(self, request: ConsoleRequest, template: str, **values: object) -> Response:
        return self.pages.show(template, request.session, 200, reveal=request.reveal, **values)


class Authenticator:
    """Logs operators in and out, and wraps every page and form with the check of their session.

    Args:
        context: has the sessions that are open, and the settings.
        pages: renders the login and the error pages.
        password: of the operators.
        monotonic: a clock in seconds.

    """

    def __init__(
        self, context: ConsoleContext, pages: Pages, password: str, monotonic: Callable[[], float]
    ) -> None:
        settings = context.settings
        self._settings = settings
        self._clock = context.clock
        self._registry = context.sessions
        self._pages = pages
        self._sessions = Sessions(password)
        self._throttle = LoginThrottle(monotonic)
        self._trusted_proxies = [ip_network(each, strict=False) for each in settings.console.trusted_proxies]
        # How a private port is reached is not known, so its cookie cannot be for https only.
        self._is_secure = settings.server.private_port is None and settings.public_url.startswith("https:")

    def page(self, show: Page) -> Endpoint:
        """Return the endpoint of a page that is read."""

        async def endpoint(http: Request) -> Response:
            session = await self._session(http)
            if session is None:
                query = urlencode({"next": http.url.path})
                return RedirectResponse(f"/console/login?{query}", 303)
            cookie = http.cookies.get(NOTICE_COOKIE, "")
            session = session._replace(notice=session.read_notice(cookie))
            request = self._request(http, session, http.query_params, {})
            response = await self._respond(show, request)
            if cookie:
                self._set_cookie(http, response, "", 0, NOTICE_COOKIE)
            return response

        return self._pages.with_security_headers(endpoint)

    def action(self, act: Page) -> Endpoint:
        """Return the endpoint of a form that is posted."""

        async def endpoint(http: Request) -> Response:
            session = await self._session(http)
            if session is None:
                return RedirectResponse("/console/login", 303)
            form = await self._form(http)
            if not self._sessions.check_csrf(session, form.get("csrf", "")):
                raise PageError(403, "This form belongs to another session. Reload the page and try again.")
            response = await self._respond(act, self._request(http, session, form, form))
            if isinstance(response, Done):
                cookie = session.sign_notice(response.notice)
                self._set_cookie(http, response, cookie, NOTICE_LIFETIME, NOTICE_COOKIE)
            return response

        return self._pages.with_security_headers(endpoint)

    def _request(
        self, http: Request, session: ConsoleSession, parameters: Mapping[str, str], form: Mapping[str, str]
    ) -> ConsoleRequest:
        is_open, is_asked = self._settings.is_open, parameters.get("reveal") == "1"
        return ConsoleRequest(http, session, form, is_open or is_asked, is_asked and not is_open)

    async def _respond(self, page: Page, request: ConsoleRequest) -> Response:
        try:
            return await page(request)
        except (PageError, InvalidNumberError) as error:
            page_error = error if isinstance(error, PageError) else PageError(400, f"{error}.")
            return self._pages.show_error(page_error, request.session)
        except (StoreUnavailableError, SharedStateError) as error:
            log.warning("a console page cannot be shown: %s", error)
            return self._pages.show("store_unavailable.html", request.session, status=503, why=str(error))
        except PoolReadError as error:
            message = PageError(502, f"Twilio could not be read: {error}")
            return self._pages.show_error(message, request.session)

    async def login_page(self, http: Request) -> Response:
        if await self._session(http) is not None:
            return RedirectResponse("/console", 303)
        return self._pages.show("login.html", None, next=http.query_params.get("next", ""), error="")

    async def log_in(self, http: Request) -> Response:
        form = await self._form(http)
        next_path = form.get("next", "")
        peer = http.client.host if http.client is not None else ""
        forwarded = ",".join(http.headers.getlist("x-forwarded-for"))
        address = client_address(peer, forwarded, self._trusted_proxies)
        device = http.cookies.get(DEVICE_COOKIE, "")
        is_known = self._sessions.is_device(device)
        source = device if is_known else address
        wait = self._throttle.retry_after(source, is_known=is_known)
        if wait:
            error = f"Too many wrong passwords. Try again in {wait + 1:.0f} seconds."
            response = self._pages.show("login.html", None, status=429, next=next_path, error=error)
            response.headers["retry-after"] = f"{wait + 1:.0f}"
            return response
        if not self._sessions.check_password(form.get("password", "")):
            self._throttle.record_failure(source, is_known=is_known)
            hint = ", a proxy that is not in trusted_proxies" if forwarded and address == peer else ""
            log.warning("wrong password from %s%s", address, hint)
            error = "The password is wrong."
            return self._pages.show("login.html", None, status=403, next=next_path, error=error)
        log.info("login from %s", address)
        response = RedirectResponse(next_path if _CONSOLE_PATH.fullmatch(next_path) else "/console", 303)
        session = self._sessions.open(self._clock())
        await self._registry.open(session, address, http.headers.get("user-agent", ""))
        self._set_cookie(http, response, session.token, SESSION_LIFETIME)
        if not is_known:
            device = self._sessions.new_device()
            self._set_cookie(http, response, device, DEVICE_LIFETIME, DEVICE_COOKIE, "/console/login")
        return response

    async def log_out(self, request: ConsoleRequest) -> Response:
        """End the session: copies of its cookie become useless too."""
        await self._registry.end(request.session.digest, request.session.expires)
        response = RedirectResponse("/console/login", 303)
        self._set_cookie(request.http, response, "", 0)
        return response

    async def _session(self, http: Request) -> ConsoleSession | None:
        session = self._sessions.read(http.cookies.get(COOKIE, ""), self._clock())
        return None if session is None or await self._registry.is_ended(session) else session

    def _set_cookie(
        self,
        http: Request,
        response: Response,
        value: str,
        lifetime: int,
        name: str = COOKIE,
        path: str = "/console",
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=lifetime,
            path=path,
            secure=self._is_secure or http.headers.get("x-forwarded-proto") == "https",
            httponly=True,
            samesite="strict",
        )

    async def _form(self, http: Request) -> dict[str, str]:
        """Read a posted form."""
        if not is_same_origin(http.headers, self._settings.public_url):
            raise PageError(403, "This form was sent from another site.")
        headers = read_headers(http.scope)
        if not is_form(headers):
            raise PageError(415, "The request is not a form.")
        raw = await read_body(headers, http.receive)
        if isinstance(raw, Rejection):
            raise PageError(raw.status, f"The form cannot be read: {raw.word}.")
        try:
            return first_values(parse_form(raw))
        except MalformedFormError as error:
            raise PageError(400, f"The form cannot be read: {error}.") from error


def is_same_origin(headers: Mapping[str, str], public_url: str) -> bool:
    """Return whether a request may come from a page of the console.

    ``headers`` have lower-case names. Browsers send no Sec-Fetch-Site over plain HTTP, and our pages send no
    referrer; the CSRF token decides then.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin in {None, "null"}:
        return True
    own = {headers.get("host", ""), urlsplit(public_url).netloc}
    _, _, authority = str(origin).partition("://")  # a client may send anything, so it may not be a URL
    return authority in own - {""}
