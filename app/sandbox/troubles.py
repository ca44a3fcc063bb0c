"""``/sandbox/alerts`` and ``/sandbox/faults``: what went wrong, and what shall go wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.alerts import Alert, Alerts
from app.sandbox.control import MistakeError, allow_keys, as_object, read_object, text, whole_number
from app.sandbox.faults import FaultKind, Faults, RestFault
from app.sandbox.refusals import MORE_INFO

_MOST_CALLS = 1_000_000


class Troubles:
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
        return JSONResponse(self._present())

    async def set_faults(self, request: Request) -> Response:
        """Switch faults on."""
        values = await read_object(request)
        allow_keys(values, ("rest",), "The faults")
        if "rest" not in values:
            raise MistakeError('Say what shall fail, such as {"rest": {"kind": "status", "status": 500}}.')
        self._faults.set_rest(_rest_fault(values["rest"]))
        return JSONResponse(self._present())

    async def clear_faults(self, _: Request) -> Response:
        """Switch all faults off."""
        self._faults.clear()
        return Response(status_code=204)

    def _present(self) -> dict[str, object]:
        fault = self._faults.rest
        if fault is None:
            return {}
        return {"rest": {"kind": fault.kind.value, "status": fault.status, "count": fault.count}}


def _rest_fault(value: object) -> RestFault:
    values = as_object(value, "'rest'")
    allow_keys(values, ("kind", "status", "count"), "'rest'")
    kinds = {kind.value: kind for kind in FaultKind}
    kind = text(values, "kind")
    if kind not in kinds:
        raise MistakeError(f"'kind' is {kind!r}; known: {', '.join(kinds)}.")
    status = whole_number(values, "status", 400, 599)
    if status is not None and kinds[kind] is not FaultKind.STATUS:
        raise MistakeError("'status' goes with kind 'status' only.")
    return RestFault(kinds[kind], status or 500, whole_number(values, "count", 1, _MOST_CALLS))


def _alert(alert: Alert) -> dict[str, object]:
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
