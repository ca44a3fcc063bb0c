"""The tables of ``sandbox.toml`` as pydantic models."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.numbers import Capabilities, HttpMethod, Number, country_of
from sms_router.sandbox.world.opt_out_keywords import OptOutKeywordList
from sms_router.sandbox.world.types import (
    E164,
    AccountSid,
    CarrierName,
    Country,
    DefinedOnce,
    Flag,
    OptionalUrl,
    OwnNumber,
    PhoneNumberSid,
    ServiceSid,
    ShortCode,
    ShortCodeSid,
)
from sms_router.sandbox.world.world import Carrier, PhoneState, Service
from sms_router.toml import StrictModel


class AccountTable(StrictModel):
    """``[account]``."""

    sid: AccountSid
    auth_token: str = ""
    """Empty: made per installation."""
    permitted_countries: frozenset[Country] = frozenset()


class ServiceChanges(StrictModel):
    """``[service]`` in a scenario; None for settings that stay as they are."""

    inbound_request_url: OptionalUrl | None = None
    inbound_method: HttpMethod | None = None
    fallback_url: OptionalUrl | None = None
    fallback_method: HttpMethod | None = None
    status_callback: OptionalUrl | None = None
    use_inbound_webhook_on_number: Flag | None = None
    sticky_sender: Flag | None = None
    area_code_geomatch: Flag | None = None
    mms_converter: Flag | None = None
    smart_encoding: Flag | None = None
    advanced_opt_out: Flag | None = None
    opt_out_lists: tuple[OptOutKeywordList, ...] | None = None

    def applied_to(self, service: Service) -> Service:
        names = self.model_fields_set & ServiceChanges.model_fields.keys()
        return replace(service, **{name: getattr(self, name) for name in names})


class ServiceTable(ServiceChanges):
    """``[[services]]``."""

    sid: ServiceSid
    friendly_name: str
    senders: tuple[OwnNumber, ...] = ()


class _NumberTable(StrictModel):
    sid: str
    friendly_name: str | None = None
    capabilities: frozenset[Literal["SMS", "MMS", "Voice"]] = frozenset({"SMS"})
    sms_url: OptionalUrl = ""
    sms_method: HttpMethod = HttpMethod.POST
    sms_fallback_url: OptionalUrl = ""
    sms_fallback_method: HttpMethod = HttpMethod.POST

    def _number(self, address: str, country: str) -> Number:
        names = self.capabilities
        return Number(
            sid=self.sid,
            address=address,
            country=country,
            capabilities=Capabilities(sms="SMS" in names, mms="MMS" in names, voice="Voice" in names),
            friendly_name=address if self.friendly_name is None else self.friendly_name,
            sms_url=self.sms_url,
            sms_method=self.sms_method,
            sms_fallback_url=self.sms_fallback_url,
            sms_fallback_method=self.sms_fallback_method,
        )


class ShortCodeTable(_NumberTable):
    """``[[short_codes]]``."""

    sid: ShortCodeSid
    short_code: Annotated[ShortCode, DefinedOnce]
    country: Country

    def number(self) -> Number:
        return self._number(self.short_code, self.country)


class PhoneNumberTable(_NumberTable):
    """``[[phone_numbers]]``."""

    sid: PhoneNumberSid
    phone_number: Annotated[E164, DefinedOnce]

    def number(self) -> Number:
        return self._number(self.phone_number, country_of(self.phone_number))


class PhoneTable(StrictModel):
    """``[[phones]]``."""

    number: E164
    carrier: CarrierName
    state: PhoneState = PhoneState.ON


class SandboxFile(StrictModel):
    """``sandbox.toml``."""

    default_carrier: CarrierName
    account: AccountTable
    services: tuple[ServiceTable, ...] = ()
    short_codes: tuple[ShortCodeTable, ...] = ()
    phone_numbers: tuple[PhoneNumberTable, ...] = ()
    carriers: tuple[Carrier, ...] = ()
    phones: tuple[PhoneTable, ...] = ()
    faults: FaultSet = FaultSet()
