"""``/v1/Porting`` of ``numbers.twilio.com``: portability and port-in requests (facts 9.3)."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest.paging import v1_list
from sms_router.sandbox.rest.parameters import invalid, read_body
from sms_router.sandbox.rest.responses import Json, Resource, iso, not_found, origin
from sms_router.sandbox.state.ports import PortIn, PortingNumber, PortStatus
from sms_router.sandbox.world.numbers import NumberKind, country_of, is_e164, kind_of

MAX_NUMBERS = 1000


class PortingResource(Resource):
    """Portability of numbers, and port-in requests."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._ports = platform.ports

    def routes(self) -> list[Route]:
        one_number = "/v1/Porting/PortIn/{sid}/PhoneNumber/{number_sid}"
        return [
            Route("/v1/Porting/Portability/PhoneNumber/{number}", self.portability, methods=["GET"]),
            Route("/v1/Porting/PortIn/PortInRequests", self.list_all, methods=["GET"]),
            Route("/v1/Porting/PortIn", self.create, methods=["POST"]),
            Route("/v1/Porting/PortIn/{sid}", self.fetch, methods=["GET"]),
            Route("/v1/Porting/PortIn/{sid}", self.cancel, methods=["DELETE"]),
            Route(one_number, self.fetch_number, methods=["GET"]),
            Route(one_number, self.cancel_number, methods=["DELETE"]),
        ]

    async def portability(self, request: Request) -> Response:
        """Return whether a number can be ported, without the codes of the reasons, which are not known."""
        address = request.path_params["number"]
        if not is_e164(address):
            raise invalid(f"{address} is not a number in E.164")
        portability = self._ports.portability(address)
        number = self._account.number_at(address)
        return JSONResponse(
            {
                "phone_number": address,
                "account_sid": self._account.sid if number is not None else None,
                "portable": portability.is_portable,
                "pin_and_account_number_required": portability.pin_required,
                "not_portable_reason": portability.reason,
                "not_portable_reason_code": None,
                "number_type": _number_type(address),
                "country": country_of(address) or None,
                "url": f"{origin(request)}{request.url.path}",
            }
        )

    async def create(self, request: Request) -> Response:
        """Open a request: the numbers, a bill, and the data of the losing carrier."""
        body = await _read_json(request)
        if not body.get("documents"):
            raise invalid("documents needs the sid of a Utility Bill at least")
        if not isinstance(body.get("losing_carrier_information"), dict):
            raise invalid("losing_carrier_information is missing")
        numbers = body.get("phone_numbers")
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= MAX_NUMBERS:
            raise invalid(f"phone_numbers must hold 1 to {MAX_NUMBERS} numbers")
        addresses = [
            str(number.get("phone_number")) if isinstance(number, dict) else "" for number in numbers
        ]
        for address in addresses:
            if not is_e164(address):
                raise invalid(f"phone_number {address} is not a number in E.164")
        return JSONResponse(self._render(request, self._ports.open(addresses)), 201)

    async def list_all(self, request: Request) -> Response:
        return v1_list(request, "port_in_requests", self._ports.requests, _summary)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(request, self._find(request)))

    async def cancel(self, request: Request) -> Response:
        """Cancel the numbers that are not ported yet."""
        port = self._find(request)
        remaining = [number.address for number in port.numbers if number.status is not PortStatus.COMPLETED]
        self._ports.set_status(port, remaining, PortStatus.CANCELED)
        return Response(status_code=204)

    async def fetch_number(self, request: Request) -> Response:
        port, number = self._find_number(request)
        return JSONResponse(
            {
                **self._number(number),
                "port_in_request_sid": port.sid,
                "phone_number_sid": number.sid,
                "account_sid": self._account.sid,
                "date_created": iso(port.created),
                "last_updated": iso(port.created),
                "port_out_pin": None,
                "url": f"{origin(request)}{request.url.path}",
            }
        )

    async def cancel_number(self, request: Request) -> Response:
        """Cancel one number of a request, unless it is ported already."""
        port, number = self._find_number(request)
        if number.status is not PortStatus.COMPLETED:
            self._ports.set_status(port, [number.address], PortStatus.CANCELED)
        return Response(status_code=204)

    def _find_number(self, request: Request) -> tuple[PortIn, PortingNumber]:
        port, sid = self._find(request), request.path_params["number_sid"]
        number = next((number for number in port.numbers if number.sid == sid), None)
        if number is None:
            raise not_found(request)
        return port, number

    def _find(self, request: Request) -> PortIn:
        port = self._ports.find(request.path_params["sid"])
        if port is None:
            raise not_found(request)
        return port

    def _render(self, request: Request, port: PortIn) -> Json:
        return {
            "port_in_request_sid": port.sid,
            "url": f"{origin(request)}/v1/Porting/PortIn/{port.sid}",
            "account_sid": self._account.sid,
            "notification_emails": [],
            "target_port_in_date": None,
            "target_port_in_time_range_start": None,
            "target_port_in_time_range_end": None,
            "port_in_request_status": port.status,
            "order_cancellation_reason": None,
            "losing_carrier_information": None,
            "phone_numbers": [self._number(number) for number in port.numbers],
            "bundle_sid": None,
            "portability_advance_carrier": None,
            "auto_cancel_approval_numbers": None,
            "documents": [],
            "date_created": iso(port.created),
            "support_ticket_id": None,
            "signature_request_url": None,
        }

    def _number(self, number: PortingNumber) -> Json:
        """Render one number, without the codes of rejections, which are not known."""
        return {
            "port_in_phone_number_sid": number.sid,
            "phone_number": number.address,
            "phone_number_type": _number_type(number.address),
            "country": country_of(number.address) or None,
            "missing_required_fields": False,
            "portable": True,
            "not_portability_reason": None,
            "not_portability_reason_code": None,
            "port_in_phone_number_status": number.status.value,
            "rejection_reason": number.reason,
            "rejection_reason_code": None,
            "port_date": iso(number.port_date) if number.port_date is not None else None,
        }


def _summary(port: PortIn) -> Json:
    return {
        "port_in_request_sid": port.sid,
        "port_in_request_status": port.status,
        "status_last_updated_timestamp": iso(port.created),
        "phone_numbers_requested": len(port.numbers),
        "phone_numbers_ported": sum(number.status is PortStatus.COMPLETED for number in port.numbers),
        "suggested_action": None,
    }


def _number_type(address: str) -> str:
    return "TOLL-FREE" if kind_of(address) is NumberKind.TOLL_FREE else "LOCAL"


async def _read_json(request: Request) -> Json:
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError) as error:
        raise invalid("The body is not JSON") from error
    if not isinstance(body, dict):
        raise invalid("The body is not a JSON object")
    return body
