"""Regular expressions that are matched in linear time, all patterns of a rule table in one pass.

RE2 has no look-around and no back references, which make other engines exponential. All patterns of a
table are compiled into one set, so that thousands cost what ten do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic

import re2

from sms_router.routing.keywords.index import KeywordEntry
from sms_router.routing.keywords.normalize import MAX_TEXT_LENGTH, fold_accents, tidy, trim
from sms_router.routing.keywords.rules import Action, MatchContext

MAX_INSTRUCTIONS = 2_000
"""Instructions of one compiled pattern: the cost per character of a text that matches."""

MAX_PATTERN_MEMORY = 1 << 20
MAX_SET_MEMORY = 64 << 20
"""Bytes that RE2 may use for one pattern, and for a set of them."""

_MATCH_ALL = "(?s).*"
"""The last pattern of each set. It matches every text; if it does not, RE2 has run out of memory."""


class PatternError(ValueError):
    """A regular expression cannot be used; the text gives the reason."""


def check_pattern(key: str) -> None:
    """Check that a pattern can be compiled and is not too large.

    Raises:
        PatternError: with the reason.

    """
    if len(key) >= MAX_TEXT_LENGTH:
        raise PatternError(f"it has more than {MAX_TEXT_LENGTH} characters")
    try:
        size = _compile(key).programsize
    except re2.error as error:
        raise PatternError(_reason(error)) from error
    if size > MAX_INSTRUCTIONS:
        raise PatternError(f"it is too large: {size} instructions, and {MAX_INSTRUCTIONS} are allowed")


def _reason(error: re2.error) -> str:
    argument = error.args[0] if error.args else "it cannot be parsed"
    text = argument.decode("utf-8", "replace") if isinstance(argument, bytes) else str(argument)
    if "invalid perl operator: (?" in text or text.startswith("invalid escape sequence: \\"):
        return f"{text} (look-around and back references are not supported; \\z is the end of the text)"
    return text


@lru_cache(maxsize=1024)
def _compile(key: str) -> Any:
    return re2.compile(key, _options(MAX_PATTERN_MEMORY))


def matches_literally(literal: str, text: str) -> bool:
    """Return whether a text matches a pattern that has no operators, as patterns ignore case."""
    return _compile(re2.escape(literal)).fullmatch(text) is not None


def _options(max_memory: int) -> Any:
    options = re2.Options()
    options.max_mem = max_memory
    options.case_sensitive = False
    options.log_errors = False
    return options


class PatternIndex(Generic[Action]):
    """The patterns of a rule table, which were checked, in the order in which they are written.

    Raises:
        PatternError: when there are too many to be matched in one pass.

    """

    def __init__(self, entries: Iterable[KeywordEntry[Action]]) -> None:
        entries = tuple(entries)
        self._exact = _RegexSet([entry for entry in entries if not entry.rule.fold_accents])
        self._folded = _RegexSet([entry for entry in entries if entry.rule.fold_accents])
        self._positions = {id(entry): position for position, entry in enumerate(entries)}

    def best(self, text: str, context: MatchContext) -> tuple[KeywordEntry[Action], str] | None:
        """Return the matching pattern of the most specific scope, of several the first, and its first group.

        The text is matched with its outer punctuation; if no pattern matches it so, without.
        """
        for variant in _variants(text):
            for entry in self._matching_entries(variant):
                if entry.scope.admits(context):
                    return entry, _first_group(entry, variant)
        return None

    def matches(self, text: str) -> Iterator[KeywordEntry[Action]]:
        """Yield every pattern that the text matches, whatever its scope, in the order of `best`."""
        for variant in _variants(text):
            yield from self._matching_entries(variant)

    def _matching_entries(self, variant: str) -> list[KeywordEntry[Action]]:
        entries = self._exact.matches(variant) + self._folded.matches(fold_accents(variant))
        return sorted(entries, key=lambda entry: (-entry.scope.specificity, self._positions[id(entry)]))


class _RegexSet(Generic[Action]):
    """Patterns that are matched in one pass."""

    def __init__(self, entries: Sequence[KeywordEntry[Action]]) -> None:
        self._entries = entries
        self._set: Any = re2.Set.FullMatchSet(_options(MAX_SET_MEMORY))
        try:
            for entry in entries:
                self._set.Add(entry.key)
            self._set.Add(_MATCH_ALL)
            self._set.Compile()
            if not self._set.Match(""):
                raise re2.error("out of memory")
        except re2.error as error:
            raise PatternError(
                f"{len(entries)} patterns are too large to be matched together: remove some, or make them"
                " smaller"
            ) from error

    def matches(self, variant: str) -> list[KeywordEntry[Action]]:
        if not self._entries:
            return []
        positions = self._set.Match(variant) or ()
        match_all = len(self._entries)
        if match_all in positions:
            return [self._entries[position] for position in positions if position != match_all]
        # RE2 has run out of memory for this text: match the patterns one by one.
        return [entry for entry in self._entries if _compile(entry.key).fullmatch(variant)]


def _variants(text: str) -> tuple[str, ...]:
    """Return the text with its outer punctuation, and without where that differs."""
    typed = tidy(text).encode("utf-8", "replace").decode()  # RE2 needs UTF-8, which a lone surrogate is not
    trimmed = trim(typed)
    return (typed,) if trimmed == typed else (typed, trimmed)


def _first_group(entry: KeywordEntry[Action], variant: str) -> str:
    """Return the text of the first group, as typed; the whole text if the pattern has no group."""
    pattern = _compile(entry.key)
    match = pattern.fullmatch(fold_accents(variant) if entry.rule.fold_accents else variant)
    if match is None:
        return ""
    return (match.group(1) or "").strip() if pattern.groups else variant
