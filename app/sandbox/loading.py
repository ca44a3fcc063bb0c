"""``config/sandbox.toml`` -> World, or a list of what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from app.sandbox.numbers import Capabilities, Method, Number, country_of, is_e164, is_short_code
from app.sandbox.tables import Table, WorldError
from app.sandbox.world import Carrier, Phone, Service, World


def load_world(path: str | Path, router_url: str | None = None) -> World:
    """Read the world that the sandbox starts from.

    ``router_url`` (such as ``http://127.0.0.1:8123``) replaces scheme, host and port of the
    Services' inbound, fallback and status URLs, so that a router on another port is called.

    Raises:
        WorldError: with every mistake, named by its key.

    """
    source = Path(path)
    try:
        document = tomllib.loads(source.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WorldError(str(source), [str(error)]) from error
    mistakes: list[str] = []
    world = _world(Table(document, "", mistakes), router_url)
    if mistakes:
        raise WorldError(str(source), mistakes)
    return world


def _world(root: Table, router_url: str | None) -> World:
    account = root.table("account")
    carriers = _carriers(root)
    numbers = _numbers(root)
    world = World(
        account_sid=_sid(account, "AC"),
        auth_token=account.text("auth_token"),
        services=tuple(_service(row, numbers, router_url) for row in root.tables("services")),
        numbers=tuple(numbers.values()),
        phones=MappingProxyType(_phones(root, carriers)),
        default_carrier=_default_carrier(root, carriers),
    )
    if not world.auth_token:
        account.refuse("auth_token", "must not be empty: anybody could sign with it")
    account.finish()
    root.finish()
    return world


def _numbers(root: Table) -> dict[str, Number]:
    rows = [(row, _short_code(row)) for row in root.tables("short_codes")]
    rows += [(row, _phone_number(row)) for row in root.tables("phone_numbers")]
    numbers: dict[str, Number] = {}
    for row, number in rows:
        if number.address in numbers or number.sid in (other.sid for other in numbers.values()):
            row.refuse("sid", f"{number.sid} or {number.address} is there already")
        numbers[number.address] = number
        row.finish()
    return numbers


def _short_code(row: Table) -> Number:
    address, country = row.text("short_code"), row.text("country")
    if not is_short_code(address):
        row.refuse("short_code", f"expected 3 to 8 bare digits, got {address!r}")
    if not re.fullmatch("[A-Z]{2}", country):
        row.refuse("country", f"expected two capital letters (ISO 3166), got {country!r}")
    return _number(row, "SC", address, country)


def _phone_number(row: Table) -> Number:
    address = row.text("phone_number")
    if not is_e164(address):
        row.refuse("phone_number", f"expected E.164, such as +14155550100, got {address!r}")
        return _number(row, "PN", address, "")
    return _number(row, "PN", address, country_of(address))


def _number(row: Table, prefix: str, address: str, country: str) -> Number:
    return Number(
        sid=_sid(row, prefix),
        address=address,
        country=country,
        capabilities=_capabilities(row),
        friendly_name=row.text("friendly_name", address),
        sms_url=_url(row, "sms_url"),
        sms_method=row.choice("sms_method", Method, Method.POST),
        sms_fallback_url=_url(row, "sms_fallback_url"),
        sms_fallback_method=row.choice("sms_fallback_method", Method, Method.POST),
    )


def _capabilities(row: Table) -> Capabilities:
    names = row.texts("capabilities", ["SMS"])
    for name in names:
        if name not in ("SMS", "MMS", "Voice"):
            row.refuse("capabilities", f"expected SMS, MMS or Voice, got {name!r}")
    return Capabilities(sms="SMS" in names, mms="MMS" in names, voice="Voice" in names)


def _service(row: Table, numbers: Mapping[str, Number], router_url: str | None) -> Service:
    addresses = row.texts("senders")
    for address in addresses:
        if address not in numbers:
            row.refuse("senders", f"{address} is none of the short codes and phone numbers")
    service = Service(
        sid=_sid(row, "MG"),
        friendly_name=row.text("friendly_name"),
        inbound_request_url=_moved(_url(row, "inbound_request_url"), router_url),
        inbound_method=row.choice("inbound_method", Method, Method.POST),
        fallback_url=_moved(_url(row, "fallback_url"), router_url),
        fallback_method=row.choice("fallback_method", Method, Method.POST),
        status_callback=_moved(_url(row, "status_callback"), router_url),
        use_inbound_webhook_on_number=row.flag("use_inbound_webhook_on_number", default=False),
        senders=tuple(numbers[address].sid for address in addresses if address in numbers),
    )
    row.finish()
    return service


def _carriers(root: Table) -> dict[str, Carrier]:
    carriers = {}
    for row in root.tables("carriers"):
        carrier = Carrier(
            name=row.text("name"),
            reaches_short_codes=row.flag("reaches_short_codes", default=True),
            mms=row.flag("mms", default=True),
            delay=row.seconds("delay", 0.0),
        )
        carriers[carrier.name] = carrier
        row.finish()
    return carriers


def _default_carrier(root: Table, carriers: Mapping[str, Carrier]) -> Carrier:
    return _carrier(root, "default_carrier", carriers)


def _phones(root: Table, carriers: Mapping[str, Carrier]) -> dict[str, Phone]:
    phones = {}
    for row in root.tables("phones"):
        number = row.text("number")
        if not is_e164(number):
            row.refuse("number", f"expected E.164, such as +14155550123, got {number!r}")
        phones[number] = Phone(number, _carrier(row, "carrier", carriers))
        row.finish()
    return phones


def _carrier(row: Table, key: str, carriers: Mapping[str, Carrier]) -> Carrier:
    name = row.text(key)
    if name not in carriers:
        row.refuse(key, f"there is no carrier {name!r}; known: {', '.join(carriers) or 'none'}")
    return carriers.get(name) or Carrier(name)


def _sid(row: Table, prefix: str) -> str:
    sid = row.text("sid")
    if not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", sid):
        row.refuse("sid", f"expected {prefix} and 32 hex digits, got {sid!r}")
    return sid


def _url(row: Table, key: str) -> str:
    url = row.text(key, "")
    if url and not re.match("https?://[^/]", url):
        row.refuse(key, f"expected an http or https URL, got {url!r}")
    return url


def _moved(url: str, router_url: str | None) -> str:
    if not url or not router_url:
        return url
    target = urlsplit(router_url)
    return urlunsplit(urlsplit(url)._replace(scheme=target.scheme, netloc=target.netloc))
