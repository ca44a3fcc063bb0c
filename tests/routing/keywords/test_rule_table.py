"""Which rule answers a text, and why not another."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sms_router.routing.keywords.lint import KeywordConflictError
from sms_router.routing.keywords.normalize import fold_accents, normalise, tidy, trim
from sms_router.routing.keywords.rule_table import MatchReason, RuleTable
from sms_router.routing.keywords.rules import Match, MatchContext, MatchKind, NoMatch, Rule, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rulebook import FIRST_WORD, HERE, PATTERN, PREFIX, SERVICE, WHOLE, rule, scope

RULES = [
    rule("STOP", kind=WHOLE),
    rule("HOURS", "OPEN"),
    rule("OPT IN"),
    rule("OPT"),
    rule("VOTE", kind=PREFIX),
    rule("VOTE9", kind=PREFIX, name="nine"),
    rule("MENÚ", name="menu", fold_accents=True),
    rule("INFORMACIÓN"),
    rule("โหวต", name="thai vote", kind=PREFIX),
    rule("সময়", name="bengali hours"),
    rule("နာရီ", name="burmese hours"),
    rule("ساعات", name="arabic hours"),
    rule("👍", name="thumb"),
    rule("❤️", name="heart", kind=PREFIX),
    rule("?", name="question", kind=WHOLE),
    rule("DON'T", name="do not"),
    rule("C++", name="language"),
]
TABLE = RuleTable.build(RULES)


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        # whole message
        ("STOP", "stop", ""),
        ("Stop.", "stop", ""),
        (" \u200bstop\n", "stop", ""),
        ("“Stop”", "stop", ""),
        ("stop this bill", None, ""),
        ("STOP 12345", None, ""),
        ("?", "question", ""),
        # first word
        ("hours", "hours open", ""),
        ("Hours, please", "hours open", "please"),
        ("OPEN  Tomorrow  Morning ", "hours open", "Tomorrow  Morning"),
        ("(open)\n\nSunday?", "hours open", "Sunday?"),
        ("¡Hours! - Sunday", "hours open", "- Sunday"),
        ("opening", None, ""),
        ("are you open", None, ""),
        ("opt in Please", "opt in", "Please"),
        ("OPT   IN: Please", "opt in", "Please"),
        ("opt out", "opt", "out"),
        ("opt inside", "opt", "inside"),
        ("don\u2019t Ask", "do not", "Ask"),
        ("c++ or C#", "language", "or C#"),
        # prefix
        ("VOTE3", "vote", "3"),
        ("vote 3", "vote", "3"),
        ("Vote#3 ", "vote", "#3"),
        ("VOTE", "vote", ""),
        ("voter turnout", "vote", "r turnout"),
        ("vote99", "nine", "9"),
        ("\u200b\uff36ote9", "nine", ""),
        ("I vote", None, ""),
        # accents
        ("menu Hoy", "menu", "Hoy"),
        ("MENU\u0301 Hoy", "menu", "Hoy"),
        ("¡Menú!", "menu", ""),
        ("información", "información", ""),
        ("INFORMACIO\u0301N YA", "información", "YA"),
        ("informacion", None, ""),
        # scripts and signs
        ("โหวต3", "thai vote", "3"),
        ("সময় কাল", "bengali hours", "কাল"),
        ("নাসময়", None, ""),
        ("နာရီ။", "burmese hours", ""),
        ("ساعات؟", "arabic hours", ""),
        ("👍🏽 great", "thumb", "great"),
        ("❤️3", "heart", "3"),
        ("❤", "heart", ""),
        # nothing
        ("", None, ""),
        ("   ", None, ""),
        ("!!!", None, ""),
        ("x" * 5000, None, ""),
        ("hours " + "x" * 5000, "hours open", "x" * 5000),
    ],
)
def test_a_text_finds_its_rule_and_keeps_what_was_typed_after_it(
    text: str, name: str | None, argument: str
) -> None:
    found = TABLE.find(text, HERE)
    if isinstance(found, Match):
        assert (found.rule.name, found.argument) == (name, argument)
        assert found.keyword in found.rule.words
    else:
        assert (found, name) == (NoMatch(normalise(text)), None)


def test_the_keyword_is_given_as_the_rule_writes_it() -> None:
    found = TABLE.find("open!", HERE)
    assert isinstance(found, Match)
    assert (found.keyword, found.normalised) == ("OPEN", "open")


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("\u200b" * 200 + "vote 3", "3"),
        ("\u200b" * 200 + "hours, please", "please"),
        ("ﬁsh", "ish"),
    ],
)
def test_an_argument_that_cannot_be_traced_back_is_given_normalised(text: str, argument: str) -> None:
    found = RuleTable.build([*RULES, rule("F", kind=PREFIX)]).find(text, HERE)
    assert isinstance(found, Match)
    assert found.argument == argument


@pytest.mark.parametrize(
    ("occasion", "name"),
    [
        (HERE, "number"),
        (MatchContext(SERVICE, "99999", "US"), "service"),
        (MatchContext(None, "99999", "US"), "country"),
        (MatchContext(None, "99999", None), "anywhere"),
        (MatchContext(SERVICE, "54321", "CA"), "number in Canada"),
    ],
)
def test_the_most_specific_scope_wins(occasion: MatchContext, name: str) -> None:
    table = RuleTable.build(
        [
            rule("MENU", name="anywhere"),
            rule("MENU", name="country", scope=scope(countries="US")),
            rule("MENU", name="service", scope=scope(services=SERVICE)),
            rule("MENU", name="number in Canada", scope=scope(numbers="54321", countries="CA")),
            rule("MENU", name="number", scope=scope(numbers="12345 54321")),
        ]
    )
    assert _name(table, "menu", occasion) == name


@pytest.mark.parametrize(
    ("text", "name"), [("vote", "whole"), ("vote yes", "first word"), ("voted", "prefix")]
)
def test_the_kind_goes_before_the_scope(text: str, name: str) -> None:
    table = RuleTable.build(
        [
            rule("VOTE", name="prefix", kind=PREFIX, scope=scope(numbers="12345")),
            rule("VOTE", name="first word", scope=scope(services=SERVICE)),
            rule("VOTE", name="whole", kind=WHOLE),
        ]
    )
    assert _name(table, text, HERE) == name


def test_a_longer_keyword_goes_before_a_more_specific_scope() -> None:
    table = RuleTable.build(
        [rule("VOTE", kind=PREFIX, scope=scope(numbers="12345")), rule("VOTE3", kind=PREFIX)]
    )
    assert _name(table, "vote3", HERE) == "vote3"


def test_a_longer_keyword_of_another_place_does_not_hide_a_shorter_one() -> None:
    table = RuleTable.build(
        [rule("VOTE", kind=PREFIX), rule("VOTE3", kind=PREFIX, scope=scope(numbers="99999"))]
    )
    assert _name(table, "vote3", HERE) == "vote"


WORDS = st.sampled_from(["a", "a b", "á", "ab", "a b á", "👍", "a!", "b-a"])
ENDINGS = ["", " b", "b", ", b!", " b á", "\u0301"]
OCCASIONS = [MatchContext(*where) for where in product(("S", None), ("1", "2"), ("US", None), (0, 60, 120))]
SCOPES = st.builds(
    Scope,
    st.frozensets(st.sampled_from(["S", "T"]), max_size=2),
    st.frozensets(st.sampled_from(["1", "2"]), max_size=2),
    st.frozensets(st.sampled_from(["US", "CA"]), max_size=1),
    st.sampled_from(
        [Schedule(), Schedule(((0, 90),)), Schedule(((60, 180),)), Schedule(((60, 90), (120, 180)))]
    ),
)
RULE_SETS = st.lists(
    st.builds(
        Rule,
        words=st.lists(WORDS, min_size=1, max_size=2).map(tuple),
        kind=st.sampled_from(MatchKind),
        scope=SCOPES,
        answer=st.none(),
        name=st.uuids().map(str),
        source=st.just(""),
        fold_accents=st.booleans(),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60)
@given(RULE_SETS)
def test_the_index_finds_what_asking_every_rule_finds(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    for text, occasion in product(_texts_like(rules), OCCASIONS):
        best = _first_by_asking_every_rule(table.rules, text, occasion)
        found = table.find(text, occasion)
        assert (found.rule.name if isinstance(found, Match) else None) == best


@settings(max_examples=60)
@given(RULE_SETS)
def test_an_explanation_chooses_the_rule_that_answers(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    for text, occasion in product(_texts_like(rules[:2]), OCCASIONS):
        found = table.find(text, occasion)
        chosen = [line.rule for line in table.explain(text, occasion) if line.verdict is MatchReason.CHOSEN]
        assert chosen == ([found.rule] if isinstance(found, Match) else [])


@settings(max_examples=60)
@given(RULE_SETS)
def test_a_shadowed_keyword_answers_nothing(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    shadowed = {(shadow.rule.name, shadow.keyword) for shadow in table.shadowed()}
    for text, occasion in product(_texts_like(rules), OCCASIONS):
        found = table.find(text, occasion)
        assert not isinstance(found, Match) or (found.rule.name, found.keyword) not in shadowed


@pytest.mark.parametrize(
    ("hidden", "by"),
    [
        (rule("VOTE FOR", kind=PREFIX), rule("VOTE")),
        (rule("vote, for ann", kind=PREFIX), rule("vote")),
        (rule("OPT IN NOW", kind=PREFIX), rule("OPT IN")),
        (rule("VOTE FOR", kind=PREFIX, scope=scope(numbers="1 2")), rule("VOTE")),
        (
            rule("VOTE FOR", kind=PREFIX, scope=scope(numbers="1", countries="US")),
            rule("VOTE", scope=scope(countries="US CA")),
        ),
        (rule("MENÚ DEL", kind=PREFIX), rule("MENU", fold_accents=True)),
    ],
)
def test_a_prefix_that_a_first_word_always_takes_is_reported(hidden: Rule[str], by: Rule[str]) -> None:
    (shadow,) = RuleTable.build([hidden, by]).shadowed()
    assert (shadow.rule, shadow.by) == (hidden, by)
    assert hidden.source in str(shadow)
    assert by.source in str(shadow)


@pytest.mark.parametrize(
    ("prefix", "other"),
    [
        (rule("VOTE", kind=PREFIX), rule("VOTE", name="word")),
        (rule("VOTE FOR", kind=PREFIX), rule("VOTE FOR", name="word")),
        (rule("VOTE FOR", kind=PREFIX), rule("VOTE", kind=WHOLE)),
        (rule("VOTE FOR", kind=PREFIX), rule("VOTE", scope=scope(numbers="1"))),
        (
            rule("VOTE FOR", kind=PREFIX, scope=scope(numbers="1 2")),
            rule("VOTE", scope=scope(numbers="1")),
        ),
        (rule("MENU DEL", kind=PREFIX, fold_accents=True), rule("MENU")),
    ],
)
def test_a_prefix_that_some_text_reaches_is_not_reported(prefix: Rule[str], other: Rule[str]) -> None:
    assert RuleTable.build([prefix, other]).shadowed() == []


def test_an_explanation_names_the_chosen_rule_and_the_nearest_others() -> None:
    table = RuleTable.build(
        [
            rule("STOP", kind=WHOLE),
            rule("STOP BILL"),
            rule("STOP", name="stop word", kind=FIRST_WORD),
            rule("STOP", name="stop elsewhere", kind=FIRST_WORD, scope=scope(numbers="99999")),
            rule("ST", name="saints", kind=PREFIX),
            rule("HOURS"),
        ]
    )
    lines = [(line.rule.name, line.verdict, line.reason) for line in table.explain("Stop this bill", HERE)]
    assert lines == [
        ("stop word", MatchReason.CHOSEN, "'STOP' is a word of its own; scope: everywhere"),
        ("saints", MatchReason.OUTRANKED, "stop word comes first: first-word before prefix"),
        ("stop elsewhere", MatchReason.OTHER_SCOPE, "holds only for number 99999"),
        ("stop", MatchReason.OTHER_KIND, "'STOP' must be the whole message"),
    ]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([rule("A B"), rule("A", name="short")], "a b comes first: its keyword is longer"),
        (
            [rule("A", name="here", scope=scope(numbers="12345")), rule("A", name="anywhere")],
            "here comes first: its scope is more specific",
        ),
    ],
)
def test_an_explanation_says_why_a_rule_comes_first(rules: list[Rule[str]], reason: str) -> None:
    _, second = RuleTable.build(rules).explain("a b", HERE)
    assert (second.verdict, second.reason) == (MatchReason.OUTRANKED, reason)


def test_a_word_that_does_not_stand_alone_is_explained() -> None:
    (line,) = RuleTable.build([rule("HOURS")]).explain("hours?now", HERE)
    assert (line.verdict, line.reason) == (MatchReason.OTHER_KIND, "'HOURS' must be a word of its own")


def test_an_explanation_stays_short() -> None:
    rules = [rule("A", name=str(number), scope=scope(numbers=str(number))) for number in range(100)]
    assert len(RuleTable.build(rules).explain("a", HERE)) == 20


def _name(table: RuleTable[str], text: str, occasion: MatchContext) -> str | None:
    found = table.find(text, occasion)
    return found.rule.name if isinstance(found, Match) else None


def _without_conflicts(rules: list[Rule[None]]) -> RuleTable[None]:
    """Build a table of the rules, leaving out those that it refuses."""
    try:
        return RuleTable.build(rules)
    except KeywordConflictError as error:
        refused = {problem.rule.name for problem in error.problems}
        return RuleTable.build([rule for rule in rules if rule.name not in refused])


def _texts_like(rules: list[Rule[None]]) -> list[str]:
    words = sorted({word for rule_ in rules for word in rule_.words})
    return [word + ending for word in words for ending in ENDINGS]


def _first_by_asking_every_rule(
    rules: tuple[Rule[None], ...], text: str, occasion: MatchContext
) -> str | None:
    """The plain reading of the design, without an index; two rules at the same rank are a mistake."""
    ranked: dict[tuple[int, int, int, int], set[str]] = {}
    for place, rule_ in enumerate(rules):
        if rule_.scope.admits(occasion):
            for size in _sizes_of_claims(rule_, text):
                kind = list(MatchKind).index(rule_.kind)
                written = place if rule_.kind is PATTERN else 0
                rank = kind, -size, -rule_.scope.specificity, written
                ranked.setdefault(rank, set()).add(rule_.name)
    if not ranked:
        return None
    (best,) = ranked[min(ranked)]
    return best


def _sizes_of_claims(rule_: Rule[None], text: str) -> list[int]:
    def read(typed: str) -> str:
        return fold_accents(normalise(typed)) if rule_.fold_accents else normalise(typed)

    if rule_.kind is PATTERN:
        return _readings_that_fit(rule_, text)
    typed = read(text)
    words = typed.split()
    keys = [read(word) for word in rule_.words]
    if rule_.kind is MatchKind.WHOLE:
        return [0 for key in keys if typed == key]
    if rule_.kind is MatchKind.PREFIX:
        return [len(key) for key in keys if typed.startswith(key)]
    counts = [(key, len(key.split())) for key in keys]
    return [count for key, count in counts if trim(" ".join(words[:count])) == key]


def _readings_that_fit(rule_: Rule[None], text: str) -> list[int]:
    """Return 1 where the text as typed fits a pattern, 0 where it does without what stands around it."""
    fold = fold_accents if rule_.fold_accents else str
    readings = {1: fold(tidy(text)), 0: fold(trim(tidy(text)))}
    patterns = [fold(tidy(word)) for word in rule_.words]
    return [
        rank
        for rank, reading in readings.items()
        if any(re.fullmatch(pattern, reading, re.IGNORECASE) for pattern in patterns)
    ]
