"""``/sandbox/ports`` and ``/sandbox/portability``: what the losing carrier and Twilio's porting team do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import parse_time
from sms_router.sandbox.control.requests import BadRequestError, read_json
from sms_router.sandbox.rest.responses import Resource
from sms_router.sandbox.state.ports import PortabilityResult, PortIn, PortStatus
from sms_router.sandbox.world.numbers import is_e164
from sms_router.sandbox.world.types import E164, Flag
from sms_router.toml import StrictModel


def _date(value: object) -> datetime:
    try:
        return parse_time(str(value))
    except ValueError as error:
        raise ValueError("expected a date or a date and time of ISO 8601, like 2026-12-01") from error


_ACCEPTED = (
    PortStatus.WAITING_FOR_SIGNATURE,
    PortStatus.SUBMITTED,
    PortStatus.PENDING,
    PortStatus.COMPLETED,
)
_PLAYS = {
    "accepted": _ACCEPTED,
    "rejected": (*_ACCEPTED[:2], PortStatus.REJECTED, PortStatus.IN_REVIEW, *_ACCEPTED),
}
"""The statuses of a port that advances by itself after its review; a rejected one is submitted again."""

_REJECTION = "The PIN does not match"


class _NewPort(StrictModel):
    phone_numbers: Annotated[tuple[E164, ...], Field(min_length=1)]
    plays: Literal["accepted", "rejected"] | None = None
    pace: Annotated[float, Field(gt=0, le=30 * 24 * 3600)] = 60.0
    """Seconds of the sandbox's clock between two statuses."""


class _PortChange(StrictModel):
    status: PortStatus
    port_date: Annotated[datetime | None, BeforeValidator(_date)] = None
    reason: str | None = None
    phone_number: str | None = None


class _PortabilityBody(StrictModel):
    portable: Flag
    reason: str | None = None
    pin_required: Flag = False


class PortRoutes(Resource):
    """Port-in requests over HTTP."""

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/ports", self.list_all, methods=["GET"]),
            Route("/sandbox/ports", self.open, methods=["POST"]),
            Route("/sandbox/ports/{sid}", self.change, methods=["POST"]),
            Route("/sandbox/portability/{number}", self.set_portability, methods=["POST"]),
        ]

    async def list_all(self, _: Request) -> Response:
        return JSONResponse({"ports": [_render(port) for port in self._platform.ports.requests]})

    async def open(self, request: Request) -> Response:
        """Open a port-in request without its documents; with ``plays`` it advances by itself."""
        body = await read_json(request, _NewPort)
        if body.plays is not None and self._platform.port_plays.is_full:
            raise BadRequestError("Too many ports advance by themselves.", 409)
        port = self._platform.ports.open(body.phone_numbers)
        if body.plays is not None:
            self._platform.port_plays.start(self._play(port.sid, _PLAYS[body.plays], body.pace))
        return JSONResponse(_render(port), 201)

    async def _play(self, sid: str, statuses: Sequence[PortStatus], pace: float) -> None:
        ports, clock = self._platform.ports, self._platform.clock
        for status in statuses:
            await clock.sleep(pace)
            port = ports.find(sid)
            if port is None or any(number.status is PortStatus.CANCELED for number in port.numbers):
                return
            date = clock.now() + timedelta(seconds=pace) if status is PortStatus.PENDING else None
            reason = _REJECTION if status is PortStatus.REJECTED else None
            ports.set_status(port, port.addresses, status, date, reason)

    async def change(self, request: Request) -> Response:
        """Set the status of all numbers of a request, or of one."""
        port = self._platform.ports.find(request.path_params["sid"])
        if port is None:
            raise BadRequestError("There is no such port-in request; GET /sandbox/ports lists them.", 404)
        body = await read_json(request, _PortChange)
        addresses = port.addresses
        if body.phone_number is not None:
            if body.phone_number not in addresses:
                raise BadRequestError(
                    f"{body.phone_number} is not part of it; its numbers: {', '.join(addresses)}."
                )
            addresses = (body.phone_number,)
        changed = self._platform.ports.set_status(port, addresses, body.status, body.port_date, body.reason)
        return JSONResponse(_render(changed))

    async def set_portability(self, request: Request) -> Response:
        number = request.path_params["number"]
        if not is_e164(number):
            raise BadRequestError(f"{number!r} is not a phone number; write it like +14155550199.")
        body = await read_json(request, _PortabilityBody)
        portability = PortabilityResult(body.portable, body.reason, body.pin_required)
        self._platform.ports.set_portability(number, portability)
        return Response(status_code=204)


def _render(port: PortIn) -> dict[str, object]:
    return {
        "port_in_request_sid": port.sid,
        "status": port.status,
        "phone_numbers": [
            {
                "phone_number": number.address,
                "status": number.status.value,
                "port_date": number.port_date.isoformat() if number.port_date is not None else None,
                "reason": number.reason,
            }
            for number in port.numbers
        ],
    }
