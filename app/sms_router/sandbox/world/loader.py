"""Loads ``config/sandbox.toml`` as a World."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from sms_router.sandbox.world.models import PhoneTable, SandboxFile, ServiceTable
from sms_router.sandbox.world.types import DefinedNames
from sms_router.sandbox.world.world import Carrier, Phone, Service, World
from sms_router.toml import RawTable, read_toml, validate


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
    return replace(
        service,
        inbound_request_url=_moved(service.inbound_request_url, router_url),
        fallback_url=_moved(service.fallback_url, router_url),
        status_callback=_moved(service.status_callback, router_url),
    )


def _moved(url: str, router_url: str | None) -> str:
    if not url or not router_url:
        return url
    target, parts = urlsplit(router_url), urlsplit(url)
    path = target.path.rstrip("/") + parts.path
    return urlunsplit(parts._replace(scheme=target.scheme, netloc=target.netloc, path=path))
