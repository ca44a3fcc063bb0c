"""Keywords that no text can reach, because another rule always comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from sms_router.routing.keywords.index import KeywordEntry, KeywordIndex, claims_of
from sms_router.routing.keywords.normalize import fold_accents
from sms_router.routing.keywords.rules import Answer, MatchKind, Rule

_PLAIN = re.compile(r"[\w '#@!,-]*")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")


@dataclass(frozen=True, slots=True)
class ShadowedKeyword(Generic[Answer]):
    """A keyword that no text can reach, and the one that hides it."""

    rule: Rule[Answer]
    keyword: str
    by: Rule[Answer]
    by_keyword: str

    def __str__(self) -> str:
        """Say which rule hides which."""
        return (
            f"{self.keyword!r} ({self.rule.kind.value}) of {self.rule} can never match: "
            f"{self.by_keyword!r} ({self.by.kind.value}) of {self.by} comes first"
        )


@dataclass(frozen=True, slots=True)
class _Prefix:
    """How every text begins that a keyword claims."""

    text: str
    whole: bool
    """True when nothing follows."""

    @property
    def whole_words(self) -> int:
        """How many of its words are surely complete."""
        return self.text.count(" ") + self.whole


def shadowings(
    rules: Iterable[Rule[Answer]], shelves: Sequence[KeywordIndex[Answer]]
) -> Iterator[ShadowedKeyword[Answer]]:
    """Yield the keywords that can never match.

    A prefix of several words is hidden by a first-word keyword that its first words are. A pattern
    is hidden by any kind of keyword that the letters it begins with are; what it asks for after
    them does not matter.
    """
    for rule in rules:
        if rule.kind not in (MatchKind.PREFIX, MatchKind.PATTERN):
            continue
        for claim in claims_of(rule):
            beginning = _beginning(claim)
            by = _hiding(claim, beginning, shelves) if beginning.text else None
            if by is not None:
                yield ShadowedKeyword(rule, claim.keyword, by.rule, by.keyword)


def _hiding(
    claim: KeywordEntry[Answer], beginning: _Prefix, shelves: Sequence[KeywordIndex[Answer]]
) -> KeywordEntry[Answer] | None:
    """Return the claim that takes every text which begins so."""
    for shelf in shelves:
        if not _takes_all(shelf, claim.rule.kind, beginning):
            continue
        for group in shelf.groups(beginning.text, fold_accents(beginning.text)):
            for other in group.at(claim.scope.example):
                if other.scope.covers(claim.scope) and other.rule.fold_accents >= claim.rule.fold_accents:
                    return other
    return None


def _takes_all(shelf: KeywordIndex[Answer], kind: MatchKind, beginning: _Prefix) -> bool:
    """Say whether the beginning alone decides what stands on a shelf, before the kind has its turn."""
    if shelf.kind is MatchKind.FIRST_WORD:
        return shelf.size <= beginning.whole_words
    if shelf.kind is MatchKind.PREFIX:
        return kind is MatchKind.PATTERN and shelf.size <= len(beginning.text)
    return kind is MatchKind.PATTERN and beginning.whole


def _beginning(claim: KeywordEntry[Answer]) -> _Prefix:
    if claim.rule.kind is MatchKind.PREFIX:
        return _Prefix(claim.key, whole=False)
    found = _PLAIN.match(claim.key)
    plain = found[0] if found else ""
    rest = claim.key[len(plain) :]
    if _has_alternatives(claim.key):
        return _Prefix("", whole=False)
    if rest[:1] in {"*", "?", "{", "+"}:
        plain = plain[:-1]
    return _Prefix(plain.casefold(), whole=not rest)


def _has_alternatives(pattern: str) -> bool:
    """Say whether a pattern is one of several, outside of brackets."""
    depth = 0
    for character in _CLASS.sub("", _ESCAPED.sub("", pattern)):
        if character == "|" and depth == 0:
            return True
        depth += {"(": 1, ")": -1}.get(character, 0)
    return False
