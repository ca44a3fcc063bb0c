"""Regular expressions as keywords: what they match, their argument, and that no text makes them slow."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords import patterns
from sms_router.routing.keywords.patterns import PatternError, check_pattern, matches_literally
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleTable
from sms_router.routing.keywords.rules import MatchContext, Rule, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rules import FIRST_WORD, HERE, PATTERN, PREFIX, WHOLE, rule, scope


def pattern(*written: str, name: str = "", fold: bool = False, where: Scope | None = None) -> Rule[str]:
    return rule(*written, kind=PATTERN, name=name, fold_accents=fold, scope=where or scope())


def find(table: RuleTable[str], text: str, context: MatchContext = HERE) -> tuple[str, str] | None:
    match = table.find(text, context)
    return (match.rule.name, match.argument) if match is not None else None


TABLE = RuleTable.build(
    [
        pattern(r"order (\d{3,6})", name="order"),
        pattern(r"#\d+", name="ticket"),
        pattern(r"(?:sí|si|yes)+", name="yes", fold=True),
        pattern(r".*\b(refund)\b.*", name="refund"),
        pattern(r"straße (\d+)", "weg ([a-z]+)", name="street"),
        pattern(r"(a+)+b", name="evil"),
        pattern("don't (.*)", name="do not"),
        pattern(r"โหวต\s?(\d)", name="thai"),
    ]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("order 1234", ("order", "1234")),
        ("  ORDER\n 1234 ", ("order", "1234")),
        ("Order 1234.", ("order", "1234")),
        ("\u200border\u00a0\uff11\uff12\uff13", ("order", "123")),
        ("order 12", None),
        ("order 1234 please", None),
        ("#12", ("ticket", "#12")),
        ("#12!", None),
        ("SÍ", ("yes", "SÍ")),
        ("Si!", ("yes", "Si")),
        ("Can I have a Refund, please?", ("refund", "Refund")),
        ("refunds", None),
        ("STRASSE 5", None),
        ("Straße 5", ("street", "5")),
        ("Weg ABC", ("street", "ABC")),
        ("don\u2019t Stop", ("do not", "Stop")),
        ("โหวต 3", ("thai", "3")),
        ("", None),
        ("\ud800", None),
        ("aaab", ("evil", "aaa")),
    ],
)
def test_a_pattern_matches_the_whole_text_and_its_first_group_is_the_argument(
    text: str, expected: tuple[str, str] | None
) -> None:
    assert find(TABLE, text) == expected


@pytest.mark.parametrize(("fold", "argument"), [(False, "S\u00fcd"), (True, "Sud")])
def test_the_argument_has_its_accents_unless_the_rule_folds_them(fold: bool, argument: str) -> None:
    table = RuleTable.build([pattern("weg ([a-z\u00fc]+)", name="way", fold=fold)])
    assert find(table, "Weg S\u00fcd") == ("way", argument)


def test_every_other_kind_takes_precedence_over_a_pattern() -> None:
    table = RuleTable.build(
        [
            pattern(".*", name="all"),
            rule("A", kind=WHOLE, name="whole"),
            rule("B", kind=FIRST_WORD, name="word"),
            rule("C", kind=PREFIX, name="prefix"),
        ]
    )
    assert [find(table, text) for text in ("a", "b 1", "c1", "d 1")] == [
        ("whole", ""),
        ("word", "1"),
        ("prefix", "1"),
        ("all", "d 1"),
    ]


def test_of_patterns_the_most_specific_scope_wins_then_the_first() -> None:
    table = RuleTable.build(
        [
            pattern("a.*", name="first"),
            pattern(".*b", name="second"),
            pattern(".*", name="here", where=scope(countries="CA")),
            pattern(".*", name="now", where=Scope(hours=Schedule(((0, 60),)))),
        ]
    )
    assert find(table, "a b") == ("first", "a b")
    assert find(table, "b") == ("second", "b")
    assert find(table, "a b", MatchContext(country="CA", minute=0)) == ("here", "a b")
    assert find(table, "a b", MatchContext(minute=0)) == ("now", "a b")
    assert find(table, "x", MatchContext(minute=60)) is None


def test_an_explanation_lists_the_outranked_patterns() -> None:
    table = RuleTable.build([pattern("a.*", name="first"), pattern(".*b", name="second"), rule("C")])
    lines = [(line.rule.name, line.verdict, line.reason) for line in table.explain("ab", HERE)]
    assert lines == [
        ("first", MatchVerdict.CHOSEN, "'a.*' is a pattern that matches it; scope: everywhere"),
        ("second", MatchVerdict.OUTRANKED, "first takes precedence: it is written first"),
    ]


@pytest.mark.parametrize(
    "written",
    [
        "(a+)+", "(a|a)*", "(a|aa)+$", "([a-z]+)*\\d", "(.*)*x", "(.*a){20}", "(x+x+)+y", "(([a-z])+.)+[A-Z]",
        "(a?){300}a{300}", "(?:a{0,5}){0,40}b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["a" * 1600, "a" * 1599 + "!", "ab" * 800, "x" * 1600])
def test_no_text_makes_a_pattern_slow(written: str, text: str) -> None:
    """Python's own engine does not return from most of these; the test would hang."""
    table = RuleTable.build([pattern(written)])
    table.find(text, HERE)


def test_a_set_without_memory_matches_its_patterns_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_MATCH_ALL", "never")
    with pytest.raises(PatternError, match="1 patterns are too large to be matched together"):
        RuleTable.build([pattern("a.*")])
    monkeypatch.setattr(patterns, "_MATCH_ALL", "")
    assert find(RuleTable.build([pattern("a.*"), pattern("b")]), "ab") == ("a.*", "ab")


NO_LOOK_AROUND = " (look-around and back references are not supported; \\z is the end of the text)"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("(", "missing ): ("),
        ("a**", "bad repetition operator: **"),
        ("\\1", "invalid escape sequence: \\1" + NO_LOOK_AROUND),
        ("(?<=a)", "invalid perl operator: (?<=" + NO_LOOK_AROUND),
        ("(?!a)", "invalid perl operator: (?!" + NO_LOOK_AROUND),
        ("a{2,1}", "invalid repetition size: {2,1}"),
        ("[z-a]", "invalid character class range: z-a"),
        ("\\p{Zzz}", "invalid character class range: \\p{Zzz}"),
        ("(?P<n>", "missing ): (?P<n>"),
        ("a" * 1600, "it has more than 1600 characters"),
        ("a{1000}a{997}", "it is too large: 2001 instructions, and 2000 are allowed"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_the_reason(written: str, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        check_pattern(written)
    assert str(caught.value) == reason


@pytest.mark.parametrize("written", ["a" * 1599, "a{1000}a{996}"])
def test_the_largest_patterns_are_accepted(written: str) -> None:
    check_pattern(written)


@given(st.text("ab.*+?|()[]{}\\d1,^$", max_size=12), st.text(max_size=20))
def test_any_pattern_is_refused_or_can_be_matched_with_any_text(written: str, text: str) -> None:
    try:
        check_pattern(written)
    except PatternError as error:
        assert str(error)
        return
    if written.strip():
        RuleTable([pattern(written)]).find(text, HERE)


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "é", "1"]), min_size=1, max_size=4)


@given(st.lists(WORDS, min_size=1, max_size=5), WORDS)
def test_a_set_finds_what_each_pattern_alone_finds(several: list[list[str]], text: list[str]) -> None:
    written = dict.fromkeys("".join(f"{part}+" for part in parts) for parts in several)
    table = RuleTable.build([pattern(one) for one in written])
    alone = [one for one in written if re.fullmatch(one, "".join(text), re.IGNORECASE)]
    assert find(table, "".join(text)) == ((alone[0].lower(), "".join(text)) if alone else None)


@pytest.mark.parametrize(
    ("hidden", "by"),
    [
        (pattern(r"order (\d+)"), rule("ORDER")),
        (pattern(r"order (\d+)"), rule("ORD", kind=PREFIX)),
        (pattern(r"order (\d+)", where=scope(numbers="1")), rule("ORDER")),
        (pattern("order"), rule("ORDER")),
        (pattern("Order"), rule("ORDER", kind=WHOLE)),
        (pattern("order now (please|thanks)"), rule("ORDER NOW")),
        (pattern("menú .*"), rule("MENU", fold_accents=True)),
    ],
)
def test_a_pattern_that_another_keyword_always_precedes_is_reported(hidden: Rule[str], by: Rule[str]) -> None:
    (shadow,) = RuleTable.build([hidden, by]).find_shadowed()
    assert (shadow.rule, shadow.rival) == (hidden, by)
    assert hidden.source in str(shadow)
    assert by.source in str(shadow)


@pytest.mark.parametrize(
    ("reached", "other"),
    [
        (pattern(r"order\d+"), rule("ORDER")),
        (pattern("order?"), rule("ORDER")),
        (pattern("orders? x"), rule("ORDER")),
        (pattern("order x|y"), rule("ORDER")),
        (pattern("order x"), rule("ORDER", kind=WHOLE)),
        (pattern("order x"), rule("ORDER", scope=scope(numbers="1"))),
        (pattern("order x"), rule("ORDER", scope=Scope(hours=Schedule(((0, 60),))))),
        (pattern("(?i)order x"), rule("ORDER")),
        (pattern("menu .*", fold=True), rule("MENU")),
    ],
)
def test_a_pattern_that_some_text_reaches_is_not_reported(reached: Rule[str], other: Rule[str]) -> None:
    assert RuleTable.build([reached, other]).find_shadowed() == []


@pytest.mark.parametrize(
    ("literal", "text", "is_match"),
    [
        ("a", "A", True),
        ("a", "ab", False),
        ("é", "É", True),
        ("ß", "ss", False),
        (".", "x", False),
        ("+", "+", True),
    ],
)
def test_a_literal_matches_itself_in_any_case(literal: str, text: str, is_match: bool) -> None:
    assert matches_literally(literal, text) is is_match
