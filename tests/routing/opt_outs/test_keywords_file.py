"""``opt-outs.toml``: keywords and replies by language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sms_router.errors import ConfigurationError
from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from tests.places import without_place

ENGLISH = """
[[language]]
code = "en"
stop = ["STOP", "ENOUGH"]
start = ["START"]
help = ["HELP"]
stop_reply = "Acme: bye."
start_reply = "Acme: welcome."
help_reply = "Acme: call us."
"""


def write(folder: Path, text: str) -> Path:
    (folder / "opt-outs.toml").write_text(text)
    return folder


def test_without_a_file_the_included_languages_are_used(tmp_path: Path) -> None:
    assert load_opt_out_keywords(tmp_path).find("CANCEL")[0] is Intent.STOP


def test_a_language_replaces_the_included_one(tmp_path: Path) -> None:
    words = load_opt_out_keywords(write(tmp_path, ENGLISH))
    match = words.match("enough", None, "12345", "US")
    assert match is not None
    assert match.reply.texts == ("Acme: bye.",)
    assert words.find("UNSUBSCRIBE")[0] is None
    assert words.find("ARRET")[0] is Intent.STOP


def test_words_may_be_left_to_keywords(tmp_path: Path) -> None:
    words = load_opt_out_keywords(write(tmp_path, 'left_to_keywords = ["Cancel"]'))
    assert words.find("CANCEL")[0] is None
    assert words.find("END")[0] is Intent.STOP


@pytest.mark.parametrize(
    ("added", "intent", "is_suspected"),
    [
        ("", Intent.STOP, False),
        ("phrases = []", None, True),
        ("phrases = []\nsuspected = []", None, False),
        ('phrases = ["stop (texting|writing) me"]', Intent.STOP, False),
    ],
)
def test_phrases_are_those_of_the_included_language_unless_a_table_has_its_own(
    tmp_path: Path, added: str, intent: Intent | None, is_suspected: bool
) -> None:
    assert load_opt_out_keywords(write(tmp_path, ENGLISH + added)).find("Stop texting me!") == (
        intent,
        is_suspected,
    )


def test_phrases_may_be_left_to_keywords_and_languages_dropped(tmp_path: Path) -> None:
    text = 'left_to_keywords = ["No more texts"]\nwithout_languages = ["fr"]'
    words = load_opt_out_keywords(write(tmp_path, text))
    assert words.find("no more texts please")[0] is None
    assert words.find("ARRET") == (None, False)
    assert words.find("ALTO")[0] is Intent.STOP


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('without_languages = ["de"]', "without_languages: 'de' is none of en, es, fr"),
        (ENGLISH + 'phrases = ["stop (me"]', "language en: 'stop (me' has a parenthesis without its other"),
        (ENGLISH + 'suspected = ["stop*"]', "language en: 'stop*' has no word without *"),
        ('left_to_keywords = ["stop"]', "left_to_keywords: carriers require 'stop' to be an opt-out word"),
        ('standalone_short_codes = ["+1415"]', "standalone_short_codes[1]: "),
        (ENGLISH + ENGLISH, 'language: two tables have code = "en"'),
        (ENGLISH.replace('"HELP"', '"ENOUGH", "HELP"'), "language en: 'ENOUGH' is in help and in stop"),
        (ENGLISH.replace('"en"', '"English"'), "language[1].code: "),
        (ENGLISH.replace('help_reply = "Acme: call us."', ""), "language[1].help_reply: is missing"),
        (ENGLISH.replace("[[language]]", "[[languages]]"), "languages: unknown key; did you mean language?"),
        (ENGLISH.replace('stop = ["STOP", "ENOUGH"]', "stop = []"), "language[1].stop: must not be empty"),
    ],
)
def test_every_mistake_is_reported_by_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_opt_out_keywords(write(tmp_path, text))
    file = tmp_path / "opt-outs.toml"
    mistakes = list(map(without_place, raised.value.mistakes))
    assert any(line.startswith(f"{file}: {mistake}") for line in mistakes), mistakes


@pytest.mark.parametrize(
    ("key", "longest"),
    [
        ("stop", ["STOP", "x" * 34]),
        ("stop_reply", "x" * 1600),
        ("phrases", ["x" * 500]),
        ("polite", [f"x{number}" for number in range(200)]),
    ],
)
def test_the_longest_values_are_accepted(tmp_path: Path, key: str, longest: str | list[str]) -> None:
    text = "".join(line for line in ENGLISH.splitlines(keepends=True) if not line.startswith(f"{key} "))
    load_opt_out_keywords(write(tmp_path, f"{text}{key} = {json.dumps(longest)}"))
    longer = longest + "x" if isinstance(longest, str) else [*longest[:-1], longest[-1] + "x"]
    if key == "polite":
        longer = [*longest, "x"]
    with pytest.raises(ConfigurationError):
        load_opt_out_keywords(write(tmp_path, f"{text}{key} = {json.dumps(longer)}"))


SPANISH = ENGLISH.replace('"en"', '"es"').replace('"STOP", "ENOUGH"', '"ALTO"')
WORD = "carriers require 'stop' to be an opt-out word; remove it here"


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ('left_to_keywords = ["end", "Stop"]', [f":1:28: left_to_keywords: {WORD.replace('stop', 'Stop')}"]),
        (
            'without_languages = ["fr", "de"]',
            [":1:21: without_languages: 'de' is none of en, es, fr"],
        ),
        (
            SPANISH + ENGLISH + SPANISH,
            [':21:8: language: two tables have code = "es"; keep one of them'],
        ),
        (
            SPANISH + ENGLISH.replace('"HELP"', '"ENOUGH", "HELP"'),
            [":15:8: language en: 'ENOUGH' is in help and in stop; keep one of them"],
        ),
        (
            SPANISH.replace('"START"', '"START", "STOP"'),
            [":5:9: language es: 'STOP' is in start and in stop; keep one of them"],
        ),
        (
            ENGLISH.replace('"HELP"', '"ALTO", "HELP"'),
            [":1:1: language es: 'ALTO' is in stop and in help; keep one of them"],
        ),
        (
            SPANISH + ENGLISH + 'phrases = ["stop (me"]',
            [":11:1: language en: 'stop (me' has a parenthesis without its other half"],
        ),
        (
            'without_languages = ["en", "fr", "es"]' + ENGLISH.replace('"START"', '"BACK"'),
            [":1:1: START is missing in start; carriers require it"],
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_opt_out_keywords(write(tmp_path, text))
    assert list(raised.value.mistakes) == [f"{tmp_path / 'opt-outs.toml'}{mistake}" for mistake in mistakes]
