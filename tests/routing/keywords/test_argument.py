"""How the rest of a text is traced back, whatever somebody puts behind the keyword."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.argument import extract_argument
from sms_router.routing.keywords.index import KeywordEntry, claims_of
from sms_router.routing.keywords.normalize import LONGEST
from tests.routing.rulebook import FIRST_WORD, PREFIX, rule

JOINER, ACCENT = "\u200d", "\u0301"


@dataclass(frozen=True, slots=True)
class Counting(KeywordEntry[str]):
    """A claim that notes how much text it reads."""

    sizes: list[int] = field(default_factory=list)

    def read(self, text: str) -> str:
        self.sizes.append(min(len(text), LONGEST))
        return KeywordEntry.read(self, text)


def counting(word: str) -> Counting:
    (claim,) = claims_of(rule(word, kind=PREFIX, fold_accents=True))
    return Counting(claim.rule, claim.keyword, claim.key)


@pytest.mark.parametrize("behind", [JOINER, ACCENT, JOINER + ACCENT, "\ufe0f"])
@pytest.mark.parametrize("many", [800, 21_000])
def test_what_is_read_does_not_grow_with_the_invisible_characters_behind_a_keyword(
    behind: str, many: int
) -> None:
    claim = counting("HOURS")
    extract_argument("HOURS" + behind * many, claim)
    assert sum(claim.sizes) < 100


@given(st.text(alphabet=JOINER + ACCENT + "\ufe0f\U0001f3fd", max_size=30), st.sampled_from(["3", "x y", ""]))
def test_what_is_invisible_behind_a_keyword_belongs_to_it(invisible: str, rest: str) -> None:
    for kind in (PREFIX, FIRST_WORD):
        (claim,) = claims_of(rule("HOURS", kind=kind, fold_accents=True))
        gap = "" if kind is PREFIX else " "
        assert extract_argument(f"hours{invisible}{gap}{rest}", claim) == rest
