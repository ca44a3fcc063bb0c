"""A Service's senders: ``ShortCodes``, ``PhoneNumbers``, ``AlphaSenders`` (facts 5.4, 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.rest.paging import paginate, v1_list
from sms_router.sandbox.rest.parameters import read_form
from sms_router.sandbox.rest.responses import Json, iso, not_found, origin
from sms_router.sandbox.state.account import Account, PoolMember
from sms_router.sandbox.world.errors import RejectedError, rejection
from sms_router.sandbox.world.numbers import Number, is_alphanumeric

MAX_NUMBERS = 400
"""Numbers and short codes in one pool (21714)."""


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


class SenderPoolResource:
    """The senders of one type: list, add, fetch, remove."""

    def __init__(
        self, kind: SenderSubresource, account: Account, identifiers: Identifiers, clock: Clock
    ) -> None:
        self._kind = kind
        self._account = account
        self._identifiers = identifiers
        self._clock = clock

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
        service_sid = self._service_sid(request)
        members = [
            member
            for member in self._account.members(service_sid)
            if member.sid.startswith(self._kind.prefix)
        ]
        page = paginate(members, request)
        return JSONResponse(v1_list(request, self._kind.key, page, self._renderer(request, service_sid)))

    async def create(self, request: Request) -> Response:
        """Add a number of the account, or a new alphanumeric sender."""
        service_sid = self._service_sid(request)
        value = (await read_form(request)).required(self._kind.parameter)
        if self._kind is ALPHA_SENDERS:
            member = self._new_alpha_sender(service_sid, value)
        else:
            member = self._new_number(request, service_sid, value)
        self._account.add_member(service_sid, member)
        return JSONResponse(self._renderer(request, service_sid)(member), 201)

    async def fetch(self, request: Request) -> Response:
        service_sid = self._service_sid(request)
        return JSONResponse(self._renderer(request, service_sid)(self._find(request, service_sid)))

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
        return PoolMember(self._identifiers.sid("AI"), self._clock.now(), name)

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

    def _renderer(self, request: Request, service_sid: str) -> Callable[[PoolMember], Json]:
        base = f"{origin(request)}/v1/Services/{service_sid}/{self._kind.path}"
        return partial(self._render, service_sid, base)

    def _render(self, service_sid: str, base: str, member: PoolMember) -> Json:
        number = self._account.number(member.sid)
        return {
            "sid": member.sid,
            "account_sid": self._account.sid,
            "service_sid": service_sid,
            "date_created": iso(member.created),
            "date_updated": iso(member.created),
            **(_number_fields(self._kind, number) if number else _alpha_fields(member)),
            "url": f"{base}/{member.sid}",
        }


def _number_fields(kind: SenderSubresource, number: Number) -> Json:
    capabilities = number.capabilities
    flags = (("Voice", capabilities.voice), ("SMS", capabilities.sms), ("MMS", capabilities.mms))
    return {
        kind.key.removesuffix("s"): number.address,
        "country_code": number.country,
        "capabilities": [name for name, flag in flags if flag],
    }


def _alpha_fields(member: PoolMember) -> Json:
    return {"alpha_sender": member.alpha_sender, "capabilities": ["SMS"]}
