"""The account's ``SMS/ShortCodes`` and ``IncomingPhoneNumbers`` (facts 6.2)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest.paging import classic_list
from sms_router.sandbox.rest.parameters import (
    Fields,
    Form,
    invalid,
    one_of,
    read_form,
    read_method,
    read_status_callback,
    read_url,
    render_fields,
    text_up_to,
)
from sms_router.sandbox.rest.responses import Json, Resource, not_found, rfc2822
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.world.errors import RejectedError, rejection
from sms_router.sandbox.world.numbers import Number, is_e164, new_phone_number

_SHORT_CODE_FIELDS: Fields = {
    "FriendlyName": ("friendly_name", text_up_to(64)),
    "ApiVersion": ("api_version", one_of("2010-04-01", "2008-08-01")),
    "SmsUrl": ("sms_url", read_url),
    "SmsMethod": ("sms_method", read_method),
    "SmsFallbackUrl": ("sms_fallback_url", read_url),
    "SmsFallbackMethod": ("sms_fallback_method", read_method),
}
_PHONE_NUMBER_FIELDS: Fields = {
    **_SHORT_CODE_FIELDS,
    "StatusCallback": ("status_callback", read_status_callback),
    "VoiceUrl": ("voice_url", read_url),
    "VoiceMethod": ("voice_method", read_method),
    "VoiceFallbackUrl": ("voice_fallback_url", read_url),
    "VoiceFallbackMethod": ("voice_fallback_method", read_method),
}
_UNSUPPORTED = frozenset({"SmsApplicationSid", "VoiceApplicationSid", "TrunkSid"})
"""Parameters of what the sandbox does not have: they are rejected, not ignored."""

_ALWAYS_NULL = (
    "address_sid",
    "identity_sid",
    "bundle_sid",
    "trunk_sid",
    "sms_application_sid",
    "voice_application_sid",
    "emergency_address_sid",
)


@dataclass(frozen=True, slots=True)
class NumberType:
    """One of the account's two lists of numbers."""

    path: str
    key: str
    prefix: str
    filter: str
    fields: Fields


class NumbersResource(Resource):
    """The numbers of one type: list, fetch, update; phone numbers are also bought and released."""

    def __init__(self, kind: NumberType, platform: Platform) -> None:
        super().__init__(platform)
        self._kind = kind

    def routes(self) -> list[Route]:
        """Short codes cannot be created or released (facts 6.2)."""
        base = f"/2010-04-01/Accounts/{self._account.sid}/{self._kind.path}"
        routes = [
            Route(f"{base}.json", self.list_all, methods=["GET"]),
            Route(f"{base}/{{sid}}.json", self.fetch, methods=["GET"]),
            Route(f"{base}/{{sid}}.json", self.update, methods=["POST"]),
        ]
        if self._kind is PHONE_NUMBERS:
            routes.append(Route(f"{base}.json", self.create, methods=["POST"]))
            routes.append(Route(f"{base}/{{sid}}.json", self.delete, methods=["DELETE"]))
        return routes

    async def list_all(self, request: Request) -> Response:
        matching = (number for number in self._account.numbers if self._matches(number, request))
        return classic_list(request, self._kind.key, matching, self._render)

    async def create(self, request: Request) -> Response:
        """Buy a phone number: this one, or one with this area code."""
        form = await read_form(request)
        _reject_unsupported(form)
        address = _available(form, self._account)
        number = new_phone_number(self._platform.identifiers.sid("PN"), address, self._clock.now())
        number = replace(number, **form.changes(self._kind.fields))
        self._save(number)
        return JSONResponse(self._render(number), 201)

    async def delete(self, request: Request) -> Response:
        self._account.remove_number(self._find(request).sid)
        return Response(status_code=204)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(self._find(request)))

    async def update(self, request: Request) -> Response:
        form = await read_form(request)
        _reject_unsupported(form)
        number = self._find(request)
        number = replace(number, updated=self._clock.now(), **form.changes(self._kind.fields))
        self._save(number)
        return JSONResponse(self._render(number))

    def _save(self, number: Number) -> None:
        if number.sms_fallback_url and not number.sms_url:
            raise RejectedError(rejection(21406))
        self._account.save_number(number)

    def _matches(self, number: Number, request: Request) -> bool:
        query = request.query_params
        return (
            number.sid.startswith(self._kind.prefix)
            and _matches_pattern(query.get(self._kind.filter), number.address)
            and query.get("FriendlyName") in (None, "", number.friendly_name)
            and query.get("Beta", "false").lower() != "true"
            and query.get("Origin") in (None, "", "twilio")
        )

    def _find(self, request: Request) -> Number:
        number = self._account.number(request.path_params["sid"])
        if number is None or not number.sid.startswith(self._kind.prefix):
            raise not_found(request)
        return number

    def _render(self, number: Number) -> Json:
        return {
            "sid": number.sid,
            "account_sid": self._account.sid,
            "date_created": rfc2822(number.created),
            "date_updated": rfc2822(number.updated),
            **render_fields(number, self._kind.fields),
            **({"short_code": number.address} if self._kind is SHORT_CODES else _phone_number(number)),
            "uri": f"/2010-04-01/Accounts/{self._account.sid}/{self._kind.path}/{number.sid}.json",
        }


def _reject_unsupported(form: Form) -> None:
    for name in _UNSUPPORTED:
        if form.get(name):
            raise invalid(f"{name} is not supported by the sandbox")


def _available(form: Form, account: Account) -> str:
    """Return the number to buy. INFERENCE: 21422 for one that is taken or that is no phone number."""
    address = form.get("PhoneNumber") or _free_number(form.required("AreaCode"), account)
    if not is_e164(address) or account.number_at(address):
        raise RejectedError(rejection(21422, number=address))
    return address


def _free_number(area_code: str, account: Account) -> str:
    if not re.fullmatch("[2-9][0-9]{2}", area_code):
        raise invalid(f"AreaCode {area_code} is not one of the US or Canada")
    candidates = (f"+1{area_code}555{last:04}" for last in range(100, 200))
    return next((address for address in candidates if not account.number_at(address)), "")


def _matches_pattern(pattern: str | None, address: str) -> bool:
    """Match a part of a number; ``*`` matches one digit."""
    if not pattern:
        return True
    expression = "".join("[0-9]" if character == "*" else re.escape(character) for character in pattern)
    return re.search(expression, address) is not None


def _phone_number(number: Number) -> Json:
    return {
        **dict.fromkeys(_ALWAYS_NULL),
        "phone_number": number.address,
        "address_requirements": "none",
        "beta": False,
        "capabilities": {**asdict(number.capabilities), "fax": False},
        "emergency_status": "Inactive",
        "emergency_address_status": "unregistered",
        "origin": "twilio",
        "status": "in-use",
        "status_callback_method": "POST",
        "type": number.kind.name.lower().replace("long_code", "local").replace("_", "-"),
        "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice",
    }


SHORT_CODES = NumberType("SMS/ShortCodes", "short_codes", "SC", "ShortCode", _SHORT_CODE_FIELDS)
PHONE_NUMBERS = NumberType(
    "IncomingPhoneNumbers", "incoming_phone_numbers", "PN", "PhoneNumber", _PHONE_NUMBER_FIELDS
)
