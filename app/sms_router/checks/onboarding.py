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
    """Yield the findings about the pending numbers of a Service.

    Args:
        state: all onboarding checklists.
        service_sid: of the Service.
        members: the addresses in its Sender Pool at Twilio.
        with_voice: the pending numbers whose calls are answered at Twilio.
        at: seconds since the epoch.

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
            yield Finding(
                Severity.WARNING,
                checklist.service_sid,
                f"{checklist.number} is pending for a Service that is not configured.",
                f"Configure the Service, or: sms-router onboarding drop {checklist.number}",
            )


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
        yield from _missing(checklist, at)


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
        remedy = (
            "Have its current holder renew it, or transfer it before, once Twilio has approved the transfer."
        )
        yield _warning(checklist, sentence, remedy)


def _check_voice(checklist: Checklist, at: float) -> Iterator[Finding]:
    if not checklist.needs_voice or checklist.is_configured or not _is_near(checklist, at):
        return
    yield Finding(
        Severity.ERROR if _day_has_come(checklist, at) else Severity.WARNING,
        checklist.service_sid,
        f"{checklist.number} is expected on {checklist.expected} and nothing answers its calls:"
        " they are lost from then on.",
        f"sms-router senders update {checklist.number} --voice-url URL,"
        f" or: sms-router onboarding no-calls {checklist.number}",
    )


def _is_near(checklist: Checklist, at: float) -> bool:
    return checklist.expected is not None and checklist.expected <= day_of(at) + CONFIGURE_BEFORE


def _missing(checklist: Checklist, at: float) -> Iterator[Finding]:
    # A number without SMS configured loses messages from the day on which it is live.
    if not _is_near(checklist, at):
        return
    command = "short-codes" if checklist.kind in SHORT_CODE_KINDS else "senders"
    yield Finding(
        Severity.ERROR if _day_has_come(checklist, at) else Severity.WARNING,
        checklist.service_sid,
        f"{checklist.number} is expected on {checklist.expected} and is not in the Service:"
        " messages to it are lost from then on.",
        f"sms-router {command} add {checklist.number} --service {checklist.service_sid}",
    )


def _warning(checklist: Checklist, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, checklist.service_sid, sentence, remedy)


def _day_has_come(checklist: Checklist, at: float) -> bool:
    return checklist.expected is not None and checklist.expected <= day_of(at)
