"""Load-time checks: conflicts, empty keywords and invalid patterns, each with the rule and the remedy."""

from __future__ import annotations

import pytest

from sms_router.routing.keywords.lint import InvalidRulesError
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import Rule, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rules import FIRST_WORD, PATTERN, PREFIX, WHOLE, rule, scope


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("STOP"), rule("stop", name="b")),
        (rule("HELP", "Stop."), rule("¡stop!", name="b")),
        (rule("MENU", kind=WHOLE), rule("menu", kind=WHOLE, name="b")),
        (rule("VOTE", kind=PREFIX), rule("vote", kind=PREFIX, name="b")),
        (rule("OPT  IN"), rule("opt in", name="b")),
        (rule("A", scope=scope(numbers="1 2")), rule("a", scope=scope(numbers="2 3"), name="b")),
        (
            rule("A", scope=scope(numbers="1", countries="US")),
            rule("a", scope=scope(numbers="1 2", countries="US CA"), name="b"),
        ),
        (rule("menú", fold_accents=True), rule("menu", name="b")),
        (rule("menu", fold_accents=True), rule("menú", name="b")),
        (rule("menu", fold_accents=True), rule("menú", fold_accents=True, name="b")),
        (rule("👍"), rule("👍🏽", name="b")),
        (rule("a.*", kind=PATTERN), rule("a.*", kind=PATTERN, name="b")),
        (
            rule("a.*", kind=PATTERN, scope=scope(numbers="1 2")),
            rule(" a.*", kind=PATTERN, scope=scope(numbers="2"), name="b"),
        ),
        (
            rule("A", scope=Scope(hours=Schedule.window(["mon-fri"], "09:00", "17:00"))),
            rule("A", scope=Scope(hours=Schedule.window(["fri"], "16:59", "20:00")), name="b"),
        ),
        (
            rule("A", scope=Scope(hours=Schedule.window(["sun"], "22:00", "02:00"))),
            rule("A", scope=Scope(hours=Schedule.window(["mon"], "01:59", "03:00")), name="b"),
        ),
    ],
)
def test_two_rules_that_match_the_same_text_are_refused(one: Rule[str], other: Rule[str]) -> None:
    with pytest.raises(InvalidRulesError) as caught:
        RuleTable.build([one, other])
    (problem,) = caught.value.problems
    assert (problem.rule, problem.rival) == (other, one)
    assert one.source in str(caught.value)
    assert other.source in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("STOP"), rule("START")),
        (rule("STOP"), rule("STOP NOW")),
        (rule("STOP", kind=WHOLE), rule("STOP", kind=FIRST_WORD, name="b")),
        (rule("STOP", kind=FIRST_WORD), rule("STOP", kind=PREFIX, name="b")),
        (rule("A", scope=scope(numbers="1")), rule("A", scope=scope(numbers="2"), name="b")),
        (rule("A", scope=scope(numbers="1")), rule("A", name="b")),
        (rule("A", scope=scope(numbers="1")), rule("A", scope=scope(services="1"), name="b")),
        (
            rule("A", scope=scope(numbers="1", countries="US")),
            rule("A", scope=scope(numbers="1", countries="CA"), name="b"),
        ),
        (rule("menú"), rule("menu", name="b")),
        (rule("a.*", kind=PATTERN), rule("A.*", kind=PATTERN, scope=scope(numbers="1"), name="b")),
        (rule("a.*", kind=PATTERN), rule("a.*", kind=PREFIX, name="b")),
        (rule(r"\d", kind=PATTERN), rule(r"\D", kind=PATTERN, name="b")),
        (
            rule("A", scope=Scope(hours=Schedule.window(["mon-fri"], "09:00", "17:00"))),
            rule("A", scope=Scope(hours=Schedule.window(["fri"], "17:00", "20:00")), name="b"),
        ),
        (rule("A", scope=Scope(hours=Schedule.window(["mon"], "09:00", "17:00"))), rule("A", name="b")),
    ],
)
def test_rules_with_an_order_of_precedence_are_accepted(one: Rule[str], other: Rule[str]) -> None:
    assert RuleTable.build([one, other]).rules == (one, other)


def test_every_problem_is_reported_at_once() -> None:
    rules = [
        rule("A", "B", name="first"),
        rule("a", name="second"),
        rule("b", "c", name="third"),
        rule(" ", "C ", "\u200b", name="fourth"),
        rule(name="fifth"),
    ]
    with pytest.raises(InvalidRulesError) as caught:
        RuleTable.build(rules)
    assert [
        (problem.rival is not None, problem.rule.name, problem.keyword) for problem in caught.value.problems
    ] == [
        (True, "second", "a"),
        (True, "third", "b"),
        (False, "fourth", " "),
        (True, "fourth", "C "),
        (False, "fifth", None),
    ]
    remedy = "give one of them another keyword, kind of match or scope"
    assert str(caught.value).splitlines() == [
        "'a' (first-word; everywhere) of second (keywords.toml, second) is already used by "
        f"first (keywords.toml, first) (written 'A' there): {remedy}",
        "'b' (first-word; everywhere) of third (keywords.toml, third) is already used by "
        f"first (keywords.toml, first) (written 'B' there): {remedy}",
        "the keyword ' ' of fourth (keywords.toml, fourth) is empty: write a letter, a digit or a symbol",
        "'C ' (first-word; everywhere) of fourth (keywords.toml, fourth) is already used by "
        f"third (keywords.toml, third) (written 'c' there): {remedy}",
        "fifth (keywords.toml, fifth) has no keywords: give it at least one",
    ]


def test_one_rule_may_contain_two_spellings_of_a_keyword() -> None:
    table = RuleTable.build([rule("STOP", "Stop.", "stop")])
    assert len(table.rules) == 1
