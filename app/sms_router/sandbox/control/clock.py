"""``/sandbox/clock``: what time it is in the sandbox, and going on when its clock stands still."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock, ManualClock
from sms_router.sandbox.control.json_body import BadRequestError, allow_keys, read_object
from sms_router.sandbox.time_control import TimeControl

LONGEST_STEP = 30 * 24 * 3600
"""Seconds."""


class ClockRoutes:
    """The clock over HTTP."""

    def __init__(self, clock: Clock, pace: TimeControl) -> None:
        """Show ``clock``, and drive it through ``pace``."""
        self._clock = clock
        self._pace = pace

    def routes(self) -> list[Route]:
        """Return the paths."""
        return [
            Route("/sandbox/clock", self.show, methods=["GET"]),
            Route("/sandbox/clock", self.advance, methods=["POST"]),
        ]

    async def show(self, _: Request) -> Response:
        """Return the time, and whether the clock waits to be driven."""
        return self._present()

    async def advance(self, request: Request) -> Response:
        """Go on by so many seconds; return when everything that was due has happened."""
        values = await read_object(request)
        allow_keys(values, ("advance",), "The clock")
        seconds = values.get("advance")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool):
            raise BadRequestError("'advance' must be a number of seconds.")
        if not 0 < seconds <= LONGEST_STEP:
            raise BadRequestError(f"'advance' must be more than 0 and at most {LONGEST_STEP} seconds.")
        if not isinstance(self._clock, ManualClock):
            raise BadRequestError(
                "This sandbox runs on the machine's clock; start it with: sms-router sandbox --manual-clock",
                409,
            )
        await self._pace.advance(seconds)
        return self._present()

    def _present(self) -> Response:
        manual = isinstance(self._clock, ManualClock)
        return JSONResponse({"now": self._clock.now().isoformat(), "manual": manual})
