"""Keyword rules: which texts a rule matches, in which scope, and the result of a lookup."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from sms_router.routing.keywords.schedule import ALWAYS, Schedule

Action = TypeVar("Action")
"""What a rule does with a message. The rule table stores it and does not look inside."""

IndexKey = tuple[str, str | None]
EVERYWHERE: IndexKey = ("everywhere", None)


class MatchKind(Enum):
    """How a keyword matches a text, in order of precedence; the values are those of keywords.toml."""

    WHOLE = "whole"
    """The normalized text equals the keyword."""
    FIRST_WORD = "first-word"
    """The text begins with the words of the keyword; the longest keyword wins."""
    PREFIX = "prefix"
    """The text begins with the characters of the keyword ("VOTE3"); the longest keyword wins."""
    PATTERN = "pattern"
    """The whole text matches the regular expression; the one that is written first wins."""


@dataclass(frozen=True, slots=True)
class MatchContext:
    """Everything but the text that a rule's scope depends on."""

    service_sid: str | None = None
    number: str | None = None
    """The number that was texted, as in Twilio's ``To``."""
    country: str | None = None
    """The contact's country: ISO 3166, two capital letters."""
    minute: int | None = None
    """The minute in the Service's time zone (`schedule.minute_of`); None if no rule has hours or dates."""

    @property
    def index_keys(self) -> tuple[IndexKey, ...]:
        """The index keys under which rules for this context are stored, the most specific one first."""
        return ("number", self.number), ("service", self.service_sid), ("country", self.country), EVERYWHERE


@dataclass(frozen=True, slots=True)
class Scope:
    """Where and when a rule applies; an empty set restricts nothing.

    A number is more specific than a Service, a Service more than a country, a country more than hours.
    Of two scopes with the same most specific restriction, the one with more restrictions is more
    specific.
    """

    services: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    hours: Schedule = ALWAYS

    @property
    def specificity(self) -> int:
        """A higher value wins; two scopes with the same restrictions have the same value."""
        return 8 * bool(self.numbers) + 4 * bool(self.services) + 2 * bool(self.countries) + bool(self.hours)

    @property
    def index_keys(self) -> tuple[IndexKey, ...]:
        """The index keys under which a rule of this scope is stored: its most specific restriction.

        Hours are no index key: a rule that only hours restrict is stored under `EVERYWHERE`.
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
        """A context that the scope admits."""
        return MatchContext(
            min(self.services, default=None),
            min(self.numbers, default=None),
            min(self.countries, default=None),
            self.hours.example,
        )

    def admits(self, context: MatchContext) -> bool:
        return (
            (not self.numbers or context.number in self.numbers)
            and (not self.services or context.service_sid in self.services)
            and (not self.countries or context.country in self.countries)
            and (not self.hours or (context.minute is not None and self.hours.admits(context.minute)))
        )

    def covers(self, other: Scope) -> bool:
        """Return whether this scope admits every context that the other one admits."""
        return self.hours.covers(other.hours) and all(
            not mine or (theirs and theirs <= mine)
            for mine, theirs in zip(self._restrictions, other._restrictions, strict=True)
        )

    def overlaps(self, other: Scope) -> bool:
        """Return whether some context is admitted by both scopes."""
        return self.hours.overlaps(other.hours) and all(
            not mine or not theirs or mine & theirs
            for mine, theirs in zip(self._restrictions, other._restrictions, strict=True)
        )

    @property
    def _restrictions(self) -> tuple[frozenset[str], ...]:
        return self.numbers, self.services, self.countries

    def __str__(self) -> str:
        restrictions = (("number", self.numbers), ("Service", self.services), ("country", self.countries))
        described = [f"{name} {' or '.join(sorted(values))}" for name, values in restrictions if values]
        return ", ".join([*described, str(self.hours)] if self.hours else described) or "everywhere"


@dataclass(frozen=True, slots=True)
class Rule(Generic[Action]):
    """Some keywords, where they apply, and what is done with a message that matches one of them."""

    words: tuple[str, ...]
    """The keywords, or the patterns of a rule of kind `MatchKind.PATTERN`."""
    kind: MatchKind
    scope: Scope
    action: Action
    name: str
    source: str
    """Where the rule is written, for messages to people: "config/keywords.toml, keyword 3"."""
    fold_accents: bool = False
    """Compare the keywords with the text without accents."""
    opts_in: bool = False
    """A contact who has opted out opts in with it."""

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


@dataclass(frozen=True, slots=True)
class Match(Generic[Action]):
    """The rule that a text matches."""

    rule: Rule[Action]
    keyword: str
    """The keyword that matched, as the rule writes it."""
    argument: str
    """What the contact typed after the keyword, as typed, without white space around it."""
