"""Numbers on their way in, as the page of senders shows them: what is due next, and from whom."""

from __future__ import annotations

from typing import NamedTuple

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.repository import OnboardingState, stored_arrivals
from sms_router.senders.pending import live_notice
from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.context import ConsoleContext

MOST_SHOWN = 100


class PendingNumberRow(NamedTuple):
    """One number that is not live yet."""

    number: str
    comes_by: str
    step: str
    who: str
    expected: str
    trouble: str
    """Why somebody should look at it; empty when all is in time."""


async def arriving(desk: ConsoleContext) -> list[PendingNumberRow]:
    """Return the numbers on their way; nothing while Redis is away, where they are kept."""
    try:
        arrivals = await desk.archive.ask(stored_arrivals)
    except StoreUnavailableError:
        return []
    return [_told(each, arrivals, desk.clock()) for each in arrivals.pending[:MOST_SHOWN]]


def _told(checklist: Checklist, arrivals: OnboardingState, now: float) -> PendingNumberRow:
    step, actor = checklist.now, checklist.actor
    return PendingNumberRow(
        checklist.number,
        checklist.kind.label,
        step.name if step is not None else "",
        actor.label if actor is not None else "",
        str(checklist.expected or f"by {checklist.usually_by} as a rule"),
        _trouble(checklist, arrivals, now),
    )


def _trouble(checklist: Checklist, arrivals: OnboardingState, now: float) -> str:
    if checklist.rejected is not None:
        return f"rejected: {checklist.rejected}"
    if checklist.number in arrivals.texted and not checklist.process.gradual:
        return live_notice(checklist.number)
    return checklist.overdue(now) or ""
