"""Keyword rules: which texts a rule claims, where it does so, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from sms_router.routing.keywords.schedule import ALWAYS, Schedule

Answer = TypeVar("Answer")
"""Whatever answers a message; the table carries it and never looks inside."""

Anchor = tuple[str, str | None]
EVERYWHERE: Anchor = ("everywhere", None)


class MatchKind(Enum):
    """How a keyword claims a text, in order of precedence; the values are keywords.toml's."""

    WHOLE = "whole"
    """The text is the keyword, after normalisation."""
    FIRST_WORD = "first-word"
    """The text begins with the words of the keyword; the longest keyword wins."""
    PREFIX = "prefix"
    """The text begins with the letters of the keyword ("VOTE3"); the longest keyword wins."""
    PATTERN = "pattern"
    """The whole text fits the regular expression; the one that is written first wins."""


@dataclass(frozen=True, slots=True)
class MatchContext:
    """Where a text arrived, which is what scopes ask about."""

    service_sid: str | None = None
    number: str | None = None
    """The number that was texted, as Twilio's ``To`` has it."""
    country: str | None = None
    """The person's country: ISO 3166, two capital letters."""
    minute: int | None = None
    """The minute of the week at the Service, from Monday, 00:00; None where no rule asks for it."""

    @property
    def index_keys(self) -> tuple[Anchor, ...]:
        """Where rules for this occasion can stand, the most specific place first."""
        return ("number", self.number), ("service", self.service_sid), ("country", self.country), EVERYWHERE


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a rule holds; an empty set means anywhere.

    A number is more specific than a Service, a Service more than a country, a country more than
    hours, and whatever restricts more of the four, given the most specific one, is more specific
    still.
    """

    services: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    hours: Schedule = ALWAYS

    @property
    def specificity(self) -> int:
        """Higher wins; equal means that the same of the four are restricted."""
        return 8 * bool(self.numbers) + 4 * bool(self.services) + 2 * bool(self.countries) + bool(self.hours)

    @property
    def index_keys(self) -> tuple[Anchor, ...]:
        """The places where an occasion of this scope finds the rule: its most specific restriction.

        Hours are not a place: what is restricted to them alone stands everywhere.
        """
        for name, values in (
            ("number", self.numbers),
            ("service", self.services),
            ("country", self.countries),
        ):
            if values:
                return tuple((name, value) for value in sorted(values))
        return (EVERYWHERE,)

    @property
    def example(self) -> MatchContext:
        """One occasion inside the scope."""
        return MatchContext(
            min(self.services, default=None),
            min(self.numbers, default=None),
            min(self.countries, default=None),
            self.hours.spans[0][0] if self.hours else None,
        )

    def admits(self, occasion: MatchContext) -> bool:
        """Say whether the rule holds on this occasion."""
        return (
            (not self.numbers or occasion.number in self.numbers)
            and (not self.services or occasion.service_sid in self.services)
            and (not self.countries or occasion.country in self.countries)
            and (not self.hours or (occasion.minute is not None and self.hours.admit(occasion.minute)))
        )

    def covers(self, other: Scope) -> bool:
        """Say whether this scope holds wherever the other one does."""
        return self.hours.cover(other.hours) and all(
            not mine or (theirs and theirs <= mine)
            for mine, theirs in zip(self._restrictions, other._restrictions, strict=True)
        )

    def overlaps(self, other: Scope) -> bool:
        """Say whether both scopes hold on some occasion."""
        return self.hours.overlap(other.hours) and all(
            not mine or not theirs or mine & theirs
            for mine, theirs in zip(self._restrictions, other._restrictions, strict=True)
        )

    @property
    def _restrictions(self) -> tuple[frozenset[str], ...]:
        return self.numbers, self.services, self.countries

    def __str__(self) -> str:
        """Name the scope in words for people."""
        places = (("number", self.numbers), ("Service", self.services), ("country", self.countries))
        told = [f"{name} {' or '.join(sorted(values))}" for name, values in places if values]
        return ", ".join([*told, str(self.hours)] if self.hours else told) or "everywhere"


@dataclass(frozen=True, slots=True)
class Rule(Generic[Answer]):
    """Some keywords, and who answers them.

    ``name`` and ``source`` are for people: what the rule is called and where it is written, like
    "config/keywords.toml, keyword 3". With ``fold_accents`` the keyword and the text are compared
    without accents.
    """

    words: tuple[str, ...]
    kind: MatchKind
    scope: Scope
    answer: Answer
    name: str
    source: str
    fold_accents: bool = False

    def __str__(self) -> str:
        """Name the rule and its source."""
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, slots=True)
class Match(Generic[Answer]):
    """The rule that answers a text."""

    rule: Rule[Answer]
    keyword: str
    """The keyword that matched, as the rule writes it."""
    argument: str
    """What the person typed after the keyword, as typed, without white space around it."""
    normalised: str


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No rule claims the text."""

    normalised: str
