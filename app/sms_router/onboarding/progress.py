"""Advances a checklist automatically: from the status of its port, and from where the number is seen."""

from __future__ import annotations

from sms_router.onboarding.checklist import Checklist, HistoryAction, day_of
from sms_router.onboarding.porting_api import PortedNumber
from sms_router.onboarding.steps import CONFIGURE, LIVE, SHORT_CODE_KINDS, OnboardingKind

TWILIO = "Twilio"
"""Who is named in the history for what Twilio reports."""

_LAST_STEP_DONE = {
    "in_review": "request",
    "waiting_for_signature": "review",
    "port_submitted": "signature",
    "in_progress": "signature",
    "port_pending": "carrier",
    "completed": LIVE,
}
"""The last step that is done, by the status of a number or of its request (Twilio's Porting API)."""

_REJECTED = {
    "port_rejected": "rejected by the losing carrier",
    "canceling": "the port is being canceled",
    "canceled": "the port was canceled",
    "expired": "the port-in request has expired",
    "action_required": "Twilio requires an action",
}


_REQUEST_STOPPED = frozenset({"action_required", "expired", "canceled"})
"""Statuses of a request that stop all of its numbers, except those that are already ported."""


def apply_port_status(checklist: Checklist, port: PortedNumber, at: float) -> Checklist:
    """Apply the status of a port; returns the same checklist when nothing has changed.

    The number's own status has precedence over its request's: a request may hold many numbers, and be in
    progress while one of them is rejected.
    """
    if checklist.is_finished:
        return checklist
    status = port.status or port.request_status
    if port.request_status in _REQUEST_STOPPED and status != "completed" and status not in _REJECTED:
        status = port.request_status
    if port.port_date is not None:
        checklist = checklist.expect(port.port_date, at, TWILIO)
    if status in _REJECTED:
        return _reject(checklist, _REJECTED[status], port, at)
    reached = _LAST_STEP_DONE.get(status)
    if reached == "request" and _was_rejected_by_twilio(checklist):
        return checklist.resubmit(at, TWILIO)
    if reached is None or reached in checklist.done:
        return checklist
    return checklist.complete_step(reached, at, TWILIO, f"{reached} ({status.replace('_', ' ')})")


def _was_rejected_by_twilio(checklist: Checklist) -> bool:
    # What an operator has read about a rejection may be newer than the status.
    rejections = [entry for entry in checklist.history if entry.action is HistoryAction.REJECTED]
    return checklist.rejected is not None and bool(rejections) and rejections[-1].who == TWILIO


def _reject(checklist: Checklist, sentence: str, port: PortedNumber, at: float) -> Checklist:
    reasons = [sentence, *([port.reason] if port.reason else [])]
    if port.has_missing_fields:
        reasons.append("required fields are missing, such as the PIN or the account number")
    reason = ": ".join(reasons)
    return checklist if checklist.rejected == reason else checklist.reject(reason, at, TWILIO)


def apply_progress(
    checklist: Checklist,
    at: float,
    *,
    in_service: bool,
    has_voice: bool,
    texted: float | None,
    port: PortedNumber | None = None,
) -> Checklist:
    """Apply the status of the number's port, and where the number is seen.

    A number in its Service is configured once something answers its calls too. It is live once it received a
    message through Twilio, or on the expected day: before that day a number may be on the account and not
    work yet (error 21659). A short code that moves carrier by carrier is live when an operator marks it.

    Args:
        checklist: of the number.
        at: seconds since the epoch.
        in_service: whether it is in its Messaging Service.
        has_voice: whether something answers its calls at Twilio.
        texted: when it first received a message through Twilio, in seconds since the epoch.
        port: its status at Twilio; one of another port-in request is ignored.

    """
    if port is not None and port.request_sid == checklist.request_sid:
        checklist = apply_port_status(checklist, port, at)
    if checklist.is_finished:
        return checklist
    if in_service:
        checklist = apply_configuration(checklist, at, has_voice=has_voice)
    if checklist.process.gradual:
        return checklist
    if texted is not None:
        return checklist.complete_step(LIVE, at, TWILIO, f"{LIVE} (it received a message through Twilio)")
    due = checklist.expected is not None and checklist.expected <= day_of(at)
    has_port_status = checklist.kind is OnboardingKind.PORT_US and checklist.request_sid is not None
    if in_service and due and checklist.rejected is None and not has_port_status:
        return checklist.complete_step(LIVE, at, TWILIO, f"{LIVE} (the expected day has come)")
    return checklist


def apply_configuration(checklist: Checklist, at: float, *, has_voice: bool) -> Checklist:
    """Complete the step configure of a number in its Service, once its calls are answered or refused."""
    if checklist.is_finished or checklist.is_configured or (checklist.needs_voice and not has_voice):
        return checklist
    calls = ""
    if checklist.kind not in SHORT_CODE_KINDS:
        calls = ", and its calls are answered" if has_voice else ", and it takes no calls"
    return checklist.complete_step(
        CONFIGURE, at, TWILIO, f"{CONFIGURE} (it is in the Messaging Service{calls})"
    )
