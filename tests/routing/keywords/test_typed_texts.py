"""Keywords as people type them: texts from real life, with the rule that takes each and its argument."""

from __future__ import annotations

import pytest

from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind
from tests.routing.rules import FIRST_WORD, HERE, PATTERN, PREFIX, WHOLE, rule

UNCLAIMED = (None, "")


def find(text: str, kind: MatchKind, *words: str) -> tuple[str | None, str]:
    match = RuleTable.build([rule(*words, kind=kind)]).find(text, HERE)
    return UNCLAIMED if match is None else (match.keyword, match.argument)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("pie,please", "please"),
        ("PIE.thanks", "thanks"),
        ("pie:apple", "apple"),
        ("pie/apple", "apple"),
        ("pie-apple pie", "apple pie"),
        ("PIE\uff0cplease", "please"),
        ("pie—now", "now"),
        ("pie...now", "now"),
        ("pie+cream", "cream"),
        ("pie_now", "now"),
        ("pie:$5 tip", "$5 tip"),
        ("PIE👍", "👍"),
        ("PIE👍🏽 great", "👍🏽 great"),
        ("PIE❤️", "❤️"),
        ("<PIE>", ""),
        ("<PIE> apple", "apple"),
        ("«pie» apple", "apple"),
        ("PIE+", ""),
        ("~pie~", ""),
        ("*pie* now", "now"),
        ("$pie", ""),
        ("🥧 pie apple", "apple"),
        ("PIE\ufffc", ""),
        ("\ufffcPIE apple", "apple"),
        ("pie®", "®"),
        ("Pie, 1.5 please", "1.5 please"),
    ],
)
def test_a_first_word_ends_at_its_first_sign(text: str, argument: str) -> None:
    assert find(text, FIRST_WORD, "PIE", "PIES") == ("PIE", argument)


@pytest.mark.parametrize(
    ("text", "argument"),
    [("HOURS\uff0cplease", "please"), ("HOURS\ufffc", ""), ("~hours~", "")],
)
def test_signs_of_any_script_end_a_keyword(text: str, argument: str) -> None:
    assert find(text, FIRST_WORD, "HOURS") == ("HOURS", argument)


def test_a_digit_is_no_sign() -> None:
    assert find("VOTE3", FIRST_WORD, "VOTE") == UNCLAIMED


@pytest.mark.parametrize("text", ["pieces", "PIE3", "apple pie", "pi.e", "pi-e", "p👍ie"])
def test_a_word_that_only_begins_like_a_keyword_is_another_word(text: str) -> None:
    assert find(text, FIRST_WORD, "PIE") == UNCLAIMED


@pytest.mark.parametrize("text", ["don't", "don\u2019t ask", "DON\u00b4T"])
def test_an_apostrophe_between_letters_ends_no_word(text: str) -> None:
    assert find(text, FIRST_WORD, "DON") == UNCLAIMED


@pytest.mark.parametrize("text", ["3.5", "3,500", "3:30 pm", "3/4"])
def test_a_sign_inside_a_number_ends_no_word(text: str) -> None:
    assert find(text, FIRST_WORD, "3") == UNCLAIMED


@pytest.mark.parametrize(
    "text", ["YES 👍", "Yes❤️", "“yes”", "👍 yes", "yes!!! 😀😀", "(yes)", "~Yes~", "YES\ufffc"]
)
def test_a_whole_message_may_have_signs_around_it(text: str) -> None:
    assert find(text, WHOLE, "YES") == ("YES", "")


@pytest.mark.parametrize("text", ["yes👍no", "yes, no", "y👍es"])
def test_a_whole_message_has_no_other_words(text: str) -> None:
    assert find(text, WHOLE, "YES") == UNCLAIMED


def test_signs_of_a_keyword_count_where_a_rule_writes_them() -> None:
    table = RuleTable.build([rule("+1", kind=WHOLE), rule("1", kind=WHOLE), rule("C++"), rule("C")])
    keywords = []
    for text in ("+1", "1", "1!", "c++", "c++ or C", "c", "c+"):
        match = table.find(text, HERE)
        assert match is not None
        keywords.append(match.keyword)
    assert keywords == ["+1", "1", "1", "C++", "C++", "C", "C"]


def test_a_longer_keyword_wins_although_signs_stand_in_it() -> None:
    table = RuleTable.build([rule("OPT"), rule("OPT IN"), rule("VOTE", kind=PREFIX)])
    results = []
    for text in ("opt, in!please", "opt in👍", "opt,in", "~vote 3"):
        match = table.find(text, HERE)
        assert match is not None
        results.append((match.keyword, match.argument))
    assert results == [("OPT IN", "please"), ("OPT IN", "👍"), ("OPT", "in"), ("VOTE", "3")]


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("\u0661", "1"),
        ("१", "1"),
        ("๑", "1"),
        ("1", "\u0661"),
        ("bilgi", "BİLGİ"),
        ("BİLGİ", "bilgi"),
        ("BILGI", "bilgi"),
        ("kap\u0131", "KAPI"),
        ("KAPI", "kap\u0131"),
        ("ώρες", "ΩΡΕΣ"),
        ("ΩΡΕΣ", "ώρες"),
        ("Μαΐου", "ΜΑΪΟΥ"),
        ("قَائِمَة", "قائمة"),
        ("قائـــمة", "قائمة"),
        ("قائمة", "قَائِمَة"),
        ("DON\u2019T", "DON'T"),
    ],
)
def test_the_same_word_in_another_spelling(text: str, keyword: str) -> None:
    assert find(text, WHOLE, keyword) == (keyword, "")


@pytest.mark.parametrize(
    ("text", "keyword"),
    [("ควาย", "ควย"), ("কাল", "কল"), ("שלום", "שלם"), ("နာရီ", "နရ"), ("停", "止"), ("μαιου", "μαϊου")],
)
def test_different_words_stay_different(text: str, keyword: str) -> None:
    assert find(text, WHOLE, keyword) == UNCLAIMED


@pytest.mark.parametrize(
    ("text", "argument"), [("order ١٢٣٤", "1234"), ("ORDER #۱۲۳", "123"), ("order 1234", "1234")]
)
def test_patterns_match_digits_of_every_script_as_ascii(text: str, argument: str) -> None:
    assert find(text, PATTERN, r"order #?(\d{3,6})") == (r"order #?(\d{3,6})", argument)
