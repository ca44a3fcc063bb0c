"""One number on its way in: what is done, who acts next, what was said. Pure; times are passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from sms_router.onboarding.process import CONFIGURE, LIVE, Actor, Kind, OnboardingStep, Process, processes
from sms_router.onboarding.process_choice import OnboardingPath

MOST_ENTRIES = 60
"""Entries of a history; beyond them the oldest but the first make room."""


class StepError(ValueError):
    """A step that cannot be taken; the text is one sentence for people."""


class Action(StrEnum):
    """What a history tells of."""

    ADDED = "added"
    DONE = "done"
    REJECTED = "rejected"
    RESUBMITTED = "resubmitted"
    EXPECTED = "expected"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a history."""

    at: float
    """Seconds since the epoch."""
    who: str
    action: Action
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Checklist:
    """A number on its way: steps only ever become done."""

    number: str
    kind: Kind
    country: str
    service_sid: str
    """The Messaging Service that it is to belong to."""
    added: float
    since: float
    """When the step that is due now began, in seconds since the epoch."""
    done: frozenset[str] = frozenset()
    expected: date | None = None
    """The day on which it goes live, where one is known."""
    request_sid: str | None = None
    """The port-in request (``KW...``) at Twilio."""
    rejected: str | None = None
    """Why it was rejected; None once it was submitted again."""
    history: tuple[HistoryEntry, ...] = ()

    @classmethod
    def begun(
        cls,
        arrival: OnboardingPath,
        service_sid: str,
        at: float,
        who: str,
        expected: date | None = None,
        request_sid: str | None = None,
    ) -> Checklist:
        """Return a new one; with a port-in request, that much is done already."""
        begun = cls(
            arrival.number,
            arrival.kind,
            arrival.country,
            service_sid,
            added=at,
            since=at,
            expected=expected,
            request_sid=request_sid,
            history=(HistoryEntry(at, who, Action.ADDED, arrival.kind.value),),
        )
        return (
            begun if request_sid is None else begun.advanced("request", at, who, f"request ({request_sid})")
        )

    @property
    def process(self) -> Process:
        """The way it takes."""
        return processes()[self.kind]

    @property
    def finished(self) -> bool:
        """True once it is live, so that nothing speaks against using it."""
        return LIVE in self.done

    @property
    def now(self) -> OnboardingStep | None:
        """The step that is due; None when it is finished."""
        if self.finished:
            return None
        return next((step for step in self.process.steps if step.name not in self.done), None)

    @property
    def actor(self) -> Actor | None:
        """Who acts next: after a rejection that is you."""
        if self.rejected is not None and not self.finished:
            return Actor.YOU
        return self.now.by if self.now is not None else None

    @property
    def configured(self) -> bool:
        """Whether somebody has said that it is in its Service."""
        return CONFIGURE in self.done

    @property
    def usually_by(self) -> date:
        """The day by which it is usually live."""
        return day_of(self.added) + timedelta(days=self.process.longest)

    @property
    def due(self) -> date | None:
        """The last day of the step that is due, where a source says how long it takes."""
        step = self.now
        if step is None or step.within is None or self.rejected is not None:
            return None
        return step.within.after(day_of(self.since))

    def overdue(self, at: float) -> str | None:
        """Say what should have happened before this moment; None when all is in time."""
        today = day_of(at)
        if self.finished or self.now is None:
            return None
        if self.expected is not None and self.expected < today:
            return f"was expected on {self.expected}"
        if self.due is not None and self.due < today:
            return f"{self.now.name} was due on {self.due}"
        if self.expected is None and self.usually_by < today:
            return f"usually done by {self.usually_by}"
        return None

    def words(self) -> str:
        """Say why it is not used, as the trail does."""
        when = f", expected {self.expected}" if self.expected is not None else ""
        return f"{self.process.words}{when}; see sms-router onboarding show {self.number}"

    def advanced(self, name: str | None, at: float, who: str, detail: str = "") -> Checklist:
        """Return it with a step done: the one that is due, or the one that is named.

        A step says that those before it are done too, except those that may be done early. Whatever
        is done after a rejection ends it.

        Raises:
            StepError: when there is no such step, or it is done already.

        """
        name = name or (self.now.name if self.now is not None else None)
        if name is None:
            raise StepError(f"{self.number} is live: nothing is left to do")
        if name not in self.process.names:
            raise StepError(
                f"{name} is no step of {self.kind}; its steps are {', '.join(self.process.names)}"
            )
        if name in self.done:
            raise StepError(f"{name} of {self.number} is done already")
        told = replace(self, done=self.done | self._implied(name), rejected=None)
        since = self.since if told.now == self.now and self.rejected is None else at
        return replace(told, since=since)._told(at, who, Action.DONE, detail or name)

    def _implied(self, name: str) -> frozenset[str]:
        """Return what is done once a step is."""
        steps = self.process.steps
        index = self.process.names.index(name)
        if name == LIVE:
            return frozenset(self.process.names)
        if steps[index].early:
            return frozenset({name})
        return frozenset(step.name for step in steps[: index + 1] if not step.early) | {name}

    def rejected_for(self, reason: str, at: float, who: str) -> Checklist:
        """Return it rejected.

        Raises:
            StepError: when it is live.

        """
        if self.finished:
            raise StepError(f"{self.number} is live: nobody rejects it any more")
        return replace(self, rejected=reason)._told(at, who, Action.REJECTED, reason)

    def resubmitted(self, at: float, who: str) -> Checklist:
        """Return it sent in again after a rejection; the step that was rejected begins anew."""
        if self.rejected is None:
            raise StepError(f"{self.number} is not rejected")
        return replace(self, rejected=None, since=at)._told(at, who, Action.RESUBMITTED)

    def expecting(self, day: date, at: float, who: str) -> Checklist:
        """Return it with the day on which it goes live."""
        if day == self.expected:
            return self
        return replace(self, expected=day)._told(at, who, Action.EXPECTED, day.isoformat())

    def requested_by(self, request_sid: str, at: float, who: str) -> Checklist:
        """Return it with its port-in request at Twilio; a new one after a rejection ends that."""
        told = replace(self, request_sid=request_sid)
        if "request" not in self.done:
            return told.advanced("request", at, who, f"request ({request_sid})")
        if self.rejected is not None:
            told = told.resubmitted(at, who)
        return told._told(at, who, Action.NOTE, f"the port-in request is {request_sid}")

    def noted(self, text: str, at: float, who: str) -> Checklist:
        """Return it with a note."""
        return self._told(at, who, Action.NOTE, text)

    def _told(self, at: float, who: str, action: Action, detail: str = "") -> Checklist:
        history = (*self.history, HistoryEntry(at, who, action, detail))
        if len(history) > MOST_ENTRIES:
            history = (history[0], *history[-MOST_ENTRIES + 1 :])
        return replace(self, history=history)


def day_of(at: float) -> date:
    """Return the day, in UTC, of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).date()
