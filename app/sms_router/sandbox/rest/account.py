"""``Accounts``: the sandbox's only account; and Monitor's ``/v1/Alerts``, its debugger's list (facts 3)."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.rest.paging import classic_list, v1_list
from sms_router.sandbox.rest.parameters import one_of, read_time
from sms_router.sandbox.rest.responses import Json, Resource, iso, not_found, origin, rfc2822
from sms_router.sandbox.sending.callbacks import API_VERSION
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import DebuggerAlert
from sms_router.sandbox.world.errors import MORE_INFO
from sms_router.sandbox.world.numbers import FIRST_DAY

_SUBRESOURCES = {
    "incoming_phone_numbers": "IncomingPhoneNumbers",
    "messages": "Messages",
    "short_codes": "SMS/ShortCodes",
}
"""What the sandbox has; Twilio lists more."""

_LEVELS = ("error", "warning", "notice", "debug")


class AccountResource(Resource):
    """The account, with the token that signs its webhooks: list and fetch."""

    def routes(self) -> list[Route]:
        return [
            Route("/2010-04-01/Accounts.json", self.list_all, methods=["GET"]),
            Route("/2010-04-01/Accounts/{sid}.json", self.fetch, methods=["GET"]),
        ]

    async def list_all(self, request: Request) -> Response:
        query = request.query_params
        is_listed = query.get("Status") in (None, "", "active") and query.get("FriendlyName") in (
            None,
            "",
            self._account.friendly_name,
        )
        return classic_list(request, "accounts", [self._account] if is_listed else [], self._render)

    async def fetch(self, request: Request) -> Response:
        if request.path_params["sid"] != self._account.sid:
            raise not_found(request)
        return JSONResponse(self._render(self._account))

    def _render(self, account: Account) -> Json:
        uri = f"/2010-04-01/Accounts/{account.sid}"
        return {
            "sid": account.sid,
            "auth_token": self._platform.world.auth_token,
            "date_created": rfc2822(FIRST_DAY),
            "date_updated": rfc2822(FIRST_DAY),
            "friendly_name": account.friendly_name,
            "owner_account_sid": account.sid,
            "status": "active",
            "type": "Full",
            "subresource_uris": {name: f"{uri}/{path}.json" for name, path in _SUBRESOURCES.items()},
            "uri": f"{uri}.json",
        }


class AlertsResource(Resource):
    """The alerts: list, newest first, and fetch."""

    def routes(self) -> list[Route]:
        return [
            Route("/v1/Alerts", self.list_all, methods=["GET"]),
            Route("/v1/Alerts/{sid}", self.fetch, methods=["GET"]),
        ]

    async def list_all(self, request: Request) -> Response:
        matching = (alert for alert in self._platform.alerts.newest_first() if _matches(alert, request))
        return v1_list(request, "alerts", matching, partial(self._render, request))

    async def fetch(self, request: Request) -> Response:
        """Return one alert; the sandbox does not keep the request and the response that it is about."""
        sid = request.path_params["sid"]
        alert = next((alert for alert in self._platform.alerts.newest_first() if alert.sid == sid), None)
        if alert is None:
            raise not_found(request)
        more: Json = {"request_headers": None, "response_headers": None, "response_body": None}
        return JSONResponse({**self._render(request, alert), **more})

    def _render(self, request: Request, alert: DebuggerAlert) -> Json:
        return {
            "sid": alert.sid,
            "account_sid": self._account.sid,
            "alert_text": alert.text,
            "api_version": API_VERSION,
            "date_created": iso(alert.created),
            "date_generated": iso(alert.created),
            "date_updated": iso(alert.created),
            "error_code": str(alert.code),
            "log_level": alert.level.value,
            "more_info": MORE_INFO.format(code=alert.code),
            "request_method": None,
            "request_url": alert.request_url or None,
            "request_variables": None,
            "resource_sid": alert.resource_sid,
            "service_sid": None,
            "url": f"{origin(request)}/v1/Alerts/{alert.sid}",
        }


def _matches(alert: DebuggerAlert, request: Request) -> bool:
    query = request.query_params
    level = query.get("LogLevel")
    if level and one_of(*_LEVELS)("LogLevel", level) != alert.level.value:
        return False
    if query.get("StartDate") and alert.created < read_time("StartDate", query["StartDate"]):
        return False
    return not query.get("EndDate") or alert.created <= read_time("EndDate", query["EndDate"])
