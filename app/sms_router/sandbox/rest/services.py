"""``/v1/Services`` (facts 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.rest.paging import paginate, v1_list
from sms_router.sandbox.rest.parameters import (
    Form,
    Reader,
    invalid,
    one_of,
    read_flag,
    read_form,
    read_method,
    read_status_callback,
    read_url,
    text_up_to,
    whole_number,
)
from sms_router.sandbox.rest.responses import Json, iso, not_found, origin
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.world import Service

_FIELDS: dict[str, tuple[str, Reader]] = {
    "FriendlyName": ("friendly_name", text_up_to(64)),
    "InboundRequestUrl": ("inbound_request_url", read_url),
    "InboundMethod": ("inbound_method", read_method),
    "FallbackUrl": ("fallback_url", read_url),
    "FallbackMethod": ("fallback_method", read_method),
    "StatusCallback": ("status_callback", read_status_callback),
    "UseInboundWebhookOnNumber": ("use_inbound_webhook_on_number", read_flag),
    "StickySender": ("sticky_sender", read_flag),
    "MmsConverter": ("mms_converter", read_flag),
    "SmartEncoding": ("smart_encoding", read_flag),
    "ScanMessageContent": ("scan_message_content", one_of("inherit", "enable", "disable")),
    "FallbackToLongCode": ("fallback_to_long_code", read_flag),
    "AreaCodeGeomatch": ("area_code_geomatch", read_flag),
    "ValidityPeriod": ("validity_period", whole_number(1, 36000)),
    "SynchronousValidation": ("synchronous_validation", read_flag),
    "Usecase": ("usecase", text_up_to(64)),
}

_LINKS = {
    "phone_numbers": "PhoneNumbers",
    "short_codes": "ShortCodes",
    "alpha_senders": "AlphaSenders",
    "messages": "Messages",
    "us_app_to_person": "Compliance/Usa2p",
    "us_app_to_person_usecases": "Compliance/Usa2p/Usecases",
    "channel_senders": "ChannelSenders",
    "destination_alpha_senders": "DestinationAlphaSenders",
}


class ServicesResource:
    """Messaging Services: list, create, fetch, update, delete."""

    def __init__(self, account: Account, identifiers: Identifiers, clock: Clock) -> None:
        self._account = account
        self._identifiers = identifiers
        self._clock = clock

    def routes(self) -> list[Route]:
        one = "/v1/Services/{service_sid}"
        return [
            Route("/v1/Services", self.list_all, methods=["GET"]),
            Route("/v1/Services", self.create, methods=["POST"]),
            Route(one, self.fetch, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def list_all(self, request: Request) -> Response:
        page = paginate(self._account.services, request)
        return JSONResponse(v1_list(request, "services", page, self._renderer(request)))

    async def create(self, request: Request) -> Response:
        """Create a Service with an empty pool."""
        form = await read_form(request)
        now = self._clock.now()
        service = Service(
            self._identifiers.sid("MG"), form.required("FriendlyName"), created=now, updated=now
        )
        service = self._changed(service, form)
        self._account.save_service(service)
        return JSONResponse(self._renderer(request)(service), 201)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._renderer(request)(self._find(request)))

    async def update(self, request: Request) -> Response:
        form = await read_form(request)
        service = self._changed(self._find(request), form)
        self._account.save_service(service)
        return JSONResponse(self._renderer(request)(service))

    async def delete(self, request: Request) -> Response:
        """Delete a Service; its numbers stay on the account."""
        self._account.remove_service(self._find(request).sid)
        return Response(status_code=204)

    def _find(self, request: Request) -> Service:
        service = self._account.service(request.path_params["service_sid"])
        if service is None:
            raise not_found(request)
        return service

    def _changed(self, service: Service, form: Form) -> Service:
        changes = form.changes(_FIELDS)
        if changes.get("friendly_name") == "":
            raise invalid("FriendlyName must not be empty")
        return replace(service, updated=self._clock.now(), **changes)

    def _renderer(self, request: Request) -> Callable[[Service], Json]:
        return partial(_render, self._account.sid, f"{origin(request)}/v1/Services")


def _render(account_sid: str, base: str, service: Service) -> Json:
    url = f"{base}/{service.sid}"
    return {
        "sid": service.sid,
        "account_sid": account_sid,
        "friendly_name": service.friendly_name,
        "date_created": iso(service.created),
        "date_updated": iso(service.updated),
        "inbound_request_url": service.inbound_request_url or None,
        "inbound_method": service.inbound_method.value,
        "fallback_url": service.fallback_url or None,
        "fallback_method": service.fallback_method.value,
        "status_callback": service.status_callback or None,
        "sticky_sender": service.sticky_sender,
        "mms_converter": service.mms_converter,
        "smart_encoding": service.smart_encoding,
        "scan_message_content": service.scan_message_content,
        "fallback_to_long_code": service.fallback_to_long_code,
        "area_code_geomatch": service.area_code_geomatch,
        "synchronous_validation": service.synchronous_validation,
        "validity_period": service.validity_period,
        "usecase": service.usecase,
        "us_app_to_person_registered": False,
        "use_inbound_webhook_on_number": service.use_inbound_webhook_on_number,
        "url": url,
        "links": {name: f"{url}/{path}" for name, path in _LINKS.items()},
    }
