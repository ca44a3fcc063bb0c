"""Which rule a text matches, and why not another one."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.keywords.index import KeywordEntry, build_entries
from sms_router.routing.keywords.lint import InvalidRulesError
from sms_router.routing.keywords.normalize import fold_accents, normalize, tidy, trim
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleTable, extract_argument
from sms_router.routing.keywords.rules import MatchContext, MatchKind, Rule, Scope
from sms_router.routing.keywords.schedule import Schedule
from tests.routing.rules import FIRST_WORD, HERE, PATTERN, PREFIX, SERVICE, WHOLE, rule, scope

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
def test_a_text_matches_its_rule_and_the_argument_stays_as_typed(
    text: str, name: str | None, argument: str
) -> None:
    match = TABLE.find(text, HERE)
    if match is not None:
        assert (match.rule.name, match.argument) == (name, argument)
        assert match.keyword in match.rule.words
    else:
        assert (match, name) == (None, None)


def test_the_keyword_is_returned_as_the_rule_writes_it() -> None:
    match = TABLE.find("open!", HERE)
    assert match is not None
    assert match.keyword == "OPEN"


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("\u200b" * 200 + "vote 3", "3"),
        ("\u200b" * 200 + "hours, please", "please"),
        ("ﬁsh", "ish"),
    ],
)
def test_an_argument_that_cannot_be_located_in_the_text_is_returned_normalized(
    text: str, argument: str
) -> None:
    match = RuleTable.build([*RULES, rule("F", kind=PREFIX)]).find(text, HERE)
    assert match is not None
    assert match.argument == argument


@pytest.mark.parametrize(
    ("context", "name"),
    [
        (HERE, "number"),
        (MatchContext(SERVICE, "99999", "US"), "service"),
        (MatchContext(None, "99999", "US"), "country"),
        (MatchContext(None, "99999", None), "anywhere"),
        (MatchContext(SERVICE, "54321", "CA"), "number in Canada"),
    ],
)
def test_the_most_specific_scope_wins(context: MatchContext, name: str) -> None:
    table = RuleTable.build(
        [
            rule("MENU", name="anywhere"),
            rule("MENU", name="country", scope=scope(countries="US")),
            rule("MENU", name="service", scope=scope(services=SERVICE)),
            rule("MENU", name="number in Canada", scope=scope(numbers="54321", countries="CA")),
            rule("MENU", name="number", scope=scope(numbers="12345 54321")),
        ]
    )
    assert _name(table, "menu", context) == name


@pytest.mark.parametrize(
    ("text", "name"), [("vote", "whole"), ("vote yes", "first word"), ("voted", "prefix")]
)
def test_the_kind_takes_precedence_over_the_scope(text: str, name: str) -> None:
    table = RuleTable.build(
        [
            rule("VOTE", name="prefix", kind=PREFIX, scope=scope(numbers="12345")),
            rule("VOTE", name="first word", scope=scope(services=SERVICE)),
            rule("VOTE", name="whole", kind=WHOLE),
        ]
    )
    assert _name(table, text, HERE) == name


def test_a_longer_keyword_takes_precedence_over_a_more_specific_scope() -> None:
    table = RuleTable.build(
        [rule("VOTE", kind=PREFIX, scope=scope(numbers="12345")), rule("VOTE3", kind=PREFIX)]
    )
    assert _name(table, "vote3", HERE) == "vote3"


def test_a_longer_keyword_of_another_scope_does_not_hide_a_shorter_one() -> None:
    table = RuleTable.build(
        [rule("VOTE", kind=PREFIX), rule("VOTE3", kind=PREFIX, scope=scope(numbers="99999"))]
    )
    assert _name(table, "vote3", HERE) == "vote"


WORDS = st.sampled_from(["a", "a b", "á", "ab", "a b á", "👍", "a!", "b-a"])
ENDINGS = ["", " b", "b", ", b!", " b á", "\u0301"]
CONTEXTS = [MatchContext(*values) for values in product(("S", None), ("1", "2"), ("US", None), (0, 60, 120))]
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
        action=st.none(),
        name=st.uuids().map(str),
        source=st.just(""),
        fold_accents=st.booleans(),
    ),
    min_size=2,
    max_size=12,
)


@given(RULE_SETS)
def test_the_index_finds_what_comparing_every_rule_finds(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    for text, context in product(_texts_like(rules), CONTEXTS):
        best = _first_by_comparing_every_rule(table.rules, text, context)
        match = table.find(text, context)
        assert (match.rule.name if match is not None else None) == best


@given(RULE_SETS)
def test_an_explanation_chooses_the_rule_that_find_returns(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    for text, context in product(_texts_like(rules[:2]), CONTEXTS):
        match = table.find(text, context)
        chosen = [line.rule for line in table.explain(text, context) if line.verdict is MatchVerdict.CHOSEN]
        assert chosen == ([match.rule] if match is not None else [])


@given(RULE_SETS)
def test_a_shadowed_keyword_matches_nothing(rules: list[Rule[None]]) -> None:
    table = _without_conflicts(rules)
    shadowed = {(shadow.rule.name, shadow.keyword) for shadow in table.find_shadowed()}
    for text, context in product(_texts_like(rules), CONTEXTS):
        match = table.find(text, context)
        assert match is None or (match.rule.name, match.keyword) not in shadowed


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
def test_a_prefix_that_a_first_word_always_precedes_is_reported(hidden: Rule[str], by: Rule[str]) -> None:
    (shadow,) = RuleTable.build([hidden, by]).find_shadowed()
    assert (shadow.rule, shadow.rival) == (hidden, by)
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
    assert RuleTable.build([prefix, other]).find_shadowed() == []


def test_an_explanation_lists_the_chosen_rule_and_the_nearest_others() -> None:
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
        ("stop word", MatchVerdict.CHOSEN, "'STOP' is a word of its own; scope: everywhere"),
        ("saints", MatchVerdict.OUTRANKED, "stop word takes precedence: first-word before prefix"),
        ("stop elsewhere", MatchVerdict.OTHER_SCOPE, "only for number 99999"),
        ("stop", MatchVerdict.OTHER_KIND, "'STOP' must be the whole message"),
    ]
    assert [line.keyword for line in table.explain("Stop this bill", HERE)] == ["STOP", "ST", "STOP", "STOP"]


def test_a_keyword_with_signs_takes_precedence_over_the_same_one_without() -> None:
    table = RuleTable.build([rule("C", kind=WHOLE), rule("C++", kind=WHOLE)])
    lines = [(line.keyword, line.verdict, line.reason) for line in table.explain("c++", HERE)]
    assert lines == [
        ("C++", MatchVerdict.CHOSEN, "'C++' is the whole message; scope: everywhere"),
        (
            "C",
            MatchVerdict.OUTRANKED,
            "c++ takes precedence: it matches the text with its signs, and the other one only without them",
        ),
    ]


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("  vote 3  ", "3"),
        ("vote", ""),
        ("Vote, please", "please"),
        ("vote\u2014now ok", "now ok"),
        ("vote\u20ac5", "\u20ac5"),
    ],
)
def test_the_argument_is_what_stands_behind_the_keyword(text: str, argument: str) -> None:
    (entry,) = build_entries(rule("VOTE"))
    assert extract_argument(text, entry) == argument


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([rule("A B"), rule("A", name="short")], "a b takes precedence: its keyword is longer"),
        (
            [rule("A", name="here", scope=scope(numbers="12345")), rule("A", name="anywhere")],
            "here takes precedence: its scope is more specific",
        ),
    ],
)
def test_an_explanation_gives_the_reason_of_the_precedence(rules: list[Rule[str]], reason: str) -> None:
    _, second = RuleTable.build(rules).explain("a b", HERE)
    assert (second.verdict, second.reason) == (MatchVerdict.OUTRANKED, reason)


def test_a_keyword_inside_a_longer_word_is_explained() -> None:
    (line,) = RuleTable.build([rule("HOURS")]).explain("hoursnow", HERE)
    assert (line.verdict, line.reason) == (MatchVerdict.OTHER_KIND, "'HOURS' must be a word of its own")


@pytest.mark.parametrize(("size", "count"), [(64, 1), (65, 0)])
def test_a_keyword_inside_the_first_64_characters_is_explained(size: int, count: int) -> None:
    assert len(RuleTable.build([rule("x" * size)]).explain("x" * size + "y", HERE)) == count


def test_an_explanation_lists_at_most_twenty_rules() -> None:
    rules = [rule("A", name=str(number), scope=scope(numbers=str(number))) for number in range(100)]
    assert len(RuleTable.build(rules).explain("a", HERE)) == 20


JOINER, ACCENT = "\u200d", "\u0301"


@dataclass(frozen=True, slots=True)
class CountingEntry(KeywordEntry[str]):
    """Records how many characters it normalizes."""

    sizes: list[int] = field(default_factory=list)

    def normalize(self, text: str) -> str:
        self.sizes.append(min(len(text), 1600))
        return KeywordEntry.normalize(self, text)


def counting_entry(word: str) -> CountingEntry:
    (entry,) = build_entries(rule(word, kind=PREFIX, fold_accents=True))
    return CountingEntry(entry.rule, entry.keyword, entry.key)


@pytest.mark.parametrize("behind", [JOINER, ACCENT, JOINER + ACCENT, "\ufe0f"])
@pytest.mark.parametrize("many", [800, 21_000])
def test_the_cost_does_not_grow_with_the_invisible_characters_behind_a_keyword(
    behind: str, many: int
) -> None:
    entry = counting_entry("HOURS")
    extract_argument("HOURS" + behind * many, entry)
    assert sum(entry.sizes) < 100


@given(st.text(alphabet=JOINER + ACCENT + "\ufe0f\U0001f3fd", max_size=30), st.sampled_from(["3", "x y", ""]))
def test_invisible_characters_behind_a_keyword_belong_to_it(invisible: str, rest: str) -> None:
    for kind in (PREFIX, FIRST_WORD):
        (entry,) = build_entries(rule("HOURS", kind=kind, fold_accents=True))
        gap = "" if kind is PREFIX else " "
        assert extract_argument(f"hours{invisible}{gap}{rest}", entry) == rest


def _name(table: RuleTable[str], text: str, context: MatchContext) -> str | None:
    match = table.find(text, context)
    return match.rule.name if match is not None else None


def _without_conflicts(rules: list[Rule[None]]) -> RuleTable[None]:
    """Build a table of the rules, without those that it rejects."""
    try:
        return RuleTable.build(rules)
    except InvalidRulesError as error:
        refused = {problem.rule.name for problem in error.problems}
        return RuleTable.build([rule for rule in rules if rule.name not in refused])


def _texts_like(rules: list[Rule[None]]) -> list[str]:
    words = sorted({word for rule_ in rules for word in rule_.words})
    return [word + ending for word in words for ending in ENDINGS]


def _first_by_comparing_every_rule(
    rules: tuple[Rule[None], ...], text: str, context: MatchContext
) -> str | None:
    """Compare every rule with the text, without an index; two rules of the same rank fail the test."""
    ranked: dict[tuple[int, int, int, int, int], set[str]] = {}
    for place, rule_ in enumerate(rules):
        if rule_.scope.admits(context):
            for size, loosened in _sizes_of_matches(rule_, text):
                kind = list(MatchKind).index(rule_.kind)
                written = place if rule_.kind is PATTERN else 0
                rank = kind, -size, loosened, -rule_.scope.specificity, written
                ranked.setdefault(rank, set()).add(rule_.name)
    if not ranked:
        return None
    (best,) = ranked[min(ranked)]
    return best


def _sizes_of_matches(rule_: Rule[None], text: str) -> list[tuple[int, bool]]:
    """Return the size of each match, and whether only the text without its outer signs matches."""

    def normalized(text: str) -> str:
        return fold_accents(normalize(text)) if rule_.fold_accents else normalize(text)

    if rule_.kind is PATTERN:
        return [(rank, False) for rank in _ranks_of_pattern(rule_, text)]
    keys = [normalized(word) for word in rule_.words]
    typed = normalized(text)
    bare = _without_outer_signs(typed)
    matches = []
    for form, loosened in ((typed, False), (bare, True)):
        words = form.split()
        for key in keys:
            count = len(key.split())
            first = " ".join(words[:count])
            if loosened and words:
                *before, last = map(_without_outer_signs, words[:count])
                end = next((place for place in range(1, len(last)) if _is_sign(last[place])), len(last))
                first = " ".join([*before, last[:end]])
            if rule_.kind is MatchKind.WHOLE and form == key:
                matches.append((0, loosened))
            elif rule_.kind is MatchKind.PREFIX and form.startswith(key):
                matches.append((len(key), loosened))
            elif rule_.kind is MatchKind.FIRST_WORD and (first if loosened else trim(first)) == key:
                matches.append((count, loosened))
    return matches


def _is_sign(character: str) -> bool:
    return unicodedata.category(character)[0] in ("P", "S", "C")


def _without_outer_signs(text: str) -> str:
    places = [place for place, character in enumerate(text) if not _is_sign(character) and character != " "]
    return text[places[0] : places[-1] + 1] if places else text


def _ranks_of_pattern(rule_: Rule[None], text: str) -> list[int]:
    """Return 1 if the text as typed matches a pattern, 0 if it does without its outer punctuation."""
    fold = fold_accents if rule_.fold_accents else str
    variants = {1: fold(tidy(text)), 0: fold(trim(tidy(text)))}
    patterns = [fold(tidy(word)) for word in rule_.words]
    return [
        rank
        for rank, variant in variants.items()
        if any(re.fullmatch(pattern, variant, re.IGNORECASE) for pattern in patterns)
    ]
