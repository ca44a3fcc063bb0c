"""What Twilio says of ports: whether a number can come, and how far its port-in request is (facts 9.3)."""

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
    """Whether a number can be ported by the API."""

    number: str
    portable: bool
    pin_required: bool
    """True when the PIN and the account number of the losing carrier must be given."""
    reason: str | None
    """Why it cannot be ported, in Twilio's words."""
    number_type: str | None
    """``LOCAL``, ``MOBILE``, ``TOLL-FREE`` or ``UNKNOWN``."""
    country: str | None


@dataclass(frozen=True, slots=True)
class PortedNumber:
    """How far one number of a port-in request is."""

    request_sid: str
    request_status: str
    """As ``in_progress``, whichever way Twilio writes it."""
    status: str
    """That of the number, ``port_pending`` for one; empty where Twilio does not tell."""
    port_date: date | None
    """Set once the losing carrier has confirmed it."""
    reason: str | None
    """Why it was rejected or canceled."""
    missing_fields: bool = False


def portability(client: Client, number: str) -> Portability:
    """Ask whether a number can be ported; blocks, and raises `ApiError`."""
    with api_errors():
        told = numbers_resource(client).child(f"Porting/Portability/PhoneNumber/{number}").fetch()
        return Portability(
            number=number,
            portable=bool(told.portable),
            pin_required=bool(told.pin_and_account_number_required),
            reason=told.not_portable_reason,
            number_type=told.number_type,
            country=told.country,
        )


def ported_numbers(client: Client, request_sid: str) -> dict[str, PortedNumber]:
    """Read how far the numbers of a port-in request are; blocks, and raises `ApiError`."""
    with api_errors():
        told = numbers_resource(client).child(f"Porting/PortIn/{request_sid}").fetch()
        lines = [each for each in told.phone_numbers or () if isinstance(each, Mapping)]
        return {str(line.get("phone_number")): _ported(request_sid, told, line) for line in lines}


def _ported(request_sid: str, told: Any, line: Mapping[str, Any]) -> PortedNumber:
    return PortedNumber(
        request_sid=request_sid,
        request_status=_status(told.port_in_request_status),
        status=_status(line.get("port_in_phone_number_status")),
        port_date=_date(line.get("port_date")),
        reason=line.get("rejection_reason")
        or line.get("not_portability_reason")
        or told.order_cancellation_reason,
        missing_fields=bool(line.get("missing_required_fields")),
    )


def _status(told: Any) -> str:
    """Return a status in one way of writing: Twilio has ``In progress`` and ``in_progress``."""
    return "_".join(str(told or "").replace("_", " ").lower().split())


def _date(told: Any) -> date | None:
    """Return the day of a date or a moment; None for what is neither."""
    if not isinstance(told, str) or not told:
        return None
    try:
        return datetime.fromisoformat(told).date()
    except ValueError:
        return None
