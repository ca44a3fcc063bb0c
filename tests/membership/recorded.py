"""A small HTTP server that answers a Messaging Service in the shapes that Twilio documents.

Pages are short and their links name Twilio's own hosts, so that paging and the base URL are
both put to the test.
"""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from sms_router.sandbox import hosting

ACCOUNT = "AC" + "a" * 32
TOKEN = "5ecre7" * 5
RECORDS_ON_A_PAGE = 2

Record = dict[str, Any]
Fault = Callable[[Request], Response | None]


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Run an application in a thread, on a port of the system's choice; give its base URL."""
    begun: Future[tuple[str, Callable[[], object]]] = Future()

    async def run() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with hosting.serve(app) as url:
            begun.set_result((url, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    url, end = begun.result(10)
    try:
        yield url
    finally:
        end()
        thread.join()


@dataclass
class RecordedTwilio:
    """One Service and the account around it; tests change the lists as operators would."""

    service_sid: str
    codes: list[Record] = field(default_factory=list)
    numbers: list[Record] = field(default_factory=list)
    names: list[Record] = field(default_factory=list)
    own: dict[str, Record] = field(default_factory=dict)
    settings: Record = field(default_factory=dict)
    account: Record = field(default_factory=dict)
    fault: Fault | None = None
    requests: list[str] = field(default_factory=list)

    def add_short_code(self, digits: str, country: str = "US", can: tuple[str, ...] = ("SMS", "MMS")) -> str:
        sid = f"SC{len(self.codes):032x}"
        self.codes.append(
            {"sid": sid, "short_code": digits, "country_code": country, "capabilities": list(can)}
        )
        self.own[sid] = {"sid": sid, "short_code": digits, "friendly_name": digits}
        return sid

    def add_number(
        self, address: str, country: str | None = "US", can: tuple[str, ...] = ("SMS", "Voice")
    ) -> str:
        sid = f"PN{len(self.numbers):032x}"
        self.numbers.append(
            {"sid": sid, "phone_number": address, "country_code": country, "capabilities": list(can)}
        )
        self.own[sid] = {
            "sid": sid,
            "phone_number": address,
            "friendly_name": f"Number {address}",
            "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        }
        return sid

    def add_name(self, name: str) -> str:
        sid = f"AI{len(self.names):032x}"
        self.names.append({"sid": sid, "alpha_sender": name, "capabilities": ["SMS"]})
        return sid

    def app(self) -> Starlette:
        service = f"/v1/Services/{self.service_sid}"
        account = f"/2010-04-01/Accounts/{ACCOUNT}"
        return Starlette(
            routes=[
                Route(service, self._service),
                Route(f"{service}/ShortCodes", self._v1("short_codes", lambda: self.codes)),
                Route(f"{service}/PhoneNumbers", self._v1("phone_numbers", lambda: self.numbers)),
                Route(f"{service}/AlphaSenders", self._v1("alpha_senders", lambda: self.names)),
                Route(f"{account}/SMS/ShortCodes.json", self._v2010("short_codes", "SC")),
                Route(f"{account}/IncomingPhoneNumbers.json", self._v2010("incoming_phone_numbers", "PN")),
                Route(f"{account}.json", self._account),
                Route("/{path:path}", _not_found),
            ]
        )

    def _refused(self, request: Request) -> Response | None:
        self.requests.append(request.url.path)
        if request.headers.get("authorization") != _basic(ACCOUNT, TOKEN):
            return _error(401, 20003, "Authenticate")
        return self.fault(request) if self.fault else None

    async def _service(self, request: Request) -> Response:
        body = {
            "sid": self.service_sid,
            "account_sid": ACCOUNT,
            "friendly_name": "Shop",
            "inbound_request_url": "https://sms.example.com/sms",
            "inbound_method": "POST",
            "fallback_url": None,
            "use_inbound_webhook_on_number": False,
            **self.settings,
        }
        return self._refused(request) or JSONResponse(body)

    async def _account(self, request: Request) -> Response:
        body = {"sid": ACCOUNT, "status": "active", "auth_token": TOKEN, **self.account}
        return self._refused(request) or JSONResponse(body)

    def _v1(self, key: str, records: Callable[[], list[Record]]) -> Callable[[Request], Any]:
        async def page(request: Request) -> Response:
            chosen, number, more = _page(request, records())
            base = f"https://messaging.twilio.com{request.url.path}"
            following = f"{base}?PageSize=1000&Page={number + 1}&PageToken=PT{number + 1}" if more else None
            meta = {"page": number, "page_size": 1000, "url": base, "key": key, "next_page_url": following}
            return self._refused(request) or JSONResponse({"meta": meta, key: chosen})

        return page

    def _v2010(self, key: str, prefix: str) -> Callable[[Request], Any]:
        async def page(request: Request) -> Response:
            records = [each for sid, each in self.own.items() if sid.startswith(prefix)]
            chosen, number, more = _page(request, records)
            path = request.url.path
            body = {
                "end": number,
                "first_page_uri": path,
                "next_page_uri": f"{path}?PageSize=1000&Page={number + 1}" if more else None,
                "page": number,
                "page_size": 1000,
                "previous_page_uri": None,
                "start": 0,
                "uri": path,
            }
            return self._refused(request) or JSONResponse({**body, key: chosen})

        return page


def failing(status: int, code: int, *, where: str = "") -> Fault:
    """Answer as Twilio does when it rejects a request, on paths that contain ``where``."""
    return lambda request: _error(status, code, "No.") if where in request.url.path else None


def page_two(fault: Fault) -> Fault:
    """Let the first pages pass and fail the ones after them."""
    return lambda request: fault(request) if request.query_params.get("Page", "0") != "0" else None


def answering(text: str, status: int = 200, *, where: str = "") -> Fault:
    """Answer something of one's own, as a proxy in between does."""
    return lambda request: Response(text, status) if where in request.url.path else None


def _page(request: Request, records: list[Record]) -> tuple[list[Record], int, bool]:
    number = int(request.query_params.get("Page", "0"))
    start = number * RECORDS_ON_A_PAGE
    end = start + RECORDS_ON_A_PAGE
    return records[start:end], number, len(records) > end


def _error(status: int, code: int, message: str) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": message, "more_info": more, "status": status}, status)


async def _not_found(request: Request) -> Response:
    return _error(404, 20404, f"The requested resource {request.url.path} was not found")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
