"""Patterns: regular expressions that cost a text's length and no more, all of them in one pass.

RE2 matches in linear time: it has no look-around and no back references, which is what makes other
engines run for ever. Every pattern of a table stands in one set, so that thousands cost what ten do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, NamedTuple

import re2

from sms_router.routing.keywords.index import KeywordEntry
from sms_router.routing.keywords.normalize import LONGEST, fold_accents, tidy, trim
from sms_router.routing.keywords.rules import Answer, MatchContext

MOST_INSTRUCTIONS = 2_000
"""Size of one pattern's program: what a text of 1600 characters is run through when it fits."""

MEMORY_OF_ONE = 1 << 20
MEMORY_OF_ALL = 64 << 20
"""Bytes that RE2 may take."""

_EVERYTHING = "(?s).*"
"""Stands last in each set and matches everything: when it does not, RE2 has run out of memory."""

_TOO_MANY = "{} patterns are too large to be matched together: drop some, or make them smaller"


class PatternError(ValueError):
    """A regular expression that cannot be used; the text says why."""


class PatternMatch(NamedTuple, Generic[Answer]):
    """A pattern that a text fits, and what it caught."""

    claim: KeywordEntry[Answer]
    argument: str


def check_pattern(key: str) -> None:
    """Make sure that a pattern can be used.

    Raises:
        PatternError: with the reason.

    """
    if len(key) >= LONGEST:
        raise PatternError(f"is longer than {LONGEST} characters")
    try:
        size = _compiled(key).programsize
    except re2.error as error:
        raise PatternError(_reason(error)) from error
    if size > MOST_INSTRUCTIONS:
        raise PatternError(f"is too large: {size} instructions, and {MOST_INSTRUCTIONS} are allowed")


def _reason(error: re2.error) -> str:
    told = error.args[0] if error.args else "cannot be read"
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    if "invalid perl operator: (?" in text or text.startswith("invalid escape sequence: \\"):
        return f"{text} (look-around and back references cannot be matched in linear time; \\z is the end)"
    return text


@lru_cache(maxsize=1024)
def _compiled(key: str) -> Any:
    return re2.compile(key, _options(MEMORY_OF_ONE))


def _options(memory: int) -> Any:
    options = re2.Options()
    options.max_mem = memory
    options.case_sensitive = False
    options.log_errors = False
    return options


class PatternIndex(Generic[Answer]):
    """The patterns of a table."""

    def __init__(self, claims: Iterable[KeywordEntry[Answer]]) -> None:
        """Take claims whose patterns have been checked, in the order in which they are written.

        Raises:
            PatternError: when there are too many to be matched in one pass.

        """
        claims = tuple(claims)
        self._exact = _RegexSet([claim for claim in claims if not claim.rule.fold_accents])
        self._folded = _RegexSet([claim for claim in claims if claim.rule.fold_accents])
        self._places = {id(claim): place for place, claim in enumerate(claims)}

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._places)

    def best(self, text: str, occasion: MatchContext) -> PatternMatch[Answer] | None:
        """Return the pattern of the most specific scope that the text fits; of several, the first.

        The punctuation around a text counts at first, and is left away when nothing fits with it.
        """
        for reading in _readings(text):
            for claim in self._fitting(reading):
                if claim.scope.admits(occasion):
                    return PatternMatch(claim, _caught(claim, reading))
        return None

    def claiming(self, text: str) -> Iterator[KeywordEntry[Answer]]:
        """Yield every pattern that the text fits, wherever it holds, in the order of `best`."""
        for reading in _readings(text):
            yield from self._fitting(reading)

    def _fitting(self, reading: str) -> list[KeywordEntry[Answer]]:
        found = self._exact.fitting(reading)
        if self._folded:
            found += self._folded.fitting(fold_accents(reading))
        return sorted(found, key=lambda claim: (-claim.scope.specificity, self._places[id(claim)]))


class _RegexSet(Generic[Answer]):
    """Claims whose patterns are matched together."""

    def __init__(self, claims: Sequence[KeywordEntry[Answer]]) -> None:
        self._claims = claims
        self._set: Any = re2.Set.FullMatchSet(_options(MEMORY_OF_ALL))
        try:
            for claim in claims:
                self._set.Add(claim.key)
            self._set.Add(_EVERYTHING)
            self._set.Compile()
            fits = self._set.Match("")
        except re2.error as error:
            raise PatternError(_TOO_MANY.format(len(claims))) from error
        if not fits:
            raise PatternError(_TOO_MANY.format(len(claims)))

    def __bool__(self) -> bool:
        return bool(self._claims)

    def fitting(self, reading: str) -> list[KeywordEntry[Answer]]:
        if not self._claims:
            return []
        places = self._set.Match(reading) or ()
        everything = len(self._claims)
        if everything in places:
            return [self._claims[place] for place in places if place != everything]
        return [claim for claim in self._claims if _compiled(claim.key).fullmatch(reading)]


def _readings(text: str) -> tuple[str, ...]:
    typed = tidy(text).encode("utf-8", "replace").decode()  # RE2 wants UTF-8, which a lone surrogate is not
    bare = trim(typed)
    return (typed,) if bare == typed else (typed, bare)


def _caught(claim: KeywordEntry[Answer], reading: str) -> str:
    """Return what the first group caught, as it was typed; without groups, the whole text."""
    pattern = _compiled(claim.key)
    match = pattern.fullmatch(fold_accents(reading) if claim.rule.fold_accents else reading)
    if match is None:
        return ""
    return (match.group(1) or "").strip() if pattern.groups else reading
