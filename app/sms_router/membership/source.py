"""Reads a Messaging Service from Twilio: everything, or nothing and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from sms_router.membership.pages import IncompleteListError, iter_records
from sms_router.membership.snapshot import ServiceProperties, Snapshot, capabilities_of, own_urls
from sms_router.senders.country import country_of, is_toll_free
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.rest import (
    ApiFailure,
    FailureKind,
    account_resource,
    build_client,
    describe_error,
    service_resource,
)

if TYPE_CHECKING:
    from twilio.rest import Client


class PoolReadError(RuntimeError):
    """A Service could not be read in full; the text is one sentence for people."""

    def __init__(self, service_sid: str, failure: ApiFailure) -> None:
        """Name the Service that could not be read, and keep what Twilio said."""
        super().__init__(f"the senders of {service_sid} could not be read: {failure.sentence}")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class ServiceSource:
    """One Service, where its senders are read, and how often."""

    service_sid: str
    read: Callable[[float], Snapshot]
    """Takes the time (seconds since the epoch) and blocks; raises `MembershipError`."""
    refresh_after: float = 60.0
    """Seconds after which a reading is old enough to be repeated."""


def twilio_source(
    account_sid: str,
    auth_token: str,
    service_sid: str,
    *,
    base_url: str,
    refresh_after: float = 60.0,
    timeout: float,
) -> ServiceSource:
    """Return the source of one Service; the client is made in the thread that first reads.

    ``timeout`` is the limit of each request in seconds.
    """

    @cache
    def client() -> Client:
        return build_client(account_sid, auth_token, base_url, timeout)

    def read(now: float) -> Snapshot:
        return read_snapshot(client(), account_sid, service_sid, now)

    return ServiceSource(service_sid, read, refresh_after)


def read_snapshot(client: Client, account_sid: str, service_sid: str, now: float) -> Snapshot:
    """Read the Service, its senders, and its numbers' own URLs; blocks.

    ``now`` is the time of the reading, seconds since the epoch; the version follows from it.

    Raises:
        MembershipError: when any page fails, is cut short, or is not what Twilio answers.

    """
    try:
        return _read(client, account_sid, service_sid, now)
    except IncompleteListError as error:
        failure = ApiFailure(FailureKind.UNREADABLE, None, None, f"Twilio's API answered {error}")
        raise PoolReadError(service_sid, failure) from error
    except Exception as error:
        # Whatever goes wrong between here and Twilio, half a reading must not look like one.
        raise PoolReadError(service_sid, describe_error(error)) from error


def _read(client: Client, account_sid: str, service_sid: str, now: float) -> Snapshot:
    ours, everything = service_resource(client, service_sid), account_resource(client, account_sid)
    settings = _settings(ours.fetch())
    codes = list(iter_records(ours.child("ShortCodes")))
    numbers = list(iter_records(ours.child("PhoneNumbers")))
    names = list(iter_records(ours.child("AlphaSenders")))
    own = {each.sid: each for each in iter_records(everything.child("SMS/ShortCodes.json"))} if codes else {}
    if numbers:
        own |= {each.sid: each for each in iter_records(everything.child("IncomingPhoneNumbers.json"))}
    senders = [
        *map(_short_code, codes),
        *(_number(each, own.get(each.sid)) for each in numbers),
        *map(_alphanumeric, names),
    ]
    return Snapshot(
        account_sid=account_sid,
        service_sid=service_sid,
        senders=tuple(sorted(senders, key=lambda sender: sender.sid)),
        settings=settings,
        number_urls={sender.sid: own_urls(own[sender.sid]) for sender in senders if sender.sid in own},
        read_at=now,
        version=int(now * 1000),
    )


def _settings(service: Any) -> ServiceProperties:
    return ServiceProperties(
        friendly_name=service.friendly_name or "",
        inbound_request_url=service.inbound_request_url or None,
        inbound_method=service.inbound_method or "POST",
        fallback_url=service.fallback_url or None,
        fallback_method=service.fallback_method or "POST",
        status_callback=service.status_callback or None,
        use_inbound_webhook_on_number=bool(service.use_inbound_webhook_on_number),
        sticky_sender=bool(service.sticky_sender),
        area_code_geomatch=bool(service.area_code_geomatch),
    )


def _short_code(record: Any) -> Sender:
    capabilities = capabilities_of(record.capabilities)
    return _sender(record.sid, record.short_code, SenderKind.SHORT_CODE, record.country_code, capabilities)


def _number(record: Any, own: Any) -> Sender:
    """A long code or a toll-free number; Twilio does not say which."""
    address = record.phone_number
    kind = SenderKind.TOLL_FREE if is_toll_free(address) else SenderKind.LONG_CODE
    capabilities = capabilities_of(record.capabilities)
    if own is not None and not record.capabilities:
        capabilities = capabilities_of([name for name, able in own.capabilities.items() if able])
    return _sender(record.sid, address, kind, record.country_code or country_of(address, None), capabilities)


def _alphanumeric(record: Any) -> Sender:
    capabilities = capabilities_of(record.capabilities) or Capability.SMS
    return _sender(record.sid, record.alpha_sender, SenderKind.ALPHANUMERIC, None, capabilities)


def _sender(sid: Any, address: Any, kind: SenderKind, country: Any, capabilities: Capability) -> Sender:
    if not sid or not address:
        raise IncompleteListError(f"a {kind.value} without its sid or its address")
    return Sender(str(sid), str(address), kind, str(country).upper() if country else None, capabilities)
