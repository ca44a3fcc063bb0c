"""The index behind the keyword table: from a text to the rules that claim it, by hashing alone."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic

from sms_router.routing.keywords.normalize import fold_accents, normalise, tidy, trim
from sms_router.routing.keywords.rules import Anchor, Answer, MatchContext, MatchKind, Rule, Scope


@dataclass(frozen=True, slots=True)
class KeywordEntry(Generic[Answer]):
    """One keyword of one rule, as texts are compared with it."""

    rule: Rule[Answer]
    keyword: str
    """As the rule writes it."""
    key: str
    """Normalised, and without accents when the rule folds them; a pattern keeps its capitals."""

    @property
    def scope(self) -> Scope:
        """Where the rule holds."""
        return self.rule.scope

    @property
    def size(self) -> int:
        """How long the keyword is, in what its kind compares: words, or characters for a prefix."""
        if self.rule.kind is MatchKind.FIRST_WORD:
            return self.key.count(" ") + 1
        return len(self.key) if self.rule.kind is MatchKind.PREFIX else 0

    def read(self, text: str) -> str:
        """Normalise a text in the way that this claim compares."""
        return fold_accents(normalise(text)) if self.rule.fold_accents else normalise(text)


def claims_of(rule: Rule[Answer]) -> Iterator[KeywordEntry[Answer]]:
    """Yield a claim for each different keyword of a rule; one that is empty once normalised has no key."""
    seen: set[str] = set()
    for word in rule.words:
        key = tidy(word) if rule.kind is MatchKind.PATTERN else normalise(word)
        if rule.fold_accents:
            key = fold_accents(key)
        if key not in seen:
            seen.add(key)
            yield KeywordEntry(rule, word, key)


class ScopedEntries(Generic[Answer]):
    """The claims on one text, ordered by where they hold."""

    def __init__(self) -> None:
        """Begin without claims."""
        self._by_anchor: dict[Anchor, list[KeywordEntry[Answer]]] = {}

    def add(self, claim: KeywordEntry[Answer]) -> None:
        """Put a claim where occasions of its scope will look for it."""
        for anchor in claim.scope.index_keys:
            insort(self._by_anchor.setdefault(anchor, []), claim, key=_broadness)

    def at(self, occasion: MatchContext) -> Iterator[KeywordEntry[Answer]]:
        """Yield the claims that may hold on this occasion, the most specific first."""
        for anchor in occasion.index_keys:
            yield from self._by_anchor.get(anchor, ())

    def best(self, occasion: MatchContext) -> KeywordEntry[Answer] | None:
        """Return the most specific claim that holds on this occasion."""
        return next((claim for claim in self.at(occasion) if claim.scope.admits(occasion)), None)

    def __iter__(self) -> Iterator[KeywordEntry[Answer]]:
        """Yield every claim once."""
        found = {id(claim): claim for claims in self._by_anchor.values() for claim in claims}
        return iter(found.values())


def _broadness(claim: KeywordEntry[Answer]) -> int:
    return -claim.scope.specificity


class KeywordIndex(Generic[Answer]):
    """The claims of one kind and one size: a text is looked up with one cut and one hash.

    Rules that fold accents stand
    apart, because they see the text without accents.
    """

    def __init__(self, kind: MatchKind, size: int) -> None:
        """Begin an empty shelf."""
        self.kind = kind
        self.size = size
        self._cut = _cutter(kind, size)
        self._exact: dict[str, ScopedEntries[Answer]] = {}
        self._folded: dict[str, ScopedEntries[Answer]] = {}

    def add(self, claim: KeywordEntry[Answer]) -> None:
        """Put a claim of this shelf's kind and size on it."""
        groups = self._folded if claim.rule.fold_accents else self._exact
        groups.setdefault(claim.key, ScopedEntries()).add(claim)

    def best(self, text: str, folded: str, occasion: MatchContext) -> KeywordEntry[Answer] | None:
        """Return the most specific claim on a normalised text; ``folded`` is it without accents."""
        group = self._exact.get(self._cut(text))
        best = group.best(occasion) if group else None
        if self._folded and (group := self._folded.get(self._cut(folded))):
            other = group.best(occasion)
            if other and (best is None or other.scope.specificity > best.scope.specificity):
                return other
        return best

    def groups(self, text: str, folded: str) -> list[ScopedEntries[Answer]]:
        """Return everything that claims a normalised text, wherever it holds."""
        found = self._exact.get(self._cut(text)), self._folded.get(self._cut(folded))
        return [group for group in found if group]


def _cutter(kind: MatchKind, size: int) -> Callable[[str], str]:
    """How the part of a text that this kind compares is cut out of it."""
    if kind is MatchKind.FIRST_WORD:
        return lambda text: trim(" ".join(text.split(" ", size)[:size]))
    if kind is MatchKind.PREFIX:
        return itemgetter(slice(size))
    return str


def build_indexes(claims: Iterable[KeywordEntry[Answer]]) -> list[KeywordIndex[Answer]]:
    """Put claims on shelves, in order of precedence: by kind, then the longest keywords first."""
    shelves: dict[tuple[MatchKind, int], KeywordIndex[Answer]] = {}
    for claim in claims:
        place = claim.rule.kind, claim.size
        if place not in shelves:
            shelves[place] = KeywordIndex(*place)
        shelves[place].add(claim)
    kinds = list(MatchKind)
    return sorted(shelves.values(), key=lambda shelf: (kinds.index(shelf.kind), -shelf.size))
