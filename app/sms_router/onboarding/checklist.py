"""The onboarding progress of one number: the steps done, who acts next, and the history. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from sms_router.onboarding.documents import RecordedDocument, document_problems
from sms_router.onboarding.process_choice import OnboardingPath
from sms_router.onboarding.steps import (
    CONFIGURE,
    DATE,
    LIVE,
    SHORT_CODE_KINDS,
    TRANSFER,
    Actor,
    OnboardingKind,
    OnboardingProcess,
    OnboardingStep,
    processes,
)

MAX_HISTORY = 60
"""Entries; beyond them the oldest ones but the first are removed."""


BILLED_BEFORE_RENEWAL = timedelta(days=14)
"""Twilio aligns the billing of a transferred lease to two weeks before its renewal."""
NOBODY = "nobody"
"""Who is named in the history for a step that silence has completed."""


class StepError(ValueError):
    """A change that is not possible; the text is one sentence for the operator."""


class HistoryAction(StrEnum):
    """What a history entry records."""

    ADDED = "added"
    DONE = "done"
    REJECTED = "rejected"
    RESUBMITTED = "resubmitted"
    EXPECTED = "expected"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of a checklist's history."""

    at: float
    """Seconds since the epoch."""
    who: str
    action: HistoryAction
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Checklist:
    """The onboarding state of one number; changes return a new checklist.

    A step stays done, until a rejected number is submitted again.
    """

    number: str
    kind: OnboardingKind
    country: str
    service_sid: str
    """The Messaging Service that it will belong to."""
    added: float
    """Seconds since the epoch."""
    since: float
    """When the current step began, in seconds since the epoch."""
    done: frozenset[str] = frozenset()
    expected: date | None = None
    """The day on which it goes live; None while it is unknown."""
    request_sid: str | None = None
    """The port-in request (``KW...``) at Twilio."""
    rejected: str | None = None
    """Why it was rejected; None after it was resubmitted."""
    has_no_calls: bool = False
    """True when an operator decided that nothing answers its calls."""
    documents: tuple[RecordedDocument, ...] = ()
    """The documents that were recorded; one of each kind."""
    renewal: date | None = None
    """The day on which the lease of a short code is renewed."""
    history: tuple[HistoryEntry, ...] = ()

    @classmethod
    def start(
        cls,
        path: OnboardingPath,
        service_sid: str,
        at: float,
        who: str,
        expected: date | None = None,
        request_sid: str | None = None,
    ) -> Checklist:
        """Return a new checklist; with a port-in request the step ``request`` is done."""
        checklist = cls(
            path.number,
            path.kind,
            path.country,
            service_sid,
            added=at,
            since=at,
            expected=expected,
            request_sid=request_sid,
            history=(HistoryEntry(at, who, HistoryAction.ADDED, path.kind.value),),
        )
        if request_sid is None:
            return checklist
        return checklist.complete_step("request", at, who, f"request ({request_sid})")

    @property
    def process(self) -> OnboardingProcess:
        return processes()[self.kind]

    @property
    def is_finished(self) -> bool:
        """True once the number is live."""
        return LIVE in self.done

    @property
    def current_step(self) -> OnboardingStep | None:
        """The first step that is not done; None when it is finished."""
        if self.is_finished:
            return None
        return next((step for step in self.process.steps if step.name not in self.done), None)

    @property
    def next_actor(self) -> Actor | None:
        """Who acts next; after a rejection the operator."""
        if self.rejected is not None and not self.is_finished:
            return Actor.YOU
        return self.current_step.actor if self.current_step is not None else None

    @property
    def is_configured(self) -> bool:
        """True when the number is in its Messaging Service, and its calls are answered or refused."""
        return CONFIGURE in self.done

    @property
    def needs_voice(self) -> bool:
        """True when its calls must be answered too before it is configured; short codes receive no calls."""
        return self.kind not in SHORT_CODE_KINDS and not self.has_no_calls

    @property
    def usual_end(self) -> date:
        """The day by which such a number is usually live."""
        return day_of(self.added) + timedelta(days=self.process.usual_days)

    @property
    def step_due(self) -> date | None:
        """The last day of the current step; None when its duration is unknown."""
        step = self.current_step
        if step is None or step.within is None or self.rejected is not None:
            return None
        return step.within.after(day_of(self.since))

    @property
    def configure_by(self) -> date | None:
        """The last day to configure the number, before it goes live; None when it is done or has no date."""
        if self.expected is None or self.is_configured or self.is_finished:
            return None
        return self.expected - timedelta(days=1)

    def overdue_reason(self, at: float) -> str | None:
        """Return what should have happened before this time; None when nothing is late."""
        today = day_of(at)
        if self.is_finished or self.current_step is None:
            return None
        if self.expected is not None and self.expected < today:
            return f"was expected on {self.expected}"
        if self.step_due is not None and self.step_due < today:
            return f"{self.current_step.name} was due on {self.step_due}"
        if self.expected is None and self.usual_end < today:
            return f"usually done by {self.usual_end}"
        return None

    def pending_reason(self) -> str:
        """Return why the number is not used yet, for the trail."""
        when = f", expected {self.expected}" if self.expected is not None else ""
        return f"{self.process.pending_reason}{when}; see sms-router onboarding show {self.number}"

    def complete_step(self, name: str | None, at: float, who: str, detail: str = "") -> Checklist:
        """Mark a step as done, and those before it except the early ones; a rejection ends.

        Args:
            name: of the step; None for the current one.
            at: seconds since the epoch.
            who: the operator, or `progress.TWILIO`.
            detail: for the history; the name of the step by default.

        Raises:
            StepError: when there is no such step, or it is already done.

        """
        name = name or (self.current_step.name if self.current_step is not None else None)
        if name is None:
            raise StepError(f"{self.number} is live: no step is left")
        if name not in self.process.step_names:
            raise StepError(
                f"{self.kind} has no step {name}; its steps are {', '.join(self.process.step_names)}"
            )
        if name in self.done:
            raise StepError(f"the step {name} of {self.number} is already done")
        approval = self._missing_approval(name)
        if approval is not None:
            reason = approval.otherwise.removesuffix(".")
            raise StepError(f"{name} must wait for the step {approval.name}: {reason}")
        changed = replace(self, done=self.done | self._implied_steps(name), rejected=None)
        since = self.since if changed.current_step == self.current_step and self.rejected is None else at
        return replace(changed, since=since)._record(at, who, HistoryAction.DONE, detail or name)

    def _missing_approval(self, name: str) -> OnboardingStep | None:
        # A number that is live was approved, and an early step does not depend on the order.
        steps = self.process.steps
        index = self.process.step_names.index(name)
        if name == LIVE or steps[index].early:
            return None
        return next((step for step in steps[:index] if step.is_approval and step.name not in self.done), None)

    def _implied_steps(self, name: str) -> frozenset[str]:
        steps = self.process.steps
        index = self.process.step_names.index(name)
        if name == LIVE:
            return frozenset(self.process.step_names)
        if steps[index].early:
            return frozenset({name})
        return frozenset(step.name for step in steps[: index + 1] if not step.early) | {name}

    def reject(self, reason: str, at: float, who: str) -> Checklist:
        """Record a rejection.

        Raises:
            StepError: when the number is live.

        """
        if self.is_finished:
            raise StepError(f"{self.number} is live and cannot be rejected")
        return replace(self, rejected=reason)._record(at, who, HistoryAction.REJECTED, reason)

    def resubmit(self, at: float, who: str) -> Checklist:
        """Record that it was submitted again: it is reviewed again, and has no date before it is approved."""
        if self.rejected is None:
            raise StepError(f"{self.number} is not rejected")
        changed = replace(self, rejected=None, since=at)
        names, restart = self.process.step_names, self.process.restarts_at
        if restart is not None and restart in self.done:
            repeated = frozenset(names[names.index(restart) :]) - {CONFIGURE}
            changed = replace(changed, done=self.done - repeated, expected=None)
        return changed._record(at, who, HistoryAction.RESUBMITTED)

    def apply_silence(self, at: float) -> Checklist:
        """Complete a step whose time has passed without an answer, where that counts as consent."""
        step, due = self.current_step, self.step_due
        if step is None or not step.silence_is_consent or due is None or day_of(at) <= due:
            return self
        ended = datetime.combine(due + timedelta(days=1), time(), UTC).timestamp()
        detail = f"{step.name} (no answer by {due}: no answer is consent)"
        return self.complete_step(step.name, ended, NOBODY, detail)

    def expect(self, day: date, at: float, who: str) -> Checklist:
        """Record the day on which the number goes live; the step in which Twilio announces it is done."""
        changed = self
        if DATE in self.process.step_names and DATE not in self.done:
            changed = changed.complete_step(DATE, at, who)
        if day == self.expected:
            return changed
        return replace(changed, expected=day)._record(at, who, HistoryAction.EXPECTED, day.isoformat())

    def record_document(self, document: RecordedDocument, at: float, who: str) -> Checklist:
        """Record a document; it replaces the one of the same kind.

        Raises:
            StepError: when Twilio would not accept it: an old bill, a PO box, a date in the future.

        """
        if document.kind not in self.process.document_kinds:
            kinds = ", ".join(self.process.document_kinds)
            raise StepError(f"{self.kind} has no document {document.kind}; its documents are {kinds}")
        problem = next(document_problems({document.kind: document}, day_of(at)), None)
        if problem is not None:
            raise StepError(problem)
        others = (other for other in self.documents if other.kind is not document.kind)
        changed = replace(self, documents=(*others, document))
        shown = "".join(f", {value}" for value in (document.name, document.address) if value)
        return changed._record(
            at, who, HistoryAction.NOTE, f"document {document.kind} of {document.day}{shown}"
        )

    def document_problems(self, at: float) -> tuple[str, ...]:
        """Return what is missing or would be rejected, before the documents are sent; without full stops."""
        step = next((step for step in self.process.steps if step.documents or step.optional_documents), None)
        if step is None or (step.name in self.done and self.rejected is None) or self.is_finished:
            return ()
        recorded = {document.kind: document for document in self.documents}
        missing = [f"{kind.label} is not recorded" for kind in step.documents if kind not in recorded]
        missing += [
            f"for a transfer without the registry's site, {kind.label} is not recorded"
            for kind in step.optional_documents
            if kind not in recorded
        ]
        return (*missing, *document_problems(recorded, day_of(at)))

    def renew(self, day: date, at: float, who: str) -> Checklist:
        """Record the day on which the lease of a short code is renewed.

        Raises:
            StepError: when it is not a short code.

        """
        if self.kind not in SHORT_CODE_KINDS:
            raise StepError(f"{self.number} is not a short code and has no lease")
        if day == self.renewal:
            return self
        return replace(self, renewal=day)._record(
            at, who, HistoryAction.NOTE, f"the lease is renewed on {day}"
        )

    @property
    def billing_day(self) -> date | None:
        return self.renewal - BILLED_BEFORE_RENEWAL if self.renewal is not None else None

    @property
    def is_transferred(self) -> bool:
        """True when the lease of a short code is in Twilio's account at the registry."""
        return TRANSFER in self.done

    def refuse_calls(self, at: float, who: str) -> Checklist:
        """Record that nothing answers its calls on purpose."""
        if self.has_no_calls:
            return self
        return replace(self, has_no_calls=True)._record(at, who, HistoryAction.NOTE, "it takes no calls")

    def attach_request(self, request_sid: str, at: float, who: str) -> Checklist:
        """Record the port-in request at Twilio; after a rejection it counts as resubmitted."""
        changed = replace(self, request_sid=request_sid)
        if "request" not in self.done:
            return changed.complete_step("request", at, who, f"request ({request_sid})")
        if self.rejected is not None:
            changed = changed.resubmit(at, who)
        return changed._record(at, who, HistoryAction.NOTE, f"the port-in request is {request_sid}")

    def add_note(self, text: str, at: float, who: str) -> Checklist:
        return self._record(at, who, HistoryAction.NOTE, text)

    def _record(self, at: float, who: str, action: HistoryAction, detail: str = "") -> Checklist:
        history = (*self.history, HistoryEntry(at, who, action, detail))
        if len(history) > MAX_HISTORY:
            history = (history[0], *history[-MAX_HISTORY + 1 :])
        return replace(self, history=history)


def day_of(at: float) -> date:
    """Return the UTC date of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).date()
