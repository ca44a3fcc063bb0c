"""Load-time checks of a rule set: conflicts, empty keywords, invalid patterns, unreachable keywords."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sms_router.routing.keywords.index import KeywordEntry, KeywordIndex, build_entries
from sms_router.routing.keywords.normalize import fold_accents, normalize, tidy
from sms_router.routing.keywords.patterns import PatternError, check_pattern, matches_literally
from sms_router.routing.keywords.rules import Action, IndexKey, MatchKind, Rule

_LITERAL_START = re.compile(r"[\w '#@!,-]*")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """What is wrong with a keyword; ``str()`` is a sentence about it."""

    rule: Rule[Any]
    keyword: str | None
    """None for a rule without keywords."""
    sentence: str
    rival: Rule[Any] | None = None
    """The rule with which it conflicts, or which always takes precedence."""

    def __str__(self) -> str:
        return self.sentence


class InvalidRulesError(ValueError):
    """A rule set with problems; the text has one line for each."""

    def __init__(self, problems: Sequence[RuleFinding]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def find_problems(rules: Iterable[Rule[Any]]) -> Iterator[RuleFinding]:
    """Yield every conflict, empty keyword and invalid pattern: each keeps the rules from being indexed.

    Of several rules that match the same text, each is reported against the first.
    """
    seen: defaultdict[tuple[MatchKind, str, IndexKey], list[KeywordEntry[Any]]] = defaultdict(list)
    for rule in rules:
        if not rule.words:
            yield RuleFinding(rule, None, f"{rule} has no keywords: give it at least one")
        for entry in build_entries(rule):
            keyword = entry.keyword
            if not entry.key:
                sentence = f"the keyword {keyword!r} of {rule} is empty: write a letter, a digit or a symbol"
                yield RuleFinding(rule, keyword, sentence)
                continue
            try:
                if rule.kind is MatchKind.PATTERN:
                    check_pattern(entry.key)
            except PatternError as error:
                yield RuleFinding(rule, keyword, f"the pattern {keyword!r} of {rule} is invalid: {error}")
                continue
            groups = [seen[rule.kind, fold_accents(entry.key), key] for key in entry.scope.index_keys]
            rival = next((other for group in groups for other in group if _conflicts(entry, other)), None)
            if rival is not None:
                spelling = "" if keyword == rival.keyword else f" (written {rival.keyword!r} there)"
                sentence = (
                    f"{keyword!r} ({rule.kind.value}; {rule.scope}) of {rule} is already used "
                    f"by {rival.rule}{spelling}: give one of them another keyword, kind of match or scope"
                )
                yield RuleFinding(rule, keyword, sentence, rival.rule)
            for group in groups:
                group.append(entry)


def _conflicts(entry: KeywordEntry[Any], other: KeywordEntry[Any]) -> bool:
    return (
        entry.rule is not other.rule
        and entry.scope.specificity == other.scope.specificity
        and entry.scope.overlaps(other.scope)
        and (entry.key == other.key or entry.rule.fold_accents or other.rule.fold_accents)
    )


def find_misspelled(rules: Iterable[Rule[Any]]) -> Iterator[str]:
    """Yield a sentence for each keyword that does not match its own correct spelling.

    A pattern ignores case letter by letter: its "İ" does not match "i", and its "ß" not "SS".
    """
    for rule in rules:
        for keyword in rule.words:
            if keyword.isascii():
                continue
            is_pattern = rule.kind is MatchKind.PATTERN
            reason = _unmatched_case_in_pattern(keyword) if is_pattern else _unmatched_case(keyword)
            if reason is not None:
                yield f"{keyword!r} ({rule.kind.value}) of {rule}: {reason}"


def _unmatched_case(keyword: str) -> str | None:
    key = normalize(keyword)
    for variant in (keyword.lower(), keyword.upper(), keyword.capitalize()):
        if normalize(variant) != key:
            return f"does not match {variant!r}; add that spelling to its words"
    return None


def _unmatched_case_in_pattern(pattern: str) -> str | None:
    literal = _CLASS.sub("", _ESCAPED.sub("", tidy(pattern)))
    for character in dict.fromkeys(literal):
        if character.isascii():
            continue
        for variant in (normalize(character), tidy(character.upper())):
            if not variant:
                return f"{character!r} is often left out; write ({character})?"
            if not matches_literally(character, variant):
                return f"{character!r} does not match {variant!r}; write ({character}|{variant.lower()})"
    return None


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The characters with which every text begins that a keyword matches."""

    text: str
    is_whole: bool
    """True when nothing follows."""

    @property
    def complete_words(self) -> int:
        """Words of the prefix that no following character can extend."""
        return self.text.count(" ") + self.is_whole


def find_shadowed(
    rules: Iterable[Rule[Action]], indexes: Sequence[KeywordIndex[Action]]
) -> Iterator[RuleFinding]:
    """Yield the keywords that can never match because another one always takes precedence.

    A prefix of several words is shadowed by a first-word keyword that equals its first words. A pattern
    is shadowed by a keyword of any kind that equals the literal characters with which it begins; the
    rest of the pattern makes no difference.
    """
    for rule in rules:
        if rule.kind not in (MatchKind.PREFIX, MatchKind.PATTERN):
            continue
        for entry in build_entries(rule):
            prefix = _prefix_of(entry)
            rival = _shadowing_entry(entry, prefix, indexes) if prefix.text else None
            if rival is not None:
                sentence = (
                    f"{entry.keyword!r} ({rule.kind.value}) of {rule} can never match: "
                    f"{rival.keyword!r} ({rival.rule.kind.value}) of {rival.rule} takes precedence"
                )
                yield RuleFinding(rule, entry.keyword, sentence, rival.rule)


def _shadowing_entry(
    entry: KeywordEntry[Action], prefix: _Prefix, indexes: Sequence[KeywordIndex[Action]]
) -> KeywordEntry[Action] | None:
    """Return the entry that takes every text with this prefix, in every context of the entry's scope."""
    for index in indexes:
        if not _is_decided_by(prefix, index, entry.rule.kind):
            continue
        for group in index.matches(prefix.text, fold_accents(prefix.text)):
            for other in group.candidates(entry.scope.example):
                if other.scope.covers(entry.scope) and other.rule.fold_accents >= entry.rule.fold_accents:
                    return other
    return None


def _is_decided_by(prefix: _Prefix, index: KeywordIndex[Action], kind: MatchKind) -> bool:
    """Return whether the prefix alone decides the lookup in an index that precedes ``kind``."""
    if index.kind is MatchKind.FIRST_WORD:
        return index.size <= prefix.complete_words
    if index.kind is MatchKind.PREFIX:
        return kind is MatchKind.PATTERN and index.size <= len(prefix.text)
    return kind is MatchKind.PATTERN and prefix.is_whole


def _prefix_of(entry: KeywordEntry[Action]) -> _Prefix:
    if entry.rule.kind is MatchKind.PREFIX:
        return _Prefix(entry.key, is_whole=False)
    if _has_alternatives(entry.key):
        return _Prefix("", is_whole=False)
    match = _LITERAL_START.match(entry.key)
    literal = match[0] if match else ""
    rest = entry.key[len(literal) :]
    if rest[:1] in {"*", "?", "{", "+"}:
        literal = literal[:-1]  # the operator applies to the last character
    return _Prefix(literal.casefold(), is_whole=not rest)


def _has_alternatives(pattern: str) -> bool:
    """Return whether a pattern has alternatives (``|``) outside of all groups and classes."""
    depth = 0
    for character in _CLASS.sub("", _ESCAPED.sub("", pattern)):
        if character == "|" and depth == 0:
            return True
        depth += {"(": 1, ")": -1}.get(character, 0)
    return False
