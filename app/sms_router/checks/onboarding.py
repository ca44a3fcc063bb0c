"""What ``check`` says of numbers on their way: what is late, what is missing, what is live already. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import timedelta

from sms_router.checks.finding import Finding, Severity
from sms_router.onboarding.checklist import Checklist, day_of
from sms_router.onboarding.process import Kind
from sms_router.onboarding.repository import OnboardingState
from sms_router.senders.pending import live_notice

SOON = timedelta(days=7)
"""Before its day, how long a number may still be missing in its Service."""

_SHORT_CODES = frozenset({Kind.SHORT_CODE_LEASE, Kind.SHORT_CODE_MIGRATION})


def check_pending_numbers(
    arrivals: OnboardingState, service_sid: str, members: Set[str], at: float
) -> Iterator[Finding]:
    """Yield what there is to say of a Service's numbers on their way.

    ``members`` are the addresses in the Service at Twilio; ``at`` is in seconds since the epoch.
    """
    for checklist in arrivals.pending:
        if checklist.service_sid == service_sid:
            yield from _of(checklist, arrivals, members, at)


def check_orphans(arrivals: OnboardingState, service_sids: Set[str]) -> Iterator[Finding]:
    """Yield the numbers whose Service is not configured."""
    for checklist in arrivals.pending:
        if checklist.service_sid not in service_sids:
            yield Finding(
                Severity.WARNING,
                checklist.service_sid,
                f"{checklist.number} is on its way to a Service that is not configured.",
                f"Configure it, or: sms-router onboarding drop {checklist.number}",
            )


def _of(checklist: Checklist, arrivals: OnboardingState, members: Set[str], at: float) -> Iterator[Finding]:
    number, show = checklist.number, f"sms-router onboarding show {checklist.number}"
    if number in arrivals.texted and not checklist.process.gradual:
        sentence, _, remedy = live_notice(number).partition(": ")
        yield _warning(checklist, f"{sentence}: other people are not answered from it.", remedy)
        return
    late = checklist.overdue(at)
    if checklist.rejected is not None:
        yield _warning(checklist, f"{number} was rejected: {checklist.rejected}", show)
    elif late is not None:
        yield _warning(checklist, f"{number} is late: {late}.", show)
    if number in members:
        yield _passed_over(checklist, at)
    else:
        yield from _missing(checklist, at)


def _passed_over(checklist: Checklist, at: float) -> Finding:
    if not checklist.process.gradual and _day_has_come(checklist, at):
        sentence = (
            f"{checklist.number} is in the Service and its day has come, but it is still marked as pending."
        )
        return _warning(checklist, sentence, "sms-router onboarding refresh")
    sentence = f"{checklist.number} is in the Service, and passed over until it is live."
    remedy = f"sms-router onboarding show {checklist.number}"
    return Finding(Severity.NOTE, checklist.service_sid, sentence, remedy)


def _missing(checklist: Checklist, at: float) -> Iterator[Finding]:
    """SMS must be configured before the number is live: it is when the number is in the Service."""
    if checklist.expected is None or checklist.expected > day_of(at) + SOON:
        return
    command = "short-codes" if checklist.kind in _SHORT_CODES else "senders"
    yield Finding(
        Severity.ERROR if _day_has_come(checklist, at) else Severity.WARNING,
        checklist.service_sid,
        f"{checklist.number} is expected on {checklist.expected} and is not in the Service:"
        " what people text to it from then on is lost.",
        f"sms-router {command} add {checklist.number} --service {checklist.service_sid}",
    )


def _warning(checklist: Checklist, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, checklist.service_sid, sentence, remedy)


def _day_has_come(checklist: Checklist, at: float) -> bool:
    return checklist.expected is not None and checklist.expected <= day_of(at)
