"""What stands after a keyword, in the letters that the person typed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain

from sms_router.routing.keywords.index import KeywordEntry
from sms_router.routing.keywords.normalize import LONGEST, is_edge
from sms_router.routing.keywords.rules import Answer, MatchKind


def extract_argument(text: str, claim: KeywordEntry[Answer]) -> str:
    """Return the rest of the text after the claim's keyword, without white space around it.

    The punctuation that clings to the last word of a first-word keyword belongs to the keyword:
    "Hours, please" has the argument "please".
    """
    if claim.rule.kind is MatchKind.WHOLE:
        return ""
    rest = _after(text.lstrip(), claim)
    if claim.rule.kind is MatchKind.FIRST_WORD and rest and not rest[0].isspace():
        rest = "".join(rest.split(maxsplit=1)[1:])
    return rest.strip()


def _after(text: str, claim: KeywordEntry[Answer]) -> str:
    for end in _likely_ends(len(claim.key)):
        if claim.read(text[:end]) == claim.key:
            return text[_end_of_sign(text, end, claim) :]
    # The keyword ends inside one typed character, or invisible ones fill the text.
    return claim.read(text)[len(claim.key) :]


def _likely_ends(size: int) -> Iterable[int]:
    """As many characters as the keyword has, else fewer (ligatures) or more (accents, blanks, quotes)."""
    return chain((size,), range(1, 4 * size + 16))


def _end_of_sign(text: str, end: int, claim: KeywordEntry[Answer]) -> int:
    """Step over accents and invisible characters that belong to the keyword's last letter.

    Each different character is read once, alone: what is nothing by itself adds nothing to the
    keyword. Somebody may send sixteen hundred of them.
    """
    read = cache(claim.read)
    last = min(len(text), LONGEST)
    while end < last and not is_edge(text[end]) and not read(text[end]):
        end += 1
    return end
