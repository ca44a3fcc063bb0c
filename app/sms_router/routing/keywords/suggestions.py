"""Keywords that a contact may have meant: those that differ from the text by one typing mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sms_router.routing.keywords.normalize import fold_accents, loosen

MIN_LENGTH, MAX_LENGTH = 4, 24
"""Characters of a keyword that is suggested. Most shorter words are one mistake away from another word."""


class Suggestions:
    """Finds similar normalized keywords with a deletion index: a look-up does not depend on their number.

    A typing mistake is one letter too many, one too few, one wrong letter, or two letters exchanged.
    Digits are compared exactly: a contact who votes for 3 does not mean 2.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            folded = fold_accents(key)
            if MIN_LENGTH <= len(folded) <= MAX_LENGTH:
                for stem in {folded, *_deletions(folded)}:
                    self._keys.setdefault(stem, []).append(key)

    def similar(self, normalized: str) -> list[str]:
        """Return the keywords that differ from a normalized text by one mistake, in no particular order.

        A keyword that was typed correctly, whatever signs stand around it, is none of them.
        """
        normalized = loosen(normalized) or normalized
        if not MIN_LENGTH - 1 <= len(normalized) <= MAX_LENGTH + 1:
            return []
        folded = fold_accents(normalized)
        stems = {folded, *_deletions(folded)}
        candidates = dict.fromkeys(key for stem in stems for key in self._keys.get(stem, ()))
        return [
            key
            for key in candidates
            if key != normalized and _differ_by_one_mistake(folded, fold_accents(key))
        ]


def _deletions(word: str) -> Iterator[str]:
    """Yield the word without each of its characters."""
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def _differ_by_one_mistake(one: str, other: str) -> bool:
    if list(filter(str.isdigit, one)) != list(filter(str.isdigit, other)):
        return False
    short, long = sorted((one, other), key=len)
    first = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    if len(short) < len(long):
        return short[first:] == long[first + 1 :]
    swapped = short[first + 1 : first + 2] + short[first : first + 1]
    return short[first + 1 :] == long[first + 1 :] or (
        swapped == long[first : first + 2] and short[first + 2 :] == long[first + 2 :]
    )
