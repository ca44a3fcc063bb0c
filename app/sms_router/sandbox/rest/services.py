"""``/v1/Services`` and their ``ShortCodes``, ``PhoneNumbers``, ``AlphaSenders`` (facts 5.4, 6.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest.paging import v1_list
from sms_router.sandbox.rest.parameters import (
    Fields,
    Form,
    invalid,
    one_of,
    read_flag,
    read_form,
    read_method,
    read_status_callback,
    read_url,
    render_fields,
    text_up_to,
    whole_number,
)
from sms_router.sandbox.rest.responses import Json, Resource, iso, not_found, origin
from sms_router.sandbox.state.account import PoolMember
from sms_router.sandbox.world.errors import RejectedError, rejection
from sms_router.sandbox.world.numbers import is_alphanumeric
from sms_router.sandbox.world.world import Service

_FIELDS: Fields = {
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

MAX_NUMBERS = 400
"""Numbers and short codes in one pool (21714)."""

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


class ServicesResource(Resource):
    """Messaging Services: list, create, fetch, update, delete."""

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
        return v1_list(request, "services", self._account.services, partial(self._render, request))

    async def create(self, request: Request) -> Response:
        form = await read_form(request)
        now = self._clock.now()
        sid, name = self._platform.identifiers.sid("MG"), form.required("FriendlyName")
        service = self._save(Service(sid, name, created=now, updated=now), form)
        return JSONResponse(self._render(request, service), 201)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(request, self._find(request)))

    async def update(self, request: Request) -> Response:
        form = await read_form(request)
        return JSONResponse(self._render(request, self._save(self._find(request), form)))

    async def delete(self, request: Request) -> Response:
        """Delete a Service; its numbers stay on the account."""
        self._account.remove_service(self._find(request).sid)
        return Response(status_code=204)

    def _find(self, request: Request) -> Service:
        service = self._account.service(request.path_params["service_sid"])
        if service is None:
            raise not_found(request)
        return service

    def _save(self, service: Service, form: Form) -> Service:
        changes = form.changes(_FIELDS)
        if changes.get("friendly_name") == "":
            raise invalid("FriendlyName must not be empty")
        service = replace(service, updated=self._clock.now(), **changes)
        self._account.save_service(service)
        return service

    def _render(self, request: Request, service: Service) -> Json:
        url = f"{origin(request)}/v1/Services/{service.sid}"
        return {
            "sid": service.sid,
            "account_sid": self._account.sid,
            "date_created": iso(service.created),
            "date_updated": iso(service.updated),
            **render_fields(service, _FIELDS),
            "us_app_to_person_registered": False,
            "url": url,
            "links": {name: f"{url}/{path}" for name, path in _LINKS.items()},
        }


@dataclass(frozen=True, slots=True)
class SenderSubresource:
    """One of the three lists below a Service."""

    path: str
    key: str
    prefix: str
    parameter: str


SHORT_CODES = SenderSubresource("ShortCodes", "short_codes", "SC", "ShortCodeSid")
PHONE_NUMBERS = SenderSubresource("PhoneNumbers", "phone_numbers", "PN", "PhoneNumberSid")
ALPHA_SENDERS = SenderSubresource("AlphaSenders", "alpha_senders", "AI", "AlphaSender")


class SenderPoolResource(Resource):
    """The senders of one type: list, add, fetch, remove."""

    def __init__(self, kind: SenderSubresource, platform: Platform) -> None:
        super().__init__(platform)
        self._kind = kind

    def routes(self) -> list[Route]:
        base = f"/v1/Services/{{service_sid}}/{self._kind.path}"
        one = f"{base}/{{sid}}"
        return [
            Route(base, self.list_all, methods=["GET"]),
            Route(base, self.create, methods=["POST"]),
            Route(one, self.fetch, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def list_all(self, request: Request) -> Response:
        members = self._account.members(self._service_sid(request))
        selected = (member for member in members if member.sid.startswith(self._kind.prefix))
        return v1_list(request, self._kind.key, selected, partial(self._render, request))

    async def create(self, request: Request) -> Response:
        """Add a number of the account, or a new alphanumeric sender."""
        service_sid = self._service_sid(request)
        value = (await read_form(request)).required(self._kind.parameter)
        if self._kind is ALPHA_SENDERS:
            member = self._new_alpha_sender(service_sid, value)
        else:
            member = self._new_number(request, service_sid, value)
        self._account.add_member(service_sid, member)
        return JSONResponse(self._render(request, member), 201)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(request, self._find(request, self._service_sid(request))))

    async def delete(self, request: Request) -> Response:
        """Remove a sender from the pool; a number stays on the account."""
        service_sid = self._service_sid(request)
        self._account.remove_member(service_sid, self._find(request, service_sid).sid)
        return Response(status_code=204)

    def _new_alpha_sender(self, service_sid: str, name: str) -> PoolMember:
        if not is_alphanumeric(name):
            raise RejectedError(rejection(21709, name=name))
        if any(member.alpha_sender == name for member in self._account.members(service_sid)):
            raise RejectedError(rejection(21710))
        return PoolMember(self._platform.identifiers.sid("AI"), self._clock.now(), name)

    def _new_number(self, request: Request, service_sid: str, sid: str) -> PoolMember:
        number = self._account.number(sid)
        if number is None or not sid.startswith(self._kind.prefix):
            raise not_found(request)
        owner = self._account.service_of(sid)
        if owner:
            raise RejectedError(rejection(21710 if owner.sid == service_sid else 21712))
        if not (number.capabilities.sms or number.capabilities.mms):
            raise RejectedError(rejection(21715))
        if sum(not member.alpha_sender for member in self._account.members(service_sid)) >= MAX_NUMBERS:
            raise RejectedError(rejection(21714))
        return PoolMember(sid, self._clock.now())

    def _service_sid(self, request: Request) -> str:
        service = self._account.service(request.path_params["service_sid"])
        if service is None:
            raise RejectedError(rejection(21701))
        return service.sid

    def _find(self, request: Request, service_sid: str) -> PoolMember:
        member = self._account.member(service_sid, request.path_params["sid"])
        if member is None or not member.sid.startswith(self._kind.prefix):
            raise not_found(request)
        return member

    def _render(self, request: Request, member: PoolMember) -> Json:
        service_sid, number = request.path_params["service_sid"], self._account.number(member.sid)
        fields: Json = {"alpha_sender": member.alpha_sender, "capabilities": ["SMS"]}
        if number:
            has = number.capabilities
            flags = (("Voice", has.voice), ("SMS", has.sms), ("MMS", has.mms))
            fields = {
                self._kind.key.removesuffix("s"): number.address,
                "country_code": number.country,
                "capabilities": [name for name, flag in flags if flag],
            }
        return {
            "sid": member.sid,
            "account_sid": self._account.sid,
            "service_sid": service_sid,
            "date_created": iso(member.created),
            "date_updated": iso(member.created),
            **fields,
            "url": f"{origin(request)}/v1/Services/{service_sid}/{self._kind.path}/{member.sid}",
        }
