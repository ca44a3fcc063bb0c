"""Twilio's Porting API: whether a number can be ported, and the status of its port-in request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sms_router.twilio.rest import api_errors, numbers_resource

if TYPE_CHECKING:
    from twilio.rest import Client


@dataclass(frozen=True, slots=True)
class Portability:
    """Whether a number can be ported with the Porting API."""

    number: str
    portable: bool
    pin_required: bool
    """True when the PIN and the account number at the losing carrier are required."""
    reason: str | None
    """Why it cannot be ported, in Twilio's words."""
    number_type: str | None
    """``LOCAL``, ``MOBILE``, ``TOLL-FREE`` or ``UNKNOWN``."""
    country: str | None


@dataclass(frozen=True, slots=True)
class PortedNumber:
    """The status of one number of a port-in request."""

    request_sid: str
    request_status: str
    """Like ``in_progress``, in lower case with underscores."""
    status: str
    """The number's own, like ``port_pending``; empty when Twilio does not report it."""
    port_date: date | None
    """None until the losing carrier has confirmed it."""
    reason: str | None
    """Why it was rejected or canceled."""
    has_missing_fields: bool = False


def fetch_portability(client: Client, number: str) -> Portability:
    """Return whether a number can be ported; blocks; raises `ApiError`."""
    with api_errors():
        record = numbers_resource(client).child(f"Porting/Portability/PhoneNumber/{number}").fetch()
        return Portability(
            number=number,
            portable=bool(record.portable),
            pin_required=bool(record.pin_and_account_number_required),
            reason=record.not_portable_reason,
            number_type=record.number_type,
            country=record.country,
        )


def fetch_ported_numbers(client: Client, request_sid: str) -> dict[str, PortedNumber]:
    """Return the numbers of a port-in request with their status; blocks; raises `ApiError`."""
    with api_errors():
        request = numbers_resource(client).child(f"Porting/PortIn/{request_sid}").fetch()
        lines = [line for line in request.phone_numbers or () if isinstance(line, Mapping)]
        return {str(line.get("phone_number")): _ported(request_sid, request, line) for line in lines}


def _ported(request_sid: str, request: Any, line: Mapping[str, Any]) -> PortedNumber:
    return PortedNumber(
        request_sid=request_sid,
        request_status=_status(request.port_in_request_status),
        status=_status(line.get("port_in_phone_number_status")),
        port_date=_date(line.get("port_date")),
        reason=line.get("rejection_reason")
        or line.get("not_portability_reason")
        or request.order_cancellation_reason,
        has_missing_fields=bool(line.get("missing_required_fields")),
    )


def _status(value: Any) -> str:
    # Twilio's documentation has both "In progress" and "in_progress".
    return "_".join(str(value or "").replace("_", " ").lower().split())


def _date(value: Any) -> date | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None
