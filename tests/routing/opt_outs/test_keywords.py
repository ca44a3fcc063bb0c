"""Which texts are opt-out words, and who answers them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.opt_outs.keywords import Intent, match_from_twilio
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords

MG, OTHER = "MG" + "1" * 32, "MG" + "2" * 32
SHORT, LONG, FREE = "12345", "+14155550100", "+18885550100"
WORDS = load_opt_out_keywords(by_twilio=frozenset({OTHER}))


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("STOP", Intent.STOP),
        (" stop ", Intent.STOP),
        ("Stop.", Intent.STOP),
        ("“Stop!”", Intent.STOP),
        ("unsubscribe", Intent.STOP),
        ("ARRET", Intent.STOP),
        ("Arrêt", Intent.STOP),
        ("alto", Intent.STOP),
        ("Start", Intent.START),
        ("YES", Intent.START),
        ("DÉBUT", Intent.START),
        ("help?", Intent.HELP),
        ("INFO", Intent.HELP),
        ("stop this bill", None),
        ("STOP 12345", None),
        ("STOP PLEASE", None),
        ("stopp", None),
        ("HOURS", None),
        ("", None),
        ("?", None),
        ("stop" + "!" * 200, None),
    ],
)
def test_a_word_counts_when_it_is_the_whole_text(text: str, intent: Intent | None) -> None:
    heard = WORDS.match(text, MG, SHORT, "US")
    assert (heard.intent if heard else None) is intent


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
        (FREE, MG, "STOP", False),
        (FREE, MG, "unstop", False),
        (FREE, MG, "CANCEL", True),
        (FREE, MG, "HELP", True),
    ],
)
def test_the_router_answers_what_nobody_else_has_answered(
    number: str, service: str | None, text: str, router_answers: bool
) -> None:
    heard = WORDS.match(text, service, number, "US")
    assert heard is not None
    assert (heard.reply is not SILENCE) is router_answers
    if router_answers:
        assert heard.reply.sender == number


def test_a_standalone_short_code_is_answered_whatever_its_service_says(tmp_path: Path) -> None:
    (tmp_path / "opt-outs.toml").write_text(f'standalone_short_codes = ["{SHORT}"]')
    words = load_opt_out_keywords(tmp_path, frozenset({OTHER}))
    heard = words.match("STOP", OTHER, SHORT, "US")
    assert heard is not None
    assert heard.reply is not SILENCE


def test_yes_does_not_undo_what_the_network_of_a_toll_free_number_has_blocked() -> None:
    assert WORDS.match("YES", MG, FREE, "US") is None
    assert WORDS.match("INICIAR", MG, FREE, "US") is None


@pytest.mark.parametrize(
    ("text", "country", "says"), [("STOP", "US", "START"), ("STOP", "FR", "DEBUT"), ("STOP", "MX", "INICIAR")]
)
def test_a_shared_word_is_answered_in_the_language_of_the_country(text: str, country: str, says: str) -> None:
    heard = WORDS.match(text, MG, SHORT, country)
    assert heard is not None
    assert says in heard.reply.texts[0]


@pytest.mark.parametrize(
    ("text", "firm"), [("START", True), ("UNSTOP", True), ("YES", False), ("STOP", True)]
)
def test_yes_is_an_ordinary_text_unless_somebody_opted_out(text: str, firm: bool) -> None:
    heard = WORDS.match(text, MG, SHORT, "US")
    assert heard is not None
    assert heard.unconditional is firm


@pytest.mark.parametrize("kind", [*Intent])
def test_what_twilio_has_answered_is_only_noted(kind: Intent) -> None:
    heard = match_from_twilio(kind.value)
    assert heard is not None
    assert (heard.intent, heard.reply) == (kind, SILENCE)


def test_an_opt_out_type_of_tomorrow_means_nothing() -> None:
    assert match_from_twilio("PAUSE") is None


@given(st.text(max_size=100), st.sampled_from([SHORT, LONG, FREE, "whatsapp:+14155550100"]))
def test_any_text_is_heard_without_harm(text: str, number: str) -> None:
    heard = WORDS.match(text, MG, number, "US")
    assert heard is None or WORDS.intent(heard.word) is heard.intent
