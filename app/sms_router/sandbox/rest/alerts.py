"""``/v1/Alerts`` of Twilio's Monitor: the debugger's list (facts 3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.rest.paging import paginate, v1_list
from sms_router.sandbox.rest.parameters import one_of, read_time
from sms_router.sandbox.rest.responses import Json, iso, not_found, origin
from sms_router.sandbox.sending.callbacks import API_VERSION
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts, DebuggerAlert
from sms_router.sandbox.world.errors import MORE_INFO

_LEVELS = ("error", "warning", "notice", "debug")


class AlertsResource:
    """The alerts: list, newest first, and fetch."""

    def __init__(self, account: Account, alerts: Alerts) -> None:
        self._account = account
        self._alerts = alerts

    def routes(self) -> list[Route]:
        return [
            Route("/v1/Alerts", self.list_all, methods=["GET"]),
            Route("/v1/Alerts/{sid}", self.fetch, methods=["GET"]),
        ]

    async def list_all(self, request: Request) -> Response:
        matching = [alert for alert in self._alerts.newest_first() if _matches(alert, request)]
        page = paginate(matching, request)
        base = f"{origin(request)}/v1/Alerts"
        return JSONResponse(v1_list(request, "alerts", page, lambda alert: self._render(alert, base)))

    async def fetch(self, request: Request) -> Response:
        """Return one alert; the sandbox does not keep the request and the response that it is about."""
        sid = request.path_params["sid"]
        alert = next((alert for alert in self._alerts.newest_first() if alert.sid == sid), None)
        if alert is None:
            raise not_found(request)
        more: Json = {"request_headers": None, "response_headers": None, "response_body": None}
        return JSONResponse({**self._render(alert, f"{origin(request)}/v1/Alerts"), **more})

    def _render(self, alert: DebuggerAlert, base: str) -> Json:
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
            "url": f"{base}/{alert.sid}",
        }


def _matches(alert: DebuggerAlert, request: Request) -> bool:
    query = request.query_params
    level = query.get("LogLevel")
    if level and one_of(*_LEVELS)("LogLevel", level) != alert.level.value:
        return False
    if query.get("StartDate") and alert.created < read_time("StartDate", query["StartDate"]):
        return False
    return not query.get("EndDate") or alert.created <= read_time("EndDate", query["EndDate"])
