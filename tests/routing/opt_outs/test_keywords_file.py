"""``opt-outs.toml``: words and answers by language."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.errors import ConfigurationError
from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords

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


def written(folder: Path, text: str) -> Path:
    (folder / "opt-outs.toml").write_text(text)
    return folder


def test_a_missing_file_means_what_comes_along(tmp_path: Path) -> None:
    assert load_opt_out_keywords(tmp_path).intent("CANCEL") is Intent.STOP


def test_a_language_replaces_the_one_that_comes_along(tmp_path: Path) -> None:
    words = load_opt_out_keywords(written(tmp_path, ENGLISH))
    heard = words.match("enough", None, "12345", "US")
    assert heard is not None
    assert heard.reply.texts == ("Acme: bye.",)
    assert words.intent("UNSUBSCRIBE") is None
    assert words.intent("ARRET") is Intent.STOP


def test_words_may_be_left_to_keywords(tmp_path: Path) -> None:
    words = load_opt_out_keywords(written(tmp_path, 'left_to_keywords = ["Cancel"]'))
    assert words.intent("CANCEL") is None
    assert words.intent("END") is Intent.STOP


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('left_to_keywords = ["stop"]', "left_to_keywords: 'stop' must keep its meaning"),
        ('standalone_short_codes = ["+1415"]', "standalone_short_codes[1]: "),
        (ENGLISH + ENGLISH, 'language: code = "en" stands in two tables'),
        (ENGLISH.replace('"HELP"', '"ENOUGH", "HELP"'), "language en: 'ENOUGH' is among help and among stop"),
        (ENGLISH.replace('"en"', '"English"'), "language[1].code: "),
        (ENGLISH.replace('help_reply = "Acme: call us."', ""), "language[1].help_reply: is missing"),
        (ENGLISH.replace("[[language]]", "[[languages]]"), "languages: unknown key; did you mean language?"),
        (ENGLISH.replace('stop = ["STOP", "ENOUGH"]', "stop = []"), "language[1].stop: must not be empty"),
    ],
)
def test_every_mistake_is_told_by_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        load_opt_out_keywords(written(tmp_path, text))
    file = tmp_path / "opt-outs.toml"
    assert any(each.startswith(f"{file}: {mistake}") for each in told.value.mistakes), told.value.mistakes
