"""What is wrong with a set of rules, all of it at once, in words that name where to mend it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sms_router.routing.keywords.index import KeywordEntry, claims_of
from sms_router.routing.keywords.normalize import fold_accents
from sms_router.routing.keywords.patterns import PatternError, check_pattern
from sms_router.routing.keywords.rules import Anchor, MatchKind, Rule


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules that claim the same text in the same way and the same place."""

    rule: Rule[Any]
    keyword: str
    rival: Rule[Any]
    rival_keyword: str

    def __str__(self) -> str:
        """Say which rules, where they are written, and what to change."""
        same = self.keyword == self.rival_keyword
        spelling = "" if same else f" (written {self.rival_keyword!r} there)"
        return (
            f"{self.keyword!r} ({self.rule.kind.value}; {self.rule.scope}) of {self.rule} is already claimed "
            f"by {self.rival}{spelling}: give one of them another word, kind of match or scope"
        )


@dataclass(frozen=True, slots=True)
class EmptyKeyword:
    """A keyword that is empty once normalised, or a rule without keywords."""

    rule: Rule[Any]
    keyword: str | None

    def __str__(self) -> str:
        """Say which rule and what to change."""
        if self.keyword is None:
            return f"{self.rule} has no keywords: give it at least one"
        return f"the keyword {self.keyword!r} of {self.rule} is empty: write a letter, a digit or a sign"


@dataclass(frozen=True, slots=True)
class InvalidPattern:
    """A pattern that cannot be matched."""

    rule: Rule[Any]
    keyword: str
    reason: str

    def __str__(self) -> str:
        """Say which rule, and what is wrong with its pattern."""
        return f"the pattern {self.keyword!r} of {self.rule} cannot be used: {self.reason}"


Problem = Conflict | EmptyKeyword | InvalidPattern


class KeywordConflictError(ValueError):
    """The rules contradict each other, or one of them claims nothing; ``problems`` lists all of it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take every problem; the error's text has one line for each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def problems(rules: Iterable[Rule[Any]]) -> Iterator[Problem]:
    """Yield what is wrong with these rules; of several rules that claim one text, each against the first."""
    placed: defaultdict[tuple[MatchKind, str, Anchor], list[KeywordEntry[Any]]] = defaultdict(list)
    for rule in rules:
        if not rule.words:
            yield EmptyKeyword(rule, None)
        for claim in claims_of(rule):
            if not claim.key:
                yield EmptyKeyword(rule, claim.keyword)
                continue
            if rule.kind is MatchKind.PATTERN and (reason := _wrong(claim)):
                yield InvalidPattern(rule, claim.keyword, reason)
                continue
            places = [placed[rule.kind, fold_accents(claim.key), anchor] for anchor in claim.scope.index_keys]
            rival = next((other for place in places for other in place if _clash(claim, other)), None)
            if rival is not None:
                yield Conflict(rule, claim.keyword, rival.rule, rival.keyword)
            for place in places:
                place.append(claim)


def _wrong(pattern: KeywordEntry[Any]) -> str | None:
    try:
        check_pattern(pattern.key)
    except PatternError as error:
        return str(error)
    return None


def _clash(claim: KeywordEntry[Any], other: KeywordEntry[Any]) -> bool:
    return (
        claim.rule is not other.rule
        and claim.scope.specificity == other.scope.specificity
        and claim.scope.overlaps(other.scope)
        and (claim.key == other.key or claim.rule.fold_accents or other.rule.fold_accents)
    )
