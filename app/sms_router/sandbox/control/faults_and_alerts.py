"""``/sandbox/alerts`` and ``/sandbox/faults``: the debugger's list, and faults on request."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.control.json_body import BadRequestError, read_json
from sms_router.sandbox.state.alerts import Alerts, DebuggerAlert
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.world.errors import MORE_INFO
from sms_router.sandbox.world.fault import FaultSet


class FaultRoutes:
    """The debugger's list and the active faults over HTTP."""

    def __init__(self, alerts: Alerts, faults: Faults) -> None:
        self._alerts = alerts
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/alerts", self.list_alerts, methods=["GET"]),
            Route("/sandbox/faults", self.show_faults, methods=["GET"]),
            Route("/sandbox/faults", self.set_faults, methods=["POST"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
        ]

    async def list_alerts(self, _: Request) -> Response:
        """Return the alerts, newest first."""
        return JSONResponse({"alerts": [_alert(alert) for alert in self._alerts.newest_first()]})

    async def show_faults(self, _: Request) -> Response:
        """Return the active faults in the form in which they are set."""
        return JSONResponse(self._faults.active.model_dump(mode="json", exclude_none=True))

    async def set_faults(self, request: Request) -> Response:
        faults = await read_json(request, FaultSet)
        if faults == FaultSet():
            raise BadRequestError(
                'Say what should fail, such as {"rest": {"kind": "status", "status": 500}}.'
            )
        self._faults.switch_on(faults)
        return await self.show_faults(request)

    async def clear_faults(self, _: Request) -> Response:
        self._faults.clear()
        return Response(status_code=204)


def _alert(alert: DebuggerAlert) -> dict[str, object]:
    return {
        "sid": alert.sid,
        "error_code": alert.code,
        "log_level": alert.level.value,
        "alert_text": alert.text,
        "more_info": MORE_INFO.format(code=alert.code),
        "request_url": alert.request_url,
        "resource_sid": alert.resource_sid,
        "date_created": alert.created.isoformat(),
    }
