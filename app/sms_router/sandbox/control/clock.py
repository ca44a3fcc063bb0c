"""``/sandbox/clock``: the sandbox's time, and advancing a manual clock."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock, ManualClock, TimeControl
from sms_router.sandbox.control.json_body import BadRequestError, read_json
from sms_router.toml import StrictModel


class _Advance(StrictModel):
    advance: Annotated[float, Strict(), Field(gt=0, le=30 * 24 * 3600)]
    """Seconds."""


class ClockRoutes:
    """The clock over HTTP."""

    def __init__(self, clock: Clock, time_control: TimeControl) -> None:
        self._clock = clock
        self._time_control = time_control

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/clock", self.show, methods=["GET"]),
            Route("/sandbox/clock", self.advance, methods=["POST"]),
        ]

    async def show(self, _: Request) -> Response:
        """Return the time, and whether the clock is a manual one."""
        manual = isinstance(self._clock, ManualClock)
        return JSONResponse({"now": self._clock.now().isoformat(), "manual": manual})

    async def advance(self, request: Request) -> Response:
        """Advance a manual clock; return when everything that was due has happened."""
        step = await read_json(request, _Advance)
        if not isinstance(self._clock, ManualClock):
            raise BadRequestError(
                "This sandbox runs on the machine's clock; start it with: sms-router sandbox --manual-clock",
                409,
            )
        await self._time_control.advance(step.advance)
        return await self.show(request)
