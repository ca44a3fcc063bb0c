"""Keywords that a contact may have meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.suggestions import Suggestions

KEYS = ["balance", "hours", "open hours", "menú", "vote3", "bal", "a" * 25]


@pytest.mark.parametrize(
    ("text", "similar"),
    [
        ("balnce", ["balance"]),
        ("ballance", ["balance"]),
        ("balence", ["balance"]),
        ("blaance", ["balance"]),
        ("alance", ["balance"]),
        ("balances", ["balance"]),
        ("balance", []),  # typed correctly
        ("balance 👍", []),
        ("balanc 👍", ["balance"]),
        ("menu", ["menú"]),
        ("mneu", ["menú"]),
        ("opne hours", ["open hours"]),
        ("voet3", ["vote3"]),
        ("vote4", []),
        ("vote", []),
        ("vote33", []),
        ("blance me", []),
        ("balanceee", []),
        ("huors", ["hours"]),
        ("hrous", []),
        ("srouh", []),
        ("bak", []),
        ("", []),
        ("a" * 24, []),
        ("x" * 1600, []),
    ],
)
def test_a_keyword_one_mistake_away_is_suggested_and_two_away_is_not(text: str, similar: list[str]) -> None:
    assert Suggestions(KEYS).similar(text) == similar


LETTERS = st.text("abc1é", min_size=4, max_size=7)


@given(st.lists(LETTERS, max_size=5), LETTERS)
def test_the_index_finds_what_comparing_every_keyword_finds(keys: list[str], text: str) -> None:
    assert set(Suggestions(keys).similar(text)) == {
        key for key in keys if key != text and one_mistake_apart(fold(key), fold(text))
    }


def fold(text: str) -> str:
    return text.replace("é", "e")


def one_mistake_apart(one: str, other: str) -> bool:
    """Try every mistake at every position."""
    letters = "abce1"
    mistakes = {one}
    for place in range(len(one) + 1):
        mistakes.add(one[:place] + one[place + 1 :])
        mistakes.update(one[:place] + letter + one[place + more :] for letter in letters for more in (0, 1))
        mistakes.add(one[:place] + one[place + 1 : place + 2] + one[place : place + 1] + one[place + 2 :])
    return other in mistakes and one.count("1") == other.count("1")
