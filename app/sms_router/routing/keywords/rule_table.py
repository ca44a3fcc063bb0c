"""The keyword table: which rule answers a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic

from sms_router.routing.keywords.argument import extract_argument
from sms_router.routing.keywords.index import KeywordEntry, KeywordIndex, build_indexes, claims_of
from sms_router.routing.keywords.lint import KeywordConflictError, problems
from sms_router.routing.keywords.normalize import fold_accents, normalise
from sms_router.routing.keywords.patterns import PatternIndex
from sms_router.routing.keywords.rules import Answer, Match, MatchContext, MatchKind, NoMatch, Rule
from sms_router.routing.keywords.schedule import Timetable
from sms_router.routing.keywords.shadowing import ShadowedKeyword, shadowings

__all__ = ["KeywordConflictError", "MatchReason", "RuleCandidate", "RuleTable", "ShadowedKeyword"]

MOST_CONSIDERED = 20
"""Rules that an explanation names; the rest would only hide them."""

_LONGEST_NEAR = 64
"""Characters of a text in which an explanation looks for keywords that almost matched."""


class MatchReason(Enum):
    """Why a rule answers a text, or why it does not."""

    CHOSEN = "chosen"
    OUTRANKED = "outranked"
    OTHER_SCOPE = "other scope"
    OTHER_KIND = "other kind"


@dataclass(frozen=True, slots=True)
class RuleCandidate(Generic[Answer]):
    """One rule that answers a text or nearly would, and the reason in words."""

    rule: Rule[Answer]
    keyword: str
    verdict: MatchReason
    reason: str


class RuleTable(Generic[Answer]):
    """All rules, indexed once; finding one costs the same for ten rules as for ten thousand.

    Precedence: whole message, first word, prefix, pattern; within a kind the longest keyword, then
    the most specific scope (number over Service over country over hours over none). Of patterns the
    most specific scope wins, then the one that is written first.
    """

    def __init__(self, rules: Sequence[Rule[Answer]]) -> None:
        """Index rules that do not contradict each other; `build` makes sure of that."""
        self.rules = tuple(rules)
        claims = [claim for rule in rules for claim in claims_of(rule)]
        patterns = [claim for claim in claims if claim.rule.kind is MatchKind.PATTERN]
        self._shelves: list[KeywordIndex[Answer]] = build_indexes(
            claim for claim in claims if claim.rule.kind is not MatchKind.PATTERN
        )
        self._patterns = PatternIndex(patterns) if patterns else None
        self._folds = any(claim.rule.fold_accents for claim in claims)
        self.timetable = Timetable(rule.scope.hours for rule in rules)
        """When it is asked with a minute of the week; empty where no rule has hours."""

    @classmethod
    def build(cls, rules: Iterable[Rule[Answer]]) -> RuleTable[Answer]:
        """Index the rules.

        Raises:
            KeywordConflictError: naming every pair of rules that claim the same text, every keyword
                that is empty, and every pattern that cannot be matched.
            PatternError: when there are too many patterns.

        """
        rules = tuple(rules)
        found = list(problems(rules))
        if found:
            raise KeywordConflictError(found)
        return cls(rules)

    def find(self, text: str, occasion: MatchContext) -> Match[Answer] | NoMatch:
        """Return the rule that answers this text here, or that there is none."""
        normalised, folded = self._readings(text)
        for shelf in self._shelves:
            claim = shelf.best(normalised, folded, occasion)
            if claim is not None:
                return Match(claim.rule, claim.keyword, extract_argument(text, claim), normalised)
        if self._patterns is not None and (fitting := self._patterns.best(text, occasion)) is not None:
            return Match(fitting.claim.rule, fitting.claim.keyword, fitting.argument, normalised)
        return NoMatch(normalised)

    def explain(self, text: str, occasion: MatchContext) -> tuple[RuleCandidate[Answer], ...]:
        """Explain what `find` does: the chosen rule first, then the nearest others and why not they."""
        normalised, folded = self._readings(text)
        found: dict[int, RuleCandidate[Answer]] = {}
        chosen: KeywordEntry[Answer] | None = None
        for claim in self._claiming(text, normalised, folded):
            judged = _judged(claim, chosen, occasion)
            if judged.verdict is MatchReason.CHOSEN:
                chosen = claim
            found.setdefault(id(claim), judged)
        for claim in self._nearly_claiming(normalised, folded):
            reason = f"{claim.keyword!r} must be {_NEEDS[claim.rule.kind]}"
            found.setdefault(
                id(claim), RuleCandidate(claim.rule, claim.keyword, MatchReason.OTHER_KIND, reason)
            )
        verdicts = list(MatchReason)
        ordered = sorted(found.values(), key=lambda judged: verdicts.index(judged.verdict))
        return tuple(ordered[:MOST_CONSIDERED])

    def shadowed(self) -> list[ShadowedKeyword[Answer]]:
        """Return the keywords that can never match, each with the one that hides it."""
        return list(shadowings(self.rules, self._shelves))

    def _readings(self, text: str) -> tuple[str, str]:
        normalised = normalise(text)
        return normalised, fold_accents(normalised) if self._folds else normalised

    def _claiming(self, text: str, normalised: str, folded: str) -> Iterator[KeywordEntry[Answer]]:
        """Every claim on the text, wherever it holds, in order of precedence."""
        for shelf in self._shelves:
            claims = (claim for group in shelf.groups(normalised, folded) for claim in group)
            yield from sorted(claims, key=lambda claim: -claim.scope.specificity)
        if self._patterns is not None:
            yield from self._patterns.claiming(text)

    def _nearly_claiming(self, normalised: str, folded: str) -> Iterator[KeywordEntry[Answer]]:
        """The claims that the text only begins with, although they ask for more."""
        for shelf in self._shelves:
            if shelf.kind is not MatchKind.PREFIX:
                for end in range(min(len(normalised), _LONGEST_NEAR), 0, -1):
                    for group in shelf.groups(normalised[:end], folded[:end]):
                        yield from group


_NEEDS = {
    MatchKind.WHOLE: "the whole message",
    MatchKind.FIRST_WORD: "a word of its own",
    MatchKind.PREFIX: "the beginning",
    MatchKind.PATTERN: "a pattern that it fits",
}


def _judged(
    claim: KeywordEntry[Answer], chosen: KeywordEntry[Answer] | None, occasion: MatchContext
) -> RuleCandidate[Answer]:
    rule = claim.rule
    if not claim.scope.admits(occasion):
        return RuleCandidate(rule, claim.keyword, MatchReason.OTHER_SCOPE, f"holds only for {claim.scope}")
    if chosen is None:
        reason = f"{claim.keyword!r} is {_NEEDS[rule.kind]}; scope: {claim.scope}"
        return RuleCandidate(rule, claim.keyword, MatchReason.CHOSEN, reason)
    return RuleCandidate(
        rule, claim.keyword, MatchReason.OUTRANKED, f"{chosen.rule.name} comes first: {_why(chosen, claim)}"
    )


def _why(chosen: KeywordEntry[Answer], claim: KeywordEntry[Answer]) -> str:
    if chosen.rule.kind is not claim.rule.kind:
        return f"{chosen.rule.kind.value} before {claim.rule.kind.value}"
    if chosen.scope.specificity > claim.scope.specificity and chosen.size == claim.size:
        return "its scope is more specific"
    return "it is written first" if claim.rule.kind is MatchKind.PATTERN else "its keyword is longer"
