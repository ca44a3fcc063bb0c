"""Reading ``[[services]]``, and the settings that a scenario lays over a Service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from sms_router.sandbox.world.numbers import HttpMethod, Number
from sms_router.sandbox.world.numbers_config import read_countries, read_sid, read_url
from sms_router.sandbox.world.opt_out_keywords import DEFAULT, WordList
from sms_router.sandbox.world.toml_table import Table
from sms_router.sandbox.world.world import Service

_WORD = re.compile("[A-Z0-9]{1,34}")
"""What a keyword of Advanced Opt-Out may look like (facts 8)."""


def read_service(row: Table, numbers: Mapping[str, Number], router_url: str | None) -> Service:
    """Return a Service; ``router_url`` replaces scheme, host and port of its URLs, its path comes first."""
    addresses = row.texts("senders")
    for address in addresses:
        if address not in numbers:
            row.refuse("senders", f"{address} is not one of the short codes and phone numbers")
    senders = tuple(numbers[address].sid for address in addresses if address in numbers)
    service = Service(read_sid(row, "MG"), row.text("friendly_name"), senders=senders)
    service = lay_over(row, service)
    row.finish()
    return replace(
        service,
        inbound_request_url=_moved(service.inbound_request_url, router_url),
        fallback_url=_moved(service.fallback_url, router_url),
        status_callback=_moved(service.status_callback, router_url),
    )


def lay_over(row: Table, service: Service) -> Service:
    """Return the Service with the settings that a table holds."""
    return replace(
        service,
        inbound_request_url=read_url(row, "inbound_request_url", service.inbound_request_url),
        inbound_method=row.choice("inbound_method", HttpMethod, service.inbound_method),
        fallback_url=read_url(row, "fallback_url", service.fallback_url),
        fallback_method=row.choice("fallback_method", HttpMethod, service.fallback_method),
        status_callback=read_url(row, "status_callback", service.status_callback),
        use_inbound_webhook_on_number=row.flag(
            "use_inbound_webhook_on_number", default=service.use_inbound_webhook_on_number
        ),
        sticky_sender=row.flag("sticky_sender", default=service.sticky_sender),
        area_code_geomatch=row.flag("area_code_geomatch", default=service.area_code_geomatch),
        mms_converter=row.flag("mms_converter", default=service.mms_converter),
        smart_encoding=row.flag("smart_encoding", default=service.smart_encoding),
        advanced_opt_out=row.flag("advanced_opt_out", default=service.advanced_opt_out),
        opt_out_lists=tuple(_word_list(each) for each in row.tables("opt_out_lists"))
        or service.opt_out_lists,
    )


def _word_list(row: Table) -> WordList:
    words = WordList(
        language=row.text("language"),
        stop=_words(row, "stop"),
        start=_words(row, "start"),
        help=_words(row, "help"),
        stop_reply=row.text("stop_reply", DEFAULT.stop_reply),
        start_reply=row.text("start_reply", DEFAULT.start_reply),
        help_reply=row.text("help_reply", DEFAULT.help_reply),
        countries=read_countries(row, "countries"),
    )
    row.finish()
    return words


def _words(row: Table, key: str) -> frozenset[str]:
    words = row.texts(key)
    for word in words:
        if not _WORD.fullmatch(word):
            row.refuse(key, f"expected capitals and digits without blanks, at most 34, got {word!r}")
    return frozenset(words)


def _moved(url: str, router_url: str | None) -> str:
    if not url or not router_url:
        return url
    target, parts = urlsplit(router_url), urlsplit(url)
    path = target.path.rstrip("/") + parts.path
    return urlunsplit(parts._replace(scheme=target.scheme, netloc=target.netloc, path=path))
