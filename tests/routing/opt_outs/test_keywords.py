"""Which texts are opt-out keywords, and who replies to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.opt_outs.keywords import (
    Intent,
    Language,
    OptOutKeywords,
    OptOutMatch,
    match_from_twilio,
)
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords

MG, OTHER = "MG" + "1" * 32, "MG" + "2" * 32
SHORT, LONG, FREE = "12345", "+14155550100", "+18885550100"
WORDS = load_opt_out_keywords(by_twilio=frozenset({OTHER}))


@pytest.mark.parametrize(
    ("number", "service", "text", "router_answers"),
    [
        (SHORT, None, "STOP", True),
        (SHORT, MG, "STOP", True),
        (SHORT, OTHER, "STOP", False),
        (SHORT, OTHER, "ARRET", True),
        (SHORT, OTHER, "stop.", True),
        (LONG, MG, "stop", False),
        (LONG, None, "HELP", False),
        (LONG, MG, "ARRET", True),
        (LONG, MG, "Stop.", True),
        (LONG, MG, "STOP please", True),
        (LONG, MG, "stop texting me", True),
        (FREE, MG, "STOP", False),
        (FREE, MG, "unstop", False),
        (FREE, MG, "CANCEL", False),
        (FREE, MG, "unsubscribe", False),
        (FREE, MG, "HELP", False),
        (FREE, MG, "INFO", False),
        (FREE, MG, "ARRET", True),
        ("whatsapp:+14155550100", MG, "STOP", True),
        ("whatsapp:+14155550100", None, "HELP", True),
        ("messenger:1234", MG, "STOP", True),
        ("rcs:+14155550100", MG, "STOP", False),
    ],
)
def test_the_router_replies_where_twilio_and_the_network_do_not(
    number: str, service: str | None, text: str, router_answers: bool
) -> None:
    match = WORDS.match(text, service, number, "US")
    assert match is not None
    assert (match.reply is not SILENCE) is router_answers
    if router_answers:
        assert match.reply.sender == number


def test_the_router_replies_on_a_standalone_short_code_whatever_its_service(tmp_path: Path) -> None:
    (tmp_path / "opt-outs.toml").write_text(f'standalone_short_codes = ["{SHORT}"]')
    words = load_opt_out_keywords(tmp_path, frozenset({OTHER}))
    match = words.match("STOP", OTHER, SHORT, "US")
    assert match is not None
    assert match.reply is not SILENCE


def test_yes_does_not_end_a_block_of_the_toll_free_network() -> None:
    assert WORDS.match("YES", MG, FREE, "US") is None
    match = WORDS.match("INICIAR", MG, FREE, "US")
    assert match is not None, "it ends an opt-out by ALTO, which the network does not know"
    assert match.reply is not SILENCE


@pytest.mark.parametrize(
    ("text", "country", "beginning"),
    [("STOP", "US", "START"), ("STOP", "FR", "DEBUT"), ("STOP", "MX", "INICIAR")],
)
def test_the_country_decides_between_languages_that_share_a_keyword(
    text: str, country: str, beginning: str
) -> None:
    match = WORDS.match(text, MG, SHORT, country)
    assert match is not None
    assert beginning in match.reply.texts[0]


@pytest.mark.parametrize(
    ("text", "firm"), [("START", True), ("UNSTOP", True), ("YES", False), ("STOP", True)]
)
def test_yes_is_an_ordinary_text_unless_the_contact_has_opted_out(text: str, firm: bool) -> None:
    match = WORDS.match(text, MG, SHORT, "US")
    assert match is not None
    assert match.unconditional is firm


@pytest.mark.parametrize("kind", [*Intent])
def test_what_twilio_has_replied_to_gets_no_reply(kind: Intent) -> None:
    assert match_from_twilio(kind.value) == OptOutMatch(kind, kind.value, SILENCE, unconditional=True)


def test_an_unknown_opt_out_type_has_no_meaning() -> None:
    assert match_from_twilio("PAUSE") is None


@given(st.text(max_size=100), st.sampled_from([SHORT, LONG, FREE, "whatsapp:+14155550100"]))
def test_any_text_can_be_matched(text: str, number: str) -> None:
    match = WORDS.match(text, MG, number, "US")
    assert match is None or WORDS.find(match.word)[0] is match.intent


@pytest.mark.parametrize(
    ("text", "number", "intent"),
    [
        (" Cancel\n", "+14155550100", Intent.STOP),
        ("cancel", "+14155550100", Intent.STOP),
        ("cancel", "12345", None),
        ("cancel", "+18885550100", Intent.STOP),
        ("yes", "+18885550100", None),
        ("cancel", "whatsapp:+14155550100", None),
        ("Cancel!", "+14155550100", None),
        ("CANCEL my order", "+14155550100", None),
        ("yes", "+14155550100", Intent.START),
        ("INFO", "+14155550100", None),
    ],
)
def test_a_word_left_to_keywords_counts_where_twilio_acts_on_it(
    text: str, number: str, intent: Intent | None
) -> None:
    languages = [
        Language("en", {Intent.STOP: ("CANCEL",), Intent.START: ("YES",), Intent.HELP: ("INFO",)}, {})
    ]
    left = frozenset({"CANCEL", "YES", "INFO"})
    words = OptOutKeywords(languages, left_to_keywords=left, by_twilio=frozenset({OTHER}))
    match = words.match(text, MG, number, "US")
    word = text.strip().lower()
    assert match == (intent and OptOutMatch(intent, word, SILENCE, unconditional=intent is Intent.STOP))


def test_a_word_left_to_keywords_counts_on_a_short_code_on_which_twilio_replies() -> None:
    english = Language("en", {Intent.STOP: ("CANCEL",)}, {})
    words = OptOutKeywords([english], left_to_keywords=frozenset({"CANCEL"}), by_twilio=frozenset({OTHER}))
    match = words.match("cancel", OTHER, SHORT, "US")
    assert match == OptOutMatch(Intent.STOP, "cancel", SILENCE, unconditional=True)


def test_what_a_reload_may_change_is_named() -> None:
    english, french = (Language(code, {Intent.STOP: (code,)}, {}) for code in ("en", "fr"))
    words = OptOutKeywords(
        [english, french], left_to_keywords=frozenset({"FR", "no"}), standalone=frozenset({SHORT})
    )
    assert words.parts == {
        "opt-out words (en)": english,
        "opt-out words (fr)": french,
        "left_to_keywords": {"fr", "no"},
        "standalone_short_codes": {SHORT},
    }
    assert words.languages == {"en": english, "fr": french}
    assert (words.unused, words.words, words.left) == (["no"], {"en"}, {})


def test_of_languages_that_share_a_word_left_to_keywords_the_first_one_counts() -> None:
    english, french = (Language(code, {Intent.STOP: ("END", "END.")}, {}) for code in ("en", "fr"))
    words = OptOutKeywords([english, french], left_to_keywords=frozenset({"end"}))
    assert words.left == {"end": (Intent.STOP, english)}


@pytest.mark.parametrize(
    ("text", "kind", "rule"),
    [
        ("STOP", Intent.STOP, "opt-out word STOP, answered by the router"),
        ("Stop texting me", Intent.STOP, "opt-out word STOP TEXTING ME (STOP), answered by the router"),
        ("unstop", Intent.START, "opt-out word UNSTOP (START), answered by the router"),
    ],
)
def test_the_journal_names_the_word_and_who_replied(text: str, kind: Intent, rule: str) -> None:
    match = WORDS.match(text, MG, SHORT, "US")
    assert match is not None
    assert (match.intent, match.rule) == (kind, rule)
    by_twilio = match_from_twilio("STOP")
    assert by_twilio is not None
    assert by_twilio.rule == "opt-out word STOP, answered by Twilio"
