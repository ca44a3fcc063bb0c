"""What moves a checklist forward by itself: what Twilio says of its port, and where the number is seen."""

from __future__ import annotations

from sms_router.onboarding.checklist import Checklist, day_of
from sms_router.onboarding.porting import PortedNumber
from sms_router.onboarding.process import CONFIGURE, LIVE, Kind

TWILIO = "Twilio"
"""Who is named for what Twilio says."""

_REACHED = {
    "in_review": "request",
    "waiting_for_signature": "review",
    "port_submitted": "signature",
    "in_progress": "signature",
    "port_pending": "carrier",
    "completed": LIVE,
}
"""By the status of a number, or of its request, the last step that is done (facts 9.3)."""

_ENDED = {
    "port_rejected": "rejected by the losing carrier",
    "canceling": "the port is being canceled",
    "canceled": "the port was canceled",
    "expired": "the port-in request has expired",
    "action_required": "Twilio asks for something",
}


_ASKING = frozenset({"action_required", "expired", "canceled"})
"""Statuses of a request that stop all of its numbers but those that are ported already."""


def apply_port_status(checklist: Checklist, port: PortedNumber, at: float) -> Checklist:
    """Return a checklist with what Twilio says of its port; the same one when that is nothing new.

    The number's own status counts, the request's where the number has none: a request may hold many
    numbers, and be in progress while one of them is rejected.
    """
    if checklist.finished:
        return checklist
    status = port.status or port.request_status
    if port.request_status in _ASKING and status != "completed" and status not in _ENDED:
        status = port.request_status
    if port.port_date is not None:
        checklist = checklist.expecting(port.port_date, at, TWILIO)
    if status in _ENDED:
        return _ended(checklist, _ENDED[status], port, at)
    reached = _REACHED.get(status)
    if reached is None or reached in checklist.done:
        return checklist
    return checklist.advanced(reached, at, TWILIO, f"{reached} ({status.replace('_', ' ')})")


def _ended(checklist: Checklist, words: str, port: PortedNumber, at: float) -> Checklist:
    reasons = [words, *([port.reason] if port.reason else [])]
    if port.missing_fields:
        reasons.append("required fields are missing, such as the PIN or the account number")
    reason = ": ".join(reasons)
    return checklist if checklist.rejected == reason else checklist.rejected_for(reason, at, TWILIO)


def apply_observed(checklist: Checklist, at: float, *, in_service: bool, texted: float | None) -> Checklist:
    """Return a checklist with what its number's place says of it.

    A number that is in its Service is configured. It is live once it was texted through Twilio, or once
    the day has come that it was expected on: before it, a number may stand on the account and not work
    yet (error 21659). A short code that moves carrier by carrier is live when an operator says so.
    """
    if checklist.finished:
        return checklist
    if in_service and not checklist.configured:
        checklist = checklist.advanced(CONFIGURE, at, TWILIO, f"{CONFIGURE} (it is in the Messaging Service)")
    if checklist.process.gradual:
        return checklist
    if texted is not None:
        return checklist.advanced(LIVE, at, TWILIO, f"{LIVE} (it was texted through Twilio)")
    due = checklist.expected is not None and checklist.expected <= day_of(at)
    trusts_twilio = checklist.kind is Kind.PORT_US and checklist.request_sid is not None
    if in_service and due and checklist.rejected is None and not trusts_twilio:
        return checklist.advanced(LIVE, at, TWILIO, f"{LIVE} (its day has come, and it is in the Service)")
    return checklist
