"""How numbers come to Twilio: the kinds of arrival, and the ordered steps of each (facts 9.2, 9.3).

The processes are data, in ``processes.toml`` beside this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from sms_router.toml import read_toml

LIVE = "live"
"""The last step of every process: the number works."""
CONFIGURE = "configure"
"""The step that puts the number into the Messaging Service."""

_SATURDAY = 5
_WORDS = re.compile(r"[a-z0-9]+")


class Kind(StrEnum):
    """A way in which a number comes to Twilio; the values are what operators type."""

    SHORT_CODE_LEASE = "short-code-lease"
    SHORT_CODE_MIGRATION = "short-code-migration"
    PORT_US = "port-us"
    PORT_CANADA = "port-canada"
    PORT_TOLL_FREE = "port-toll-free"
    PORT_INTERNATIONAL = "port-international"

    @property
    def label(self) -> str:
        """Return it as people say it."""
        return _KINDS[self]


class Actor(StrEnum):
    """Who has to do a step."""

    YOU = "you"
    TWILIO = "twilio"
    CARRIER = "carrier"
    HOLDER = "holder"
    CARRIERS = "carriers"

    @property
    def label(self) -> str:
        """Return it as people say it."""
        return _ACTORS[self]


_KINDS = {
    Kind.SHORT_CODE_LEASE: "short code lease",
    Kind.SHORT_CODE_MIGRATION: "short code migration",
    Kind.PORT_US: "US port",
    Kind.PORT_CANADA: "Canadian port",
    Kind.PORT_TOLL_FREE: "toll-free port",
    Kind.PORT_INTERNATIONAL: "port from abroad",
}
_ACTORS = {
    Actor.YOU: "you",
    Actor.TWILIO: "Twilio",
    Actor.CARRIER: "the losing carrier",
    Actor.HOLDER: "the present leaseholder",
    Actor.CARRIERS: "the carriers",
}


class _Read(BaseModel):
    """A part of the file; a key that means nothing is a mistake of ours."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)  # a worker may never read it


class Span(_Read):
    """How long a step usually takes."""

    days: int = 0
    business_days: int = 0

    def after(self, day: date) -> date:
        """Return the last day of a span that begins on a day; weekends are no business days."""
        day += timedelta(days=self.days)
        for _ in range(self.business_days):
            day += timedelta(days=1)
            while day.weekday() >= _SATURDAY:
                day += timedelta(days=1)
        return day


class OnboardingStep(_Read):
    """One step: who does what, with what, and for how long."""

    name: str
    what: str
    """With ``{number}`` where the number belongs."""
    by: Actor
    needs: tuple[str, ...] = ()
    """Documents and details that must be at hand."""
    usually: str = ""
    within: Span | None = None
    """None where no source says how long it takes: such a step is never overdue."""
    warnings: tuple[str, ...] = ()
    early: bool = False
    """True when it may be done at any time before its turn."""


class RejectionCause(_Read):
    """One usual cause of a rejection."""

    words: tuple[str, ...]
    """Words of a reason that speak of it."""
    mend: str


class Rejections(_Read):
    """What to do about a rejection."""

    advice: tuple[str, ...]
    causes: tuple[RejectionCause, ...]


class Process(_Read):
    """One way in."""

    title: str
    words: str
    """What the trail says of a number on this way."""
    usually: str
    longest: int
    """Days after which it takes longer than usual."""
    gradual: bool = False
    """True when the number works for some people before it does for others."""
    source: str
    warnings: tuple[str, ...]
    steps: tuple[OnboardingStep, ...] = Field(min_length=1)
    rejections: Rejections

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps in order."""
        return tuple(step.name for step in self.steps)

    def mendings(self, reason: str) -> tuple[str, ...]:
        """Return what mends a rejection: what its reason speaks of, or else every usual cause."""
        told = " ".join(_WORDS.findall(reason.lower()))
        causes = self.rejections.causes
        fitting = [each for each in causes if any(re.search(rf"\b{word}\b", told) for word in each.words)]
        return (*(each.mend for each in fitting or causes), *self.rejections.advice)


@cache
def processes() -> Mapping[Kind, Process]:
    """Return every process; read once, when one is first asked for."""
    tables = read_toml(Path(__file__).with_name("processes.toml"))
    return {Kind(name): Process.model_validate(table) for name, table in tables.items()}
