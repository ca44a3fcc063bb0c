"""Checks of onboarding: numbers that are late, rejected, missing or already live; pure."""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import timedelta

from sms_router.checks.finding import Finding, Severity
from sms_router.onboarding.checklist import Checklist, day_of
from sms_router.onboarding.repository import OnboardingState
from sms_router.onboarding.steps import SHORT_CODE_KINDS
from sms_router.senders.pending import live_notice

CONFIGURE_BEFORE = timedelta(days=7)
"""How long before its expected day a number must be in its Service."""
REMIND_BEFORE_RENEWAL = timedelta(days=30)


def check_pending_numbers(
    state: OnboardingState, service_sid: str, members: Set[str], with_voice: Set[str], at: float
) -> Iterator[Finding]:
    """Yield the findings about the pending numbers of a Service at ``at`` (seconds since the epoch).

    ``members`` are the addresses in its Sender Pool at Twilio; ``with_voice`` are the pending numbers whose
    calls are answered at Twilio.
    """
    for checklist in state.pending:
        if checklist.service_sid == service_sid:
            yield from _check(checklist, state, members, at)
            if checklist.number in members - with_voice:
                yield from _check_voice(checklist, at)


def check_orphans(state: OnboardingState, service_sids: Set[str]) -> Iterator[Finding]:
    """Yield the pending numbers whose Service is not configured."""
    for checklist in state.pending:
        if checklist.service_sid not in service_sids:
            sentence = f"{checklist.number} is pending for a Service that is not configured."
            remedy = f"Configure the Service, or: sms-router onboarding drop {checklist.number}"
            yield _warning(checklist, sentence, remedy)


def _check(checklist: Checklist, state: OnboardingState, members: Set[str], at: float) -> Iterator[Finding]:
    number, show = checklist.number, f"sms-router onboarding show {checklist.number}"
    if number in state.texted and not checklist.process.gradual:
        sentence, _, remedy = live_notice(number).partition(": ")
        yield _warning(checklist, f"{sentence}: other contacts get no replies from it.", remedy)
        return
    late = checklist.overdue_reason(at)
    yield from _check_documents(checklist, at)
    yield from _check_renewal(checklist, at)
    if checklist.rejected is not None:
        yield _warning(checklist, f"{number} was rejected: {checklist.rejected}", show)
    elif late is not None:
        yield _warning(checklist, f"{number} is late: {late}.", show)
    if number in members:
        yield _present(checklist, at)
    else:
        # A number without SMS configured loses messages from the day on which it is live.
        command = "short-codes" if checklist.kind in SHORT_CODE_KINDS else "senders"
        remedy = f"sms-router {command} add {number} --service {checklist.service_sid}"
        yield from _lost("is not in the Service: messages to it", remedy, checklist, at)


def _present(checklist: Checklist, at: float) -> Finding:
    if not checklist.process.gradual and _day_has_come(checklist, at):
        sentence = (
            f"{checklist.number} is in the Service and its day has come, but it is still marked as pending."
        )
        return _warning(checklist, sentence, "sms-router onboarding refresh")
    sentence = f"{checklist.number} is in the Service, and is skipped until it is live."
    remedy = f"sms-router onboarding show {checklist.number}"
    return Finding(Severity.NOTE, checklist.service_sid, sentence, remedy)


def _check_documents(checklist: Checklist, at: float) -> Iterator[Finding]:
    # Before the first document is recorded, nobody uses the checklist for its documents.
    if checklist.documents:
        for problem in checklist.document_problems(at):
            sentence = f"{checklist.number}: {problem}."
            yield _warning(checklist, sentence, f"sms-router onboarding document {checklist.number} ...")


def _check_renewal(checklist: Checklist, at: float) -> Iterator[Finding]:
    if checklist.renewal is None or checklist.renewal - REMIND_BEFORE_RENEWAL > day_of(at):
        return
    if checklist.is_transferred:
        sentence = f"The lease of {checklist.number} is renewed on {checklist.renewal}; Twilio pays for it."
        remedy = f"To end it, tell Twilio before {checklist.billing_day}, when it bills the next period."
        yield Finding(Severity.NOTE, checklist.service_sid, sentence, remedy)
    else:
        sentence = f"The lease of {checklist.number} ends on {checklist.renewal}, and is not transferred yet."
        remedy = "Have its holder renew it, or transfer it before, once Twilio has approved the transfer."
        yield _warning(checklist, sentence, remedy)


def _check_voice(checklist: Checklist, at: float) -> Iterator[Finding]:
    if checklist.needs_voice and not checklist.is_configured:
        number = checklist.number
        remedy = (
            f"sms-router senders update {number} --voice-url URL, or: sms-router onboarding no-calls {number}"
        )
        yield from _lost("nothing answers its calls: they", remedy, checklist, at)


def _lost(what: str, remedy: str, checklist: Checklist, at: float) -> Iterator[Finding]:
    """Yield what a number loses from its expected day on, once that is near."""
    if checklist.expected is not None and checklist.expected <= day_of(at) + CONFIGURE_BEFORE:
        severity = Severity.ERROR if _day_has_come(checklist, at) else Severity.WARNING
        sentence = f"{checklist.number} is expected on {checklist.expected} and {what} are lost from then on."
        yield Finding(severity, checklist.service_sid, sentence, remedy)


def _warning(checklist: Checklist, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, checklist.service_sid, sentence, remedy)


def _day_has_come(checklist: Checklist, at: float) -> bool:
    return checklist.expected is not None and checklist.expected <= day_of(at)
