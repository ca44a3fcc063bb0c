"""Keywords that somebody may have meant: those that one slip of the thumb turns into the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sms_router.routing.keywords.normalize import fold_accents

SHORTEST, LONGEST = 4, 24
"""Characters that a keyword needs; every second word is one slip away from a shorter one."""


class Suggestions:
    """Finds them by hashing alone, however many keywords there are.

    A slip is one letter too many, too few or wrong, or two that have changed places. Digits are
    never a slip: somebody who votes for 3 does not mean 2.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        """Take normalised keywords."""
        self._keys: dict[str, list[str]] = {}
        for key in dict.fromkeys(keys):
            plain = fold_accents(key)
            if SHORTEST <= len(plain) <= LONGEST:
                for stem in {plain, *_shortened(plain)}:
                    self._keys.setdefault(stem, []).append(key)

    def similar(self, normalised: str) -> list[str]:
        """Return the keywords that a text may be meant for, in no particular order."""
        if not SHORTEST - 1 <= len(normalised) <= LONGEST + 1:
            return []
        plain = fold_accents(normalised)
        stems = {plain, *_shortened(plain)}
        found = dict.fromkeys(key for stem in stems for key in self._keys.get(stem, ()))
        return [key for key in found if _one_slip_apart(plain, fold_accents(key))]


def _shortened(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def _one_slip_apart(one: str, other: str) -> bool:
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
