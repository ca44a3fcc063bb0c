"""A Service's senders at Twilio as operators see them: both trees of the API joined (facts 6.1, 6.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from sms_router.membership.snapshot import NumberUrls, capabilities_of, own_urls
from sms_router.membership.source import iter_records
from sms_router.senders.country import country_of, is_toll_free
from sms_router.senders.models import Capability, SenderKind
from sms_router.twilio.rest import ApiError, FailureKind, api_errors

if TYPE_CHECKING:
    from twilio.rest import Client

Changes = Mapping[str, object]
"""New values by the official client's names; an empty text removes a URL."""


class SenderType(Enum):
    """Twilio's three lists of senders; the values begin their sids."""

    SHORT_CODE = "SC"
    PHONE_NUMBER = "PN"
    ALPHA_SENDER = "AI"


@dataclass(frozen=True, slots=True)
class SenderResource:
    """One sender: what the Service says of it, and what the account does."""

    sid: str
    address: str
    kind: SenderKind
    service_sid: str | None
    """None when it is on the account only."""
    country: str | None
    capabilities: Capability | None
    """None where Twilio does not tell: short codes outside a Service (facts 6.2)."""
    own: NumberUrls | None
    """None for alphanumeric senders, which receive nothing."""
    api_version: str | None
    created: datetime | None
    updated: datetime | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which numbers of the account are listed; None for all."""

    friendly_name: str | None = None
    number: str | None = None
    """A part of the number; ``*`` stands for one digit."""

    def parameters(self, type_: SenderType) -> dict[str, str]:
        """Return it in the client's words for one of the account's lists."""
        number = "short_code" if type_ is SenderType.SHORT_CODE else "phone_number"
        values = {"friendly_name": self.friendly_name, number: self.number}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def empty(self) -> bool:
        """True when everything is listed."""
        return self.friendly_name is None and self.number is None


@dataclass(frozen=True, slots=True)
class AccountState:
    """What Twilio says of the account itself."""

    status: str
    """``active``, ``suspended`` or ``closed``."""
    signing_token: str | None
    """The primary auth token, which alone signs webhooks (facts 2.3); None where it is not told."""


class ServiceAdmin:
    """The senders and settings of one Service, read and changed through the official client.

    Every method blocks, and raises `ApiError`.
    """

    def __init__(self, client: Client, account_sid: str, service_sid: str) -> None:
        """Speak for one Service of an account."""
        self.account_sid = account_sid
        self.service_sid = service_sid
        self._account = client.api.v2010.accounts(account_sid)
        self._service = client.messaging.v1.services(service_sid)

    def listed(self, type_: SenderType, chosen: Filter, *, everything: bool) -> list[SenderResource]:
        """Return the Service's senders of one type, with ``everything`` all of the account's.

        A filter is Twilio's own, and speaks of the account's numbers: alphanumeric senders pass
        only the empty one.
        """
        with api_errors():
            members = {each.sid: each for each in iter_records(self._members(type_))}
            if type_ is SenderType.ALPHA_SENDER:
                return self._joined(members.values() if chosen.empty else (), {})
            own = {each.sid: each for each in iter_records(self._numbers(type_), **chosen.parameters(type_))}
            joined = self._joined((members[sid] for sid in own if sid in members), own)
            others = (each for sid, each in own.items() if sid not in members)
            return joined + [_resource(None, each) for each in others if everything]

    def find(self, type_: SenderType, sid: str) -> SenderResource:
        """Return one sender, whether or not it is in the Service."""
        with api_errors():
            member = self._if_there(lambda: self._members(type_)(sid).fetch())
            if type_ is SenderType.ALPHA_SENDER:
                return _resource(member or self._members(type_)(sid).fetch(), None)
            return _resource(member, self._numbers(type_)(sid).fetch())

    def add(self, type_: SenderType, value: str) -> str:
        """Add a number by its sid, or an alphanumeric sender by its name; return the sid."""
        name = {
            SenderType.SHORT_CODE: "short_code_sid",
            SenderType.PHONE_NUMBER: "phone_number_sid",
            SenderType.ALPHA_SENDER: "alpha_sender",
        }[type_]
        with api_errors():
            return str(self._members(type_).create(**{name: value}).sid)

    def remove(self, type_: SenderType, sid: str) -> None:
        """Take a sender out of the Service; a number stays on the account (facts 6.1)."""
        with api_errors():
            self._members(type_)(sid).delete()

    def update_number(self, type_: SenderType, sid: str, changes: Changes) -> None:
        """Change a number's own settings."""
        with api_errors():
            self._numbers(type_)(sid).update(**changes)

    def update_service(self, changes: Changes) -> None:
        """Change the Service's settings."""
        with api_errors():
            self._service.update(**changes)

    def account_state(self) -> AccountState:
        """Return what Twilio says of the account.

        INFERENCE: the resource holds the primary token, whichever of the two asked for it.
        """
        with api_errors():
            account = self._account.fetch()
            return AccountState(str(account.status or "active"), account.auth_token or None)

    def _members(self, type_: SenderType) -> Any:
        return {
            SenderType.SHORT_CODE: self._service.short_codes,
            SenderType.PHONE_NUMBER: self._service.phone_numbers,
            SenderType.ALPHA_SENDER: self._service.alpha_senders,
        }[type_]

    def _numbers(self, type_: SenderType) -> Any:
        short = type_ is SenderType.SHORT_CODE
        return self._account.short_codes if short else self._account.incoming_phone_numbers

    def _joined(self, members: Iterable[Any], own: Mapping[str, Any]) -> list[SenderResource]:
        return [_resource(member, own.get(member.sid)) for member in members]

    def _if_there(self, fetch: Any) -> Any:
        try:
            with api_errors():
                return fetch()
        except ApiError as error:
            if error.failure.kind is FailureKind.NOT_FOUND and error.failure.code != 21701:
                return None
            raise


def _resource(member: Any, own: Any) -> SenderResource:
    """Join what the Service and the account say; one of them may be missing."""
    one = member or own
    address, kind = _address(one)
    return SenderResource(
        sid=str(one.sid),
        address=address,
        kind=kind,
        service_sid=member.service_sid if member else None,
        country=(member.country_code if member and hasattr(member, "country_code") else None)
        or country_of(address, None),
        capabilities=_capabilities(member, own),
        own=own_urls(own) if own else None,
        api_version=own.api_version if own else None,
        created=(own or member).date_created,
        updated=(own or member).date_updated,
    )


def _address(one: Any) -> tuple[str, SenderKind]:
    if hasattr(one, "alpha_sender"):
        return str(one.alpha_sender), SenderKind.ALPHANUMERIC
    if hasattr(one, "short_code"):
        return str(one.short_code), SenderKind.SHORT_CODE
    address = str(one.phone_number)
    return address, SenderKind.TOLL_FREE if is_toll_free(address) else SenderKind.LONG_CODE


def _capabilities(member: Any, own: Any) -> Capability | None:
    if member and member.capabilities:
        return capabilities_of(member.capabilities)
    if hasattr(own, "capabilities"):
        return capabilities_of([name for name, able in own.capabilities.items() if able])
    return None
