"""Loads ``config/sandbox.toml``, whose tables are pydantic models, as a World."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.numbers import Capabilities, HttpMethod, Number, country_of
from sms_router.sandbox.world.opt_out_keywords import OptOutKeywordList
from sms_router.sandbox.world.types import (
    E164,
    AccountSid,
    CarrierName,
    Country,
    DefinedNames,
    DefinedOnce,
    Flag,
    OptionalUrl,
    OwnNumber,
    PhoneNumberSid,
    ServiceSid,
    ShortCode,
    ShortCodeSid,
)
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState, Service, World
from sms_router.toml import RawTable, StrictModel, read_toml, validate


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
        capabilities = Capabilities(sms="SMS" in names, mms="MMS" in names, voice="Voice" in names)
        return Number(
            self.sid,
            address,
            country,
            capabilities,
            address if self.friendly_name is None else self.friendly_name,
            self.sms_url,
            self.sms_method,
            self.sms_fallback_url,
            self.sms_fallback_method,
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


def load_world(path: str | Path, router_url: str | None = None, auth_token: str = "") -> World:
    """Read the world that the sandbox starts from.

    ``router_url`` (such as ``http://127.0.0.1:8123``) replaces scheme, host and port of the
    Services' inbound, fallback and status URLs, so that a router on another port is called; a path
    in it is put before theirs. ``auth_token`` is the account's where the file has none; by default it is
    a new one.

    Raises:
        ConfigurationError: with every mistake, named by its key.

    """
    document = read_toml(Path(path), required=True)
    file = validate(document, SandboxFile, Path(path), _defined_names(document))
    numbers = [table.number() for table in file.short_codes]
    numbers += [table.number() for table in file.phone_numbers]
    sids = {number.address: number.sid for number in numbers}
    carriers = {carrier.name: carrier for carrier in file.carriers}
    return World(
        account_sid=file.account.sid,
        auth_token=file.account.auth_token or auth_token or secrets.token_hex(16),
        services=tuple(_service(table, sids, router_url) for table in file.services),
        numbers=tuple(numbers),
        carriers=MappingProxyType(carriers),
        phones=MappingProxyType(phones_by_number(file.phones, carriers)),
        default_carrier=carriers[file.default_carrier],
        permitted_countries=file.account.permitted_countries,
        faults=file.faults,
    )


def phones_by_number(tables: Iterable[PhoneTable], carriers: Mapping[str, Carrier]) -> dict[str, Phone]:
    return {table.number: Phone(table.number, carriers[table.carrier], table.state) for table in tables}


def strings_at(document: RawTable, tables: str, key: str) -> list[str]:
    """Return the values of one key in a list of tables that has not been validated."""
    rows = document.get(tables)
    values = [row.get(key) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [value for value in values if isinstance(value, str)]


def _defined_names(document: RawTable) -> DefinedNames:
    return DefinedNames(
        carriers=strings_at(document, "carriers", "name"),
        numbers=[
            *strings_at(document, "short_codes", "short_code"),
            *strings_at(document, "phone_numbers", "phone_number"),
        ],
        sids=[
            sid
            for tables in ("services", "short_codes", "phone_numbers")
            for sid in strings_at(document, tables, "sid")
        ],
    )


def _service(table: ServiceTable, sids: Mapping[str, str], router_url: str | None) -> Service:
    senders = tuple(sids[address] for address in table.senders)
    service = table.applied_to(Service(table.sid, table.friendly_name, senders=senders))
    if not router_url:
        return service
    urls = (service.inbound_request_url, service.fallback_url, service.status_callback)
    inbound, fallback, status = (url and _moved(url, router_url) for url in urls)
    return replace(service, inbound_request_url=inbound, fallback_url=fallback, status_callback=status)


def _moved(url: str, router_url: str) -> str:
    target, parts = urlsplit(router_url), urlsplit(url)
    path = target.path.rstrip("/") + parts.path
    return urlunsplit(parts._replace(scheme=target.scheme, netloc=target.netloc, path=path))
