"""``/sandbox/clock``, ``/sandbox/faults`` and ``/sandbox/alerts``: time, failures, the debugger's list."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.control.requests import BadRequestError, read_json
from sms_router.sandbox.rest.responses import Resource
from sms_router.sandbox.world.errors import MORE_INFO
from sms_router.sandbox.world.fault import FaultSet
from sms_router.toml import StrictModel


class _Advance(StrictModel):
    advance: Annotated[float, Strict(), Field(gt=0, le=30 * 24 * 3600)]
    """Seconds."""


class FaultAndClockRoutes(Resource):
    """The clock, the active faults and the alerts over HTTP."""

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/alerts", self.list_alerts, methods=["GET"]),
            Route("/sandbox/faults", self.show_faults, methods=["GET"]),
            Route("/sandbox/faults", self.set_faults, methods=["POST"]),
            Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
            Route("/sandbox/clock", self.show_clock, methods=["GET"]),
            Route("/sandbox/clock", self.advance_clock, methods=["POST"]),
        ]

    async def list_alerts(self, _: Request) -> Response:
        alerts = [
            {
                "sid": alert.sid,
                "error_code": alert.code,
                "log_level": alert.level.value,
                "alert_text": alert.text,
                "more_info": MORE_INFO.format(code=alert.code),
                "request_url": alert.request_url,
                "resource_sid": alert.resource_sid,
                "date_created": alert.created.isoformat(),
            }
            for alert in self._platform.alerts.newest_first()
        ]
        return JSONResponse({"alerts": alerts})

    async def show_faults(self, _: Request) -> Response:
        """Return the active faults in the form in which they are set."""
        return JSONResponse(self._platform.faults.active.model_dump(mode="json", exclude_none=True))

    async def set_faults(self, request: Request) -> Response:
        faults = await read_json(request, FaultSet)
        if faults == FaultSet():
            raise BadRequestError(
                'Name what should fail, such as {"rest": {"kind": "status", "status": 500}}.'
            )
        self._platform.faults.switch_on(faults)
        return await self.show_faults(request)

    async def clear_faults(self, _: Request) -> Response:
        self._platform.faults.clear()
        return Response(status_code=204)

    async def show_clock(self, _: Request) -> Response:
        clock = self._platform.clock
        return JSONResponse({"now": clock.now().isoformat(), "manual": isinstance(clock, ManualClock)})

    async def advance_clock(self, request: Request) -> Response:
        """Advance a manual clock; return when everything that was due has happened."""
        step = await read_json(request, _Advance)
        if not isinstance(self._platform.clock, ManualClock):
            raise BadRequestError(
                "This sandbox runs on the machine's clock; start it with: sms-router sandbox --manual-clock",
                409,
            )
        await self._platform.time_control.advance(step.advance)
        return await self.show_clock(request)
