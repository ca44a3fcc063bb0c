"""Hash index of keywords: from a normalized text to the keyword entries that match it."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic

from sms_router.routing.keywords.normalize import cut_at_sign, fold_accents, loosen, normalize, tidy, trim
from sms_router.routing.keywords.rules import Action, IndexKey, MatchContext, MatchKind, Rule, Scope


@dataclass(frozen=True, slots=True)
class KeywordEntry(Generic[Action]):
    """One keyword of one rule, in the form in which texts are compared with it."""

    rule: Rule[Action]
    keyword: str
    """As the rule writes it."""
    key: str
    """Normalized, and without accents when the rule folds them; a pattern keeps its capitals."""

    @property
    def scope(self) -> Scope:
        return self.rule.scope

    @property
    def size(self) -> int:
        """Length of the keyword: words for a first-word keyword, characters for a prefix, else 0."""
        if self.rule.kind is MatchKind.FIRST_WORD:
            return self.key.count(" ") + 1
        return len(self.key) if self.rule.kind is MatchKind.PREFIX else 0

    def normalize(self, text: str) -> str:
        """Return the text in the form that is compared with ``key``."""
        return fold_accents(normalize(text)) if self.rule.fold_accents else normalize(text)


def build_entries(rule: Rule[Action]) -> Iterator[KeywordEntry[Action]]:
    """Yield an entry for each different keyword of a rule; its key is empty if nothing is left of it."""
    seen: set[str] = set()
    for word in rule.words:
        key = tidy(word) if rule.kind is MatchKind.PATTERN else normalize(word)
        if rule.fold_accents:
            key = fold_accents(key)
        if key not in seen:
            seen.add(key)
            yield KeywordEntry(rule, word, key)


class ScopedEntries(Generic[Action]):
    """The entries of one key, ordered by the specificity of their scopes."""

    def __init__(self) -> None:
        self._by_index_key: dict[IndexKey, list[KeywordEntry[Action]]] = {}

    def add(self, entry: KeywordEntry[Action]) -> None:
        for index_key in entry.scope.index_keys:
            entries = self._by_index_key.setdefault(index_key, [])
            insort(entries, entry, key=lambda other: -other.scope.specificity)

    def candidates(self, context: MatchContext) -> Iterator[KeywordEntry[Action]]:
        """Yield the entries whose scope may admit the context, the most specific first."""
        for index_key in context.index_keys:
            yield from self._by_index_key.get(index_key, ())

    def best(self, context: MatchContext) -> KeywordEntry[Action] | None:
        """Return the most specific entry whose scope admits the context."""
        return next((entry for entry in self.candidates(context) if entry.scope.admits(context)), None)

    def __iter__(self) -> Iterator[KeywordEntry[Action]]:
        """Yield every entry once."""
        unique = {id(entry): entry for entries in self._by_index_key.values() for entry in entries}
        return iter(unique.values())


class KeywordIndex(Generic[Action]):
    """The entries of one kind and one size: one slice and one hash look a text up.

    Entries that fold accents are indexed separately, because they are compared with the text without
    accents.
    """

    def __init__(self, kind: MatchKind, size: int) -> None:
        self.kind = kind
        self.size = size
        self._cut = _cutter(kind, size)
        self._cut_loosely = _loose_cutter(kind, size)
        self._exact: dict[str, ScopedEntries[Action]] = {}
        self._folded: dict[str, ScopedEntries[Action]] = {}

    def add(self, entry: KeywordEntry[Action]) -> None:
        by_key = self._folded if entry.rule.fold_accents else self._exact
        by_key.setdefault(entry.key, ScopedEntries()).add(entry)

    def best(
        self, text: str, folded: str, context: MatchContext, *, is_loose: bool = False
    ) -> KeywordEntry[Action] | None:
        """Return the most specific entry that matches a normalized text and admits the context.

        ``folded`` is the same text without accents. The last compared word of a text of `loosen`, for which
        ``is_loose`` is True, ends at its first sign.
        """
        cut = self._cut_loosely if is_loose else self._cut
        entries = self._exact.get(cut(text))
        best = entries.best(context) if entries else None
        if self._folded and (entries := self._folded.get(cut(folded))):
            other = entries.best(context)
            if other and (best is None or other.scope.specificity > best.scope.specificity):
                return other
        return best

    def matches(self, text: str, folded: str, *, is_loose: bool = False) -> list[ScopedEntries[Action]]:
        """Return the entries that match a text as in `best`, whatever their scope."""
        cut = self._cut_loosely if is_loose else self._cut
        groups = self._exact.get(cut(text)), self._folded.get(cut(folded))
        return [entries for entries in groups if entries]


def _cutter(kind: MatchKind, size: int) -> Callable[[str], str]:
    if kind is MatchKind.FIRST_WORD:
        return lambda text: trim(" ".join(text.split(" ", size)[:size]))
    if kind is MatchKind.PREFIX:
        return itemgetter(slice(size))
    return str


def _loose_cutter(kind: MatchKind, size: int) -> Callable[[str], str]:
    if kind is not MatchKind.FIRST_WORD:
        return _cutter(kind, size)

    def cut(text: str) -> str:
        *words, last = text.split(" ", size)[:size]
        return " ".join([*(loosen(word) or word for word in words), cut_at_sign(last)])

    return cut


def build_indexes(entries: Iterable[KeywordEntry[Action]]) -> list[KeywordIndex[Action]]:
    """Build one index for each kind and size, in order of precedence: by kind, then the longest first."""
    indexes: dict[tuple[MatchKind, int], KeywordIndex[Action]] = {}
    for entry in entries:
        kind_and_size = entry.rule.kind, entry.size
        if kind_and_size not in indexes:
            indexes[kind_and_size] = KeywordIndex(*kind_and_size)
        indexes[kind_and_size].add(entry)
    kinds = list(MatchKind)
    return sorted(indexes.values(), key=lambda index: (kinds.index(index.kind), -index.size))
