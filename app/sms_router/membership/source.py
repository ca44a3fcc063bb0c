"""Reads a Messaging Service from Twilio: its senders, settings and numbers, complete or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sms_router.membership.snapshot import (
    ServiceProperties,
    Snapshot,
    from_record,
    parse_capabilities,
)
from sms_router.senders.country import country_of, is_toll_free
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.rest import (
    ApiFailure,
    ApiResource,
    FailureKind,
    account_resource,
    describe_error,
    service_resource,
)
from sms_router.twilio.webhook_url import NumberUrls

if TYPE_CHECKING:
    from twilio.rest import Client


PAGE_SIZE = 1000
"""The largest page of Twilio's API."""
MAX_PAGES = 200
"""More than any account has: a longer list links to itself."""


class PoolReadError(RuntimeError):
    """A Service could not be read completely; the text is one sentence for operators."""

    def __init__(self, service_sid: str, failure: ApiFailure) -> None:
        super().__init__(f"the senders of {service_sid} could not be read: {failure.sentence}")
        self.failure = failure


class IncompleteListError(ValueError):
    """Twilio's response is JSON but not a complete list; the text names the fault."""


@dataclass(frozen=True, slots=True)
class ServiceSource:
    """One Service, how it is read, and how often."""

    service_sid: str
    read: Callable[[float], Snapshot]
    """Called with the time in seconds since the epoch; blocks; raises `PoolReadError`."""
    refresh_after: float = 60.0
    """Seconds between two readings."""


def twilio_source(
    build: Callable[[], Client], account_sid: str, service_sid: str, refresh_after: float = 60.0
) -> ServiceSource:
    """Return the source of one Service; it is read every ``refresh_after`` seconds.

    The client is built in the thread that first reads: the import takes too long for the event loop.
    """
    client = cache(build)

    def read(now: float) -> Snapshot:
        return read_snapshot(client(), account_sid, service_sid, now)

    return ServiceSource(service_sid, read, refresh_after)


def iter_records(listing: ApiResource, **filters: str) -> Iterator[Any]:
    """Yield every record of a list, over all pages; ``filters`` are Twilio's own query parameters.

    Raises:
        IncompleteListError: when the pages do not end.
        Exception: what the client raises for a page that fails.

    """
    page = listing.page(page_size=PAGE_SIZE, **filters)
    for _ in range(MAX_PAGES):
        yield from page
        page = page.next_page()
        if page is None:
            return
    raise IncompleteListError(f"more than {MAX_PAGES} pages")


def read_snapshot(client: Client, account_sid: str, service_sid: str, now: float) -> Snapshot:
    """Read the Service, its senders, and the URLs of its numbers; blocks.

    Args:
        client: Twilio's.
        account_sid: of the account that owns the Service.
        service_sid: of the Service.
        now: seconds since the epoch; the version is derived from it.

    Raises:
        PoolReadError: when any page fails, is incomplete, or is not in Twilio's format.

    """
    try:
        return _read(client, account_sid, service_sid, now)
    except IncompleteListError as error:
        failure = ApiFailure(FailureKind.UNREADABLE, None, None, f"Twilio's API returned {error}")
        raise PoolReadError(service_sid, failure) from error
    except Exception as error:
        # Any error: a partial reading must never replace a good snapshot.
        raise PoolReadError(service_sid, describe_error(error)) from error


def _read(client: Client, account_sid: str, service_sid: str, now: float) -> Snapshot:
    service, account = service_resource(client, service_sid), account_resource(client, account_sid)
    settings = from_record(ServiceProperties, service.fetch())
    short_codes = list(iter_records(service.child("ShortCodes")))
    numbers = list(iter_records(service.child("PhoneNumbers")))
    owned: dict[str, Any] = {}
    if short_codes:
        owned |= {code.sid: code for code in iter_records(account.child("SMS/ShortCodes.json"))}
    if numbers:
        owned |= {number.sid: number for number in iter_records(account.child("IncomingPhoneNumbers.json"))}
    records = [*short_codes, *numbers, *iter_records(service.child("AlphaSenders"))]
    senders = [_sender(record, owned.get(record.sid)) for record in records]
    members = {sender.sid for sender in senders}
    return Snapshot(
        account_sid=account_sid,
        service_sid=service_sid,
        senders=tuple(sorted(senders, key=lambda sender: sender.sid)),
        settings=settings,
        number_urls={
            sender.sid: from_record(NumberUrls, owned[sender.sid])
            for sender in senders
            if sender.sid in owned
        },
        read_at=now,
        version=int(now * 1000),
        account_numbers=tuple(
            sorted(
                str(record.phone_number or record.short_code)
                for sid, record in owned.items()
                if sid not in members
            )
        ),
    )


def _sender(record: Any, owned: Any) -> Sender:
    address, kind = identify_sender(record)
    if not record.sid or not address:
        raise IncompleteListError(f"a {kind.value} without its sid or its address")
    capabilities = parse_capabilities(record.capabilities)
    if kind is SenderKind.ALPHANUMERIC:
        capabilities = capabilities or Capability.SMS
    elif kind is not SenderKind.SHORT_CODE and owned is not None and not record.capabilities:
        capabilities = parse_capabilities([name for name, able in owned.capabilities.items() if able])
    country = record.country_code or country_of(address, None)
    return Sender(str(record.sid), address, kind, str(country).upper() if country else None, capabilities)


def identify_sender(record: Any) -> tuple[str, SenderKind]:
    """Return the address and the kind of a sender, by its record in the Service or on the account."""
    type_ = str(record.sid)[:2]
    if record.alpha_sender or type_ == "AI":
        return str(record.alpha_sender or ""), SenderKind.ALPHANUMERIC
    if record.short_code or type_ == "SC":
        return str(record.short_code or ""), SenderKind.SHORT_CODE
    # The record does not tell a long code from a toll-free number.
    address = str(record.phone_number or "")
    return address, SenderKind.TOLL_FREE if is_toll_free(address) else SenderKind.LONG_CODE
