"""The kinds of onboarding and the ordered steps of each.

The processes are data, in ``processes.toml`` beside this file, with Twilio's pages as sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sms_router.onboarding.documents import DocumentKind, LabeledEnum
from sms_router.toml import read_toml

LIVE = "live"
"""The last step of every process: the number works."""
CONFIGURE = "configure"
"""The step that puts the number into the Messaging Service."""
TRANSFER = "transfer"
"""The step that transfers the lease of a short code."""
DATE = "date"
"""The step in which Twilio announces the port date."""

_SATURDAY = 5
_WORD_PATTERN = re.compile(r"[a-z0-9]+")


class OnboardingKind(LabeledEnum):
    """How a number moves to Twilio; the values are those of ``--kind``."""

    SHORT_CODE_LEASE = "short-code-lease", "short code lease"
    SHORT_CODE_MIGRATION = "short-code-migration", "short code migration"
    PORT_US = "port-us", "US port"
    PORT_CANADA = "port-canada", "Canadian port"
    PORT_TOLL_FREE = "port-toll-free", "toll-free port"
    PORT_INTERNATIONAL = "port-international", "international port"


SHORT_CODE_KINDS = frozenset({OnboardingKind.SHORT_CODE_LEASE, OnboardingKind.SHORT_CODE_MIGRATION})


class Actor(LabeledEnum):
    """Who acts in a step."""

    YOU = "you", "you"
    TWILIO = "twilio", "Twilio"
    CARRIER = "carrier", "the losing carrier"
    HOLDER = "holder", "the current leaseholder"
    CARRIERS = "carriers", "the carriers"


class _ProcessesTable(BaseModel):
    """A table of ``processes.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # most workers never read it


class StepDuration(_ProcessesTable):
    """How long a step takes."""

    days: int = 0
    business_days: int = 0

    def after(self, day: date) -> date:
        """Return the last day when it begins on ``day``; Saturdays and Sundays are not business days."""
        day += timedelta(days=self.days)
        for _ in range(self.business_days):
            day += timedelta(days=1)
            while day.weekday() >= _SATURDAY:
                day += timedelta(days=1)
        return day


class OnboardingStep(_ProcessesTable):
    """One step of a process."""

    name: str
    task: str
    """May contain ``{number}``."""
    actor: Actor
    needs: tuple[str, ...] = ()
    """Documents and details that it requires."""
    documents: tuple[DocumentKind, ...] = ()
    """Documents that it requires, and that can be recorded."""
    optional_documents: tuple[DocumentKind, ...] = ()
    """Those of an alternative way."""
    usually: str = ""
    within: StepDuration | None = None
    """None when no source states it: the step is never overdue."""
    warnings: tuple[str, ...] = ()
    early: bool = False
    """True when it may be done at any time before, independent of the order."""
    is_approval: bool = False
    """True when no later step may begin before it is done."""
    silence_is_consent: bool = False
    """True when it counts as done once ``within`` has passed without an answer."""
    otherwise: str
    """What happens if it is not done."""
    source: str
    """The document that it comes from."""


class RejectionCause(_ProcessesTable):
    """A usual cause of a rejection."""

    words: tuple[str, ...]
    """Words by which the reason of a rejection names it."""
    remedy: str


class RejectionAdvice(_ProcessesTable):
    """What to do after a rejection."""

    advice: tuple[str, ...]
    causes: tuple[RejectionCause, ...]


class OnboardingProcess(_ProcessesTable):
    """The process of one kind of onboarding."""

    title: str
    pending_reason: str
    """Why the number is not used yet, for the trail."""
    usually: str
    usual_days: int
    """Days within which it is usually complete."""
    gradual: bool = False
    """True when the number works for some contacts earlier than for others."""
    source: str
    warnings: tuple[str, ...]
    restarts_at: str | None = None
    """The step that begins again when it is submitted again after a rejection; None for the current one."""
    steps: tuple[OnboardingStep, ...] = Field(min_length=1)
    rejections: RejectionAdvice

    @property
    def step_names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.steps)

    @property
    def document_kinds(self) -> tuple[DocumentKind, ...]:
        """The documents that can be recorded, in the order of their steps."""
        kinds = (kind for step in self.steps for kind in (*step.documents, *step.optional_documents))
        return tuple(dict.fromkeys(kinds))

    def remedies(self, reason: str) -> tuple[str, ...]:
        """Return the remedies of a rejection: of the causes that its reason names, else of all causes."""
        text = " ".join(_WORD_PATTERN.findall(reason.lower()))
        causes = self.rejections.causes
        named = [cause for cause in causes if any(re.search(rf"\b{word}\b", text) for word in cause.words)]
        return (*(cause.remedy for cause in named or causes), *self.rejections.advice)


@cache
def processes() -> Mapping[OnboardingKind, OnboardingProcess]:
    """Return all processes; the file is read at the first call."""
    tables = read_toml(Path(__file__).with_name("processes.toml"))
    for table in tables.values():  # a process comes after the one that it is like
        if (model := tables.get(table.pop("like", ""))) is not None:
            steps = {step["name"]: step for step in model["steps"]}
            table["steps"] = [steps.get(step["name"], {}) | step for step in table["steps"]]
            table.update(model | table)
    return {OnboardingKind(name): OnboardingProcess.model_validate(table) for name, table in tables.items()}
