"""``/sandbox/ports`` and ``/sandbox/portability``: asking for numbers, and moving their ports along."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.control.json_body import BadRequestError, allow_keys, read_object, text, texts
from sms_router.sandbox.state.ports import PortabilityAnswer, PortIn, Ports, PortStatus
from sms_router.sandbox.world.numbers import is_e164


class PortControl:
    """What the losing carrier and Twilio's porting team do."""

    def __init__(self, ports: Ports) -> None:
        """Steer ``ports``."""
        self._ports = ports

    def routes(self) -> list[Route]:
        """Return the paths."""
        return [
            Route("/sandbox/ports", self.list_all, methods=["GET"]),
            Route("/sandbox/ports", self.open, methods=["POST"]),
            Route("/sandbox/ports/{sid}", self.move, methods=["POST"]),
            Route("/sandbox/portability/{number}", self.declare, methods=["POST"]),
        ]

    async def list_all(self, _: Request) -> Response:
        """Return every port-in request."""
        return JSONResponse({"ports": [_shown(port) for port in self._ports.requests]})

    async def open(self, request: Request) -> Response:
        """Open a port-in request without its papers."""
        values = await read_object(request)
        allow_keys(values, ("phone_numbers",), "The port")
        numbers = texts(values, "phone_numbers")
        if not numbers or not all(map(is_e164, numbers)):
            raise BadRequestError("'phone_numbers' must be a list of numbers like +14155550199.")
        return JSONResponse(_shown(self._ports.open(numbers)), 201)

    async def move(self, request: Request) -> Response:
        """Let a request, or one of its numbers, come so far."""
        port = self._ports.find(request.path_params["sid"])
        if port is None:
            raise BadRequestError("There is no such port-in request; GET /sandbox/ports lists them.", 404)
        values = await read_object(request)
        allow_keys(values, ("status", "port_date", "reason", "phone_number"), "The port")
        reason = text(values, "reason") if "reason" in values else None
        moved = self._ports.move(port, _numbers(values, port), _status(values), _date(values), reason)
        return JSONResponse(_shown(moved))

    async def declare(self, request: Request) -> Response:
        """Set whether a number can be ported."""
        number, values = request.path_params["number"], await read_object(request)
        if not is_e164(number):
            raise BadRequestError(f"{number!r} is not a number that is ported; write it like +14155550199.")
        allow_keys(values, ("portable", "reason", "pin_required"), "The portability")
        portable, pin = values.get("portable"), values.get("pin_required", False)
        if not isinstance(portable, bool) or not isinstance(pin, bool):
            raise BadRequestError("'portable' must be true or false, and so must 'pin_required'.")
        reason = text(values, "reason") if "reason" in values else None
        self._ports.declare(number, PortabilityAnswer(portable, reason, pin))
        return Response(status_code=204)


def _numbers(values: Mapping[str, object], port: PortIn) -> list[str]:
    ours = [number.address for number in port.numbers]
    if "phone_number" not in values:
        return ours
    chosen = text(values, "phone_number")
    if chosen not in ours:
        raise BadRequestError(f"{chosen} is not part of it; its numbers: {', '.join(ours)}.")
    return [chosen]


def _status(values: Mapping[str, object]) -> PortStatus:
    try:
        return PortStatus(text(values, "status"))
    except ValueError as error:
        raise BadRequestError(
            f"'status' must be one of {', '.join(each.value for each in PortStatus)}."
        ) from error


def _date(values: Mapping[str, object]) -> datetime | None:
    if "port_date" not in values:
        return None
    try:
        moment = datetime.fromisoformat(text(values, "port_date"))
    except ValueError as error:
        raise BadRequestError(
            "'port_date' must be a day or a moment of ISO 8601, like 2026-12-01."
        ) from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _shown(port: PortIn) -> dict[str, object]:
    return {
        "port_in_request_sid": port.sid,
        "status": port.status,
        "phone_numbers": [
            {
                "phone_number": each.address,
                "status": each.status.value,
                "port_date": each.port_date.isoformat() if each.port_date is not None else None,
                "reason": each.reason,
            }
            for each in port.numbers
        ],
    }
