"""Finds the rule that a text matches, and the argument behind its keyword."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import chain, dropwhile
from typing import Generic

from sms_router.routing.keywords.index import KeywordEntry, KeywordIndex, build_entries, build_indexes
from sms_router.routing.keywords.lint import InvalidRulesError, RuleFinding, find_problems, find_shadowed
from sms_router.routing.keywords.normalize import (
    MAX_TEXT_LENGTH,
    fold_accents,
    is_edge,
    is_sign,
    loosen,
    normalize,
)
from sms_router.routing.keywords.patterns import PatternIndex
from sms_router.routing.keywords.rules import Action, Match, MatchContext, MatchKind, Rule
from sms_router.routing.keywords.schedule import Timetable

MAX_CANDIDATES = 20
"""Rules that an explanation lists."""

_MAX_NEAR_MISS_LENGTH = 64
"""Characters at the beginning of a text in which an explanation looks for keywords that almost match."""


_SEPARATORS = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sk"})
"""Unicode categories of the signs that separate an attached argument: all but currency and emoji."""


class MatchVerdict(Enum):
    """Whether a rule is chosen for a text, and why it is not."""

    CHOSEN = "chosen"
    OUTRANKED = "outranked"
    OTHER_SCOPE = "other scope"
    OTHER_KIND = "other kind"


@dataclass(frozen=True, slots=True)
class RuleCandidate(Generic[Action]):
    """One rule that matches a text or nearly does."""

    rule: Rule[Action]
    keyword: str
    verdict: MatchVerdict
    reason: str
    """The verdict in words."""


class RuleTable(Generic[Action]):
    """All rules, indexed: a lookup costs the same for ten rules and for ten thousand.

    Precedence: whole message, first word, prefix, pattern. Within a kind the longest keyword wins, then
    the most specific scope (number over Service over country over hours over none). Of patterns the
    most specific scope wins, then the one that is written first.

    A text that has no keyword as it is normalized is compared once more without the signs around it, and
    its first word then ends at its first sign: "pie,please" is PIE with the argument "please".
    """

    def __init__(self, rules: Sequence[Rule[Action]]) -> None:
        """Index rules that have been checked; `build` checks them first."""
        self.rules = tuple(rules)
        entries = [entry for rule in rules for entry in build_entries(rule)]
        patterns = [entry for entry in entries if entry.rule.kind is MatchKind.PATTERN]
        self._indexes: list[KeywordIndex[Action]] = build_indexes(
            entry for entry in entries if entry.rule.kind is not MatchKind.PATTERN
        )
        self._patterns = PatternIndex(patterns) if patterns else None
        self._folds_accents = any(rule.fold_accents for rule in rules)
        self.timetable = Timetable(rule.scope.hours for rule in rules)
        """Where it is true, a `MatchContext` needs the minute of the week."""

    @classmethod
    def build(cls, rules: Iterable[Rule[Action]]) -> RuleTable[Action]:
        """Check and index the rules.

        Raises:
            InvalidRulesError: listing every pair of rules that match the same text, every empty keyword
                and every invalid pattern.
            PatternError: when there are too many patterns.

        """
        rules = tuple(rules)
        if problems := list(find_problems(rules)):
            raise InvalidRulesError(problems)
        return cls(rules)

    def find(self, text: str, context: MatchContext) -> Match[Action] | None:
        """Return the rule that a text matches in this context."""
        normalized, folded = self._normalize(text)
        loose = loosen(normalized)
        loose_folded = folded if loose is None else loosen(folded) or folded
        for index in self._indexes:
            entry = index.best(normalized, folded, context)
            if entry is None and loose is not None:
                entry = index.best(loose, loose_folded, context, is_loose=True)
            if entry is not None:
                return Match(entry.rule, entry.keyword, extract_argument(text, entry))
        if self._patterns is not None and (match := self._patterns.best(text, context)) is not None:
            entry, argument = match
            return Match(entry.rule, entry.keyword, argument)
        return None

    def explain(self, text: str, context: MatchContext) -> tuple[RuleCandidate[Action], ...]:
        """Return the rule that `find` chooses, then the nearest others, each with its reason."""
        normalized, folded = self._normalize(text)
        candidates: dict[int, RuleCandidate[Action]] = {}
        chosen: KeywordEntry[Action] | None = None
        for entry in self._matching_entries(text, normalized, folded):
            candidate = _judge(entry, chosen, context)
            if candidate.verdict is MatchVerdict.CHOSEN:
                chosen = entry
            candidates.setdefault(id(entry), candidate)
        for entry in self._near_misses(normalized, folded):
            reason = f"{entry.keyword!r} must be {_REQUIREMENTS[entry.rule.kind]}"
            candidate = RuleCandidate(entry.rule, entry.keyword, MatchVerdict.OTHER_KIND, reason)
            candidates.setdefault(id(entry), candidate)
        verdicts = list(MatchVerdict)
        ordered = sorted(candidates.values(), key=lambda candidate: verdicts.index(candidate.verdict))
        return tuple(ordered[:MAX_CANDIDATES])

    def find_shadowed(self) -> list[RuleFinding]:
        """Return the keywords that can never match, each with the one that takes precedence."""
        return list(find_shadowed(self.rules, self._indexes))

    def _normalize(self, text: str) -> tuple[str, str]:
        """Return the text as keywords are compared, with accents and without."""
        normalized = normalize(text)
        return normalized, fold_accents(normalized) if self._folds_accents else normalized

    def _matching_entries(self, text: str, normalized: str, folded: str) -> Iterator[KeywordEntry[Action]]:
        """Yield every entry that matches the text, whatever its scope, in order of precedence."""
        loose = loosen(normalized)
        for index in self._indexes:
            forms = [index.matches(normalized, folded)]
            if loose is not None:
                forms.append(index.matches(loose, loosen(folded) or folded, is_loose=True))
            for groups in forms:
                entries = (entry for group in groups for entry in group)
                yield from sorted(entries, key=lambda entry: -entry.scope.specificity)
        if self._patterns is not None:
            yield from self._patterns.matches(text)

    def _near_misses(self, normalized: str, folded: str) -> Iterator[KeywordEntry[Action]]:
        """Yield the entries whose keyword the text begins with, although their kind requires more."""
        for index in self._indexes:
            if index.kind is not MatchKind.PREFIX:
                for end in range(min(len(normalized), _MAX_NEAR_MISS_LENGTH), 0, -1):
                    for group in index.matches(normalized[:end], folded[:end]):
                        yield from group


_REQUIREMENTS = {
    MatchKind.WHOLE: "the whole message",
    MatchKind.FIRST_WORD: "a word of its own",
    MatchKind.PREFIX: "the beginning",
    MatchKind.PATTERN: "a pattern that matches it",
}


def _judge(
    entry: KeywordEntry[Action], chosen: KeywordEntry[Action] | None, context: MatchContext
) -> RuleCandidate[Action]:
    """Explain an entry that matches the text; ``chosen`` is the entry of higher precedence."""
    rule = entry.rule
    if not entry.scope.admits(context):
        return RuleCandidate(rule, entry.keyword, MatchVerdict.OTHER_SCOPE, f"only for {entry.scope}")
    if chosen is None:
        reason = f"{entry.keyword!r} is {_REQUIREMENTS[rule.kind]}; scope: {entry.scope}"
        return RuleCandidate(rule, entry.keyword, MatchVerdict.CHOSEN, reason)
    reason = f"{chosen.rule.name} takes precedence: {_precedence(chosen, entry)}"
    return RuleCandidate(rule, entry.keyword, MatchVerdict.OUTRANKED, reason)


def _precedence(chosen: KeywordEntry[Action], entry: KeywordEntry[Action]) -> str:
    if chosen.rule.kind is not entry.rule.kind:
        return f"{chosen.rule.kind.value} before {entry.rule.kind.value}"
    if chosen.scope.specificity > entry.scope.specificity and chosen.size == entry.size:
        return "its scope is more specific"
    if entry.rule.kind is MatchKind.PATTERN:
        return "it is written first"
    if chosen.size > entry.size:
        return "its keyword is longer"
    return "it matches the text with its signs, and the other one only without them"


def extract_argument(text: str, entry: KeywordEntry[Action]) -> str:
    """Return what the contact typed behind the keyword, as typed, without white space around it.

    Signs that separate the argument from a first-word keyword without a blank belong to neither: "Hours,
    please" and "hours—please" have the argument "please". Currency signs and emoji belong to it.
    """
    if entry.rule.kind is MatchKind.WHOLE:
        return ""
    rest = _after_keyword(text.lstrip(), entry)
    if entry.rule.kind is MatchKind.FIRST_WORD and rest and not rest[0].isspace():
        attached = rest.split(maxsplit=1)[0]
        bare = "".join(dropwhile(lambda sign: unicodedata.category(sign) in _SEPARATORS, attached))
        rest = bare + rest[len(attached) :]
    return rest.strip()


def _after_keyword(text: str, entry: KeywordEntry[Action]) -> str:
    for candidate in (text, _without_leading_signs(text)):
        for end in _likely_ends(len(entry.key)):
            if entry.normalize(candidate[:end]) == entry.key:
                return candidate[_end_of_character(candidate, end, entry) :]
    # The keyword ends inside one typed character, or the text begins with many invisible ones.
    normalized = entry.normalize(text)
    if normalized.startswith(entry.key):
        return normalized[len(entry.key) :]
    # Signs stand between the words of the keyword: look for the end of the last one.
    *before, last = entry.key.split(" ")
    words = _without_leading_signs(text).split(maxsplit=len(before))
    rest = _without_leading_signs(words[-1])
    ends = (end for end in _likely_ends(len(last)) if entry.normalize(rest[:end]) == last)
    return rest[next(ends, len(last)) :]


def _without_leading_signs(text: str) -> str:
    start, last = 0, min(len(text), MAX_TEXT_LENGTH)
    while start < last and (text[start].isspace() or is_sign(text[start])):
        start += 1
    return text[start:]


def _likely_ends(size: int) -> Iterable[int]:
    """Yield the keyword's own length, then shorter ones (ligatures) and longer ones (accents, blanks)."""
    return chain((size,), range(1, 4 * size + 16))


def _end_of_character(text: str, end: int, entry: KeywordEntry[Action]) -> int:
    """Return the position behind accents and invisible characters that belong to the last character.

    A character of which normalization leaves nothing adds nothing to the keyword. Each different one is
    normalized once: a text may have 1600 of them.
    """
    normalized = cache(entry.normalize)
    last = min(len(text), MAX_TEXT_LENGTH)
    while end < last and not is_edge(text[end]) and not normalized(text[end]):
        end += 1
    return end
