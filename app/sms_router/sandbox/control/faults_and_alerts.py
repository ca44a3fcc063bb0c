"""``/sandbox/alerts`` and ``/sandbox/faults``: what went wrong, and what shall go wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.control.json_body import BadRequestError, read_object
from sms_router.sandbox.state.alerts import Alerts, DebuggerAlert
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.world.errors import MORE_INFO
from sms_router.sandbox.world.faults_config import read_faults, shown
from sms_router.sandbox.world.toml_table import Table


class FaultRoutes:
    """The debugger's list and the faults that are switched on."""

    def __init__(self, alerts: Alerts, faults: Faults) -> None:
        """Serve ``alerts`` and steer ``faults``."""
        self._alerts = alerts
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the paths."""
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
        """Return the faults that are switched on."""
        return JSONResponse(shown(self._faults.present))

    async def set_faults(self, request: Request) -> Response:
        """Switch faults on."""
        values = await read_object(request)
        if not values:
            raise BadRequestError(
                'Say what should fail, such as {"rest": {"kind": "status", "status": 500}}.'
            )
        mistakes: list[str] = []
        faults = read_faults(Table(dict(values), "", mistakes))
        if mistakes:
            raise BadRequestError("; ".join(mistakes))
        self._faults.switch_on(faults)
        return JSONResponse(shown(self._faults.present))

    async def clear_faults(self, _: Request) -> Response:
        """Switch all faults off."""
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
        "date_created": alert.at.isoformat(),
    }
