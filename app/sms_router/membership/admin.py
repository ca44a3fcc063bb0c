"""Lists and changes a Service's senders and settings at Twilio.

The Service's resource of a number has its membership, the account's resource its URLs: both are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from sms_router.membership.snapshot import from_record, parse_capabilities
from sms_router.membership.source import identify_sender, iter_records
from sms_router.senders.country import country_of
from sms_router.senders.models import Capability, SenderKind
from sms_router.twilio.rest import (
    ApiError,
    ApiResource,
    FailureKind,
    account_resource,
    api_errors,
    service_resource,
)
from sms_router.twilio.webhook_url import NumberUrls

if TYPE_CHECKING:
    from twilio.rest import Client

Changes = Mapping[str, object]
"""New values by the field names of Twilio's API; an empty string removes a URL."""


class SenderType(Enum):
    """Twilio's three kinds of sender resource; the values are the prefixes of their sids."""

    SHORT_CODE = "SC"
    PHONE_NUMBER = "PN"
    ALPHA_SENDER = "AI"


_RESOURCES = {
    SenderType.SHORT_CODE: ("ShortCodes", "ShortCodeSid", "SMS/ShortCodes"),
    SenderType.PHONE_NUMBER: ("PhoneNumbers", "PhoneNumberSid", "IncomingPhoneNumbers"),
    SenderType.ALPHA_SENDER: ("AlphaSenders", "AlphaSender", ""),
}
"""By type: the list of the Service's members, the parameter that adds one, and the account's list."""


@dataclass(frozen=True, slots=True)
class VoiceUrls:
    """What answers the calls to a phone number."""

    voice_url: str | None = None
    voice_method: str = "POST"
    voice_fallback_url: str | None = None
    voice_fallback_method: str = "POST"
    voice_application_sid: str | None = None
    trunk_sid: str | None = None
    """When it or the application is set, Twilio does not use the URLs."""

    @property
    def is_set(self) -> bool:
        return any((self.voice_url, self.voice_application_sid, self.trunk_sid))


@dataclass(frozen=True, slots=True)
class SenderResource:
    """One sender of the Service or of the account."""

    sid: str
    address: str
    kind: SenderKind
    service_sid: str | None
    """None when it is not in a Service."""
    country: str | None
    capabilities: Capability | None
    """None when Twilio does not return them: for short codes outside a Service."""
    own: NumberUrls | None
    """None for alphanumeric senders, which receive no messages."""
    voice: VoiceUrls | None
    """None for senders that are not phone numbers."""
    api_version: str | None
    created: datetime | None
    updated: datetime | None
    account_sid: str
    capability_names: tuple[str, ...] | None
    """As Twilio names them, with ``Voice``; None when Twilio does not return them."""
    url: str | None
    """The address of its resource in the Service; None when it is not in a Service."""
    uri: str | None
    """The path of its resource on the account; None for alphanumeric senders."""


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """Which numbers of the account are listed, with Twilio's own filters."""

    friendly_name: str | None = None
    number: str | None = None
    """A part of the number; ``*`` matches one digit."""

    def parameters(self, type_: SenderType) -> dict[str, str]:
        number = "ShortCode" if type_ is SenderType.SHORT_CODE else "PhoneNumber"
        values = {"FriendlyName": self.friendly_name, number: self.number}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def is_empty(self) -> bool:
        return self.friendly_name is None and self.number is None


@dataclass(frozen=True, slots=True)
class AccountState:
    """The account's own state."""

    status: str
    """``active``, ``suspended`` or ``closed``."""
    signing_token: str | None
    """The primary auth token, the only one that signs webhooks; None when Twilio does not return it."""


class ServiceAdmin:
    """Reads and changes the senders and settings of one Service; methods block and raise `ApiError`."""

    def __init__(self, client: Client, account_sid: str, service_sid: str) -> None:
        self.account_sid = account_sid
        self.service_sid = service_sid
        self._client = client
        self._service = service_resource(client, service_sid)

    def list_senders(
        self, type_: SenderType, number_filter: NumberFilter, *, everything: bool
    ) -> list[SenderResource]:
        """Return the senders of one type.

        Args:
            type_: of the senders.
            number_filter: for numbers of the account; alphanumeric senders match only an empty one.
            everything: also those of the account that are not in the Service.

        """
        with api_errors():
            members = {member.sid: member for member in iter_records(self._members(type_))}
            if type_ is SenderType.ALPHA_SENDER:
                matching = members.values() if number_filter.is_empty else ()
                return [_join(member, None) for member in matching]
            parameters = number_filter.parameters(type_)
            owned = {number.sid: number for number in iter_records(self._number(type_), **parameters)}
            in_service = [_join(members[sid], number) for sid, number in owned.items() if sid in members]
            others = [_join(None, number) for sid, number in owned.items() if sid not in members]
            return in_service + (others if everything else [])

    def find(self, type_: SenderType, sid: str) -> SenderResource:
        """Return one sender of the Service or of the account."""
        with api_errors():
            resource = self._members(type_).child(sid)
            if type_ is SenderType.ALPHA_SENDER:
                return _join(resource.fetch(), None)
            return _join(_fetch_or_none(resource), self._number(type_, f"/{sid}").fetch())

    def add(self, type_: SenderType, value: str) -> str:
        """Add a number by its sid, or an alphanumeric sender by its name; return the sid."""
        with api_errors():
            return str(self._members(type_).create({_RESOURCES[type_][1]: value}).sid)

    def remove(self, type_: SenderType, sid: str) -> None:
        """Remove a sender from the Service; a number stays on the account."""
        with api_errors():
            self._members(type_).child(sid).delete()

    def update_number(self, type_: SenderType, sid: str, changes: Changes) -> Changes:
        """Change a number's own settings; return the changed settings as Twilio has them now."""
        with api_errors():
            number = self._number(type_, f"/{sid}").update(_parameters(changes))
            return {name: getattr(number, name) for name in changes}

    def update_service(self, changes: Changes) -> None:
        with api_errors():
            self._service.update(_parameters(changes))

    def account_state(self) -> AccountState:
        with api_errors():
            # Not documented: the resource contains the primary token, also for a request with the secondary.
            account = account_resource(self._client, f"{self.account_sid}.json").fetch()
            return AccountState(str(account.status or "active"), account.auth_token or None)

    def _members(self, type_: SenderType) -> ApiResource:
        return self._service.child(_RESOURCES[type_][0])

    def _number(self, type_: SenderType, sid: str = "") -> ApiResource:
        """Return the account's list of numbers, or with ``/SID`` one of them."""
        account = account_resource(self._client, self.account_sid)
        return account.child(f"{_RESOURCES[type_][2]}{sid}.json")


def _parameters(changes: Changes) -> dict[str, object]:
    """Return changes by the names of the API's parameters: ``SmsUrl`` for ``sms_url``."""
    return {
        "".join(map(str.capitalize, name.split("_"))): str(value).lower()
        if isinstance(value, bool)
        else value
        for name, value in changes.items()
    }


def _fetch_or_none(resource: ApiResource) -> Any:
    try:
        with api_errors():
            return resource.fetch()
    except ApiError as error:
        if error.failure.kind is FailureKind.NOT_FOUND and error.failure.code != 21701:
            return None
        raise


def _join(member: Any, own: Any) -> SenderResource:
    """Join the Service's record and the account's; one of them may be None."""
    record = own or member
    address, kind = identify_sender(record)
    names = _capability_names(member, own)
    return SenderResource(
        sid=str(record.sid),
        address=address,
        kind=kind,
        service_sid=member.service_sid if member else None,
        country=(member.country_code if member else None) or country_of(address, None),
        capabilities=parse_capabilities(list(names)) if names is not None else None,
        own=from_record(NumberUrls, own) if own else None,
        voice=from_record(VoiceUrls, own) if own and own.phone_number else None,
        api_version=own.api_version if own else None,
        created=_parse_time(record.date_created),
        updated=_parse_time(record.date_updated),
        account_sid=str(record.account_sid),
        capability_names=names,
        url=member.url if member else None,
        uri=own.uri if own else None,
    )


def _parse_time(text: str | None) -> datetime | None:
    """Parse a time of the account's API (RFC 2822), or of the Service's (ISO 8601)."""
    if not text:
        return None
    return parsedate_to_datetime(text) if "," in text else datetime.fromisoformat(text)


def _capability_names(member: Any, own: Any) -> tuple[str, ...] | None:
    if member and member.capabilities:
        return tuple(member.capabilities)
    if own and own.capabilities:
        names = {"voice": "Voice", "sms": "SMS", "mms": "MMS", "fax": "Fax"}
        return tuple(names.get(name, name) for name, able in own.capabilities.items() if able)
    return None
