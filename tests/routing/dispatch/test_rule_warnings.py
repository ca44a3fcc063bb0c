"""Rules that load, and that do not fit the countries, the Services or their senders."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.rule_loader import load_rules
from sms_router.routing.dispatch.rule_warnings import KnownSenders, find_warnings
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool

SERVICE = "MG" + "0a" * 16
OTHER = "MG" + "0b" * 16
# ruff: noqa: RUF001 (texts as people write them)
ENCODING = (
    "because it is not in GSM-7; Twilio's Smart Encoding replaces some such characters, "
    "where the Service has it"
)
SMS, MMS = Capability.SMS, Capability.SMS | Capability.MMS

POOLS = {
    SERVICE: Pool(
        SERVICE,
        1,
        (
            Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", MMS),
            Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", SMS),
        ),
    ),
    OTHER: Pool(OTHER, 1, (Sender("PN2", "+442071838750", SenderKind.LONG_CODE, "GB", SMS),)),
}
KNOWN = KnownSenders(frozenset(POOLS), POOLS)
PICTURE = 'media = ["https://example.com/a.png"]'


def warnings(tmp_path: Path, content: str, known: KnownSenders = KNOWN) -> list[str]:
    file = tmp_path / "keywords.toml"
    file.write_text(content)
    opt_outs = load_opt_out_keywords(tmp_path, frozenset())
    dispatcher = load_rules(file, tmp_path / "templates", HandlerRegistry([], []), opt_outs)
    return [warning.replace(str(file), "keywords.toml") for warning in find_warnings(dispatcher, known)]


def keyword(more: str, reply: str = "Hello.") -> str:
    return f'[[keyword]]\nwords = ["HI"]\nreply = """{reply}"""\n{more}\n'


RULE = "HI (keywords.toml, keyword 1): "


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (keyword('countries = ["UK"]'), f"{RULE}countries: 'UK' never matches: write GB"),
        (
            keyword('countries = ["US", "xx"]'),
            f"{RULE}countries: 'XX' never matches: ISO 3166 has no such country with phone numbers",
        ),
        (
            keyword('numbers = ["12345", "54321"]'),
            f"{RULE}numbers: 54321 never matches: no configured Service has this sender",
        ),
        (
            keyword(f'numbers = ["12345"]\nservices = ["{OTHER}"]'),
            f"{RULE}numbers: 12345 never matches: it is a sender of {SERVICE}, which the rule does not name",
        ),
        (
            keyword('services = ["MG' + "0c" * 16 + '"]'),
            f"{RULE}services: MG{'0c' * 16} never matches: this Service is not configured; configured: "
            f"{SERVICE}, {OTHER}",
        ),
        (
            f'[default.services.MG{"0c" * 16}]\nreply = "Hi."\n',
            f"default.services.MG{'0c' * 16}: this Service is not configured; configured: {SERVICE}, {OTHER}",
        ),
        (
            keyword("", "We’re open from nine to five on every day of the week, and on Sundays too."),
            f"{RULE[:-2]}: '’' (U+2019 RIGHT SINGLE QUOTATION MARK; write \"'\") makes the reply "
            f"2 segments instead of 1, {ENCODING}",
        ),
        (
            keyword("", "Thank you. We have your message, and you hear from us tomorrow morning. 👍"),
            f"{RULE[:-2]}: '👍' (U+1F44D THUMBS UP SIGN; leave it out) makes the reply 2 segments "
            f"instead of 1, {ENCODING}",
        ),
        (
            keyword(
                "", "{{ argument }} is a town – we have an office on its main street, and it is open now."
            ),
            f"{RULE[:-2]}: '–' (U+2013 EN DASH; write '-') makes the reply 2 segments instead of 1, "
            f"{ENCODING}",
        ),
        (
            keyword(f'{PICTURE}\nservices = ["{OTHER}"]'),
            f"{RULE}media: no sender of {OTHER} can send MMS, so nothing is sent there",
        ),
        (
            keyword(f'{PICTURE}\nservices = ["{SERVICE}"]\ncountries = ["CA"]'),
            f"{RULE}media: no sender of {SERVICE} can send MMS to CA, so nothing is sent there",
        ),
        (
            '[[keyword]]\nwords = ["STOP"]\nreply = "No."\n',
            "'STOP' alone is an opt-out word (STOP), so that STOP (keywords.toml, keyword 1) does not get"
            " it; carriers require that. A longer text such as 'STOP 5' does reach it, and the replies to the"
            " word are in opt-outs.toml",
        ),
        (
            '[[keyword]]\nwords = ["QUIT"]\nreply = "No."\n',
            "'QUIT' alone is an opt-out word (STOP), so that QUIT (keywords.toml, keyword 1) does not get"
            " it; to change that, name it in left_to_keywords in opt-outs.toml",
        ),
        (
            '[[keyword]]\nwords = ["BİLGİ"]\nmatch = "pattern"\nreply = "Bilgi."\n',
            "'BİLGİ' (pattern) of BİLGİ (keywords.toml, keyword 1): 'İ' does not match 'i'; write (İ|i)",
        ),
        (
            '[[keyword]]\nwords = ["gruß"]\nmatch = "pattern"\nreply = "Gruß."\n',
            "'gruß' (pattern) of gruß (keywords.toml, keyword 1): 'ß' does not match 'ss'; write (ß|ss)",
        ),
    ],
)
def test_a_rule_that_does_not_fit_the_world_is_a_warning(tmp_path: Path, content: str, warning: str) -> None:
    assert warnings(tmp_path, content) == [warning]


@pytest.mark.parametrize(
    "content",
    [
        keyword('countries = ["GB", "us", "PR", "XK"]'),
        keyword('numbers = ["12345", "+442071838750"]'),
        keyword('numbers = ["whatsapp:+14155550100"]'),
        keyword(f'numbers = ["12345"]\nservices = ["{SERVICE}", "{OTHER}"]'),
        keyword("", "We’re open."),
        keyword("", "Мы открыты с девяти до пяти каждый день недели, кроме воскресенья и праздников."),
        keyword("", "We are open from nine to five on every day of the week, and on Sundays from ten."),
        keyword(f'{PICTURE}\nservices = ["{SERVICE}"]\ncountries = ["US"]'),
        keyword(f'{PICTURE}\nnumbers = ["12345"]'),
        '[[keyword]]\nwords = ["BİLGİ", "ΏΡΕΣ", "STRASSE", "straße", "قائمة", "हिन्दी"]\nreply = "Yes."\n',
        '[[keyword]]\nwords = ["menú", "café (\\\\d+)"]\nmatch = "pattern"\nreply = "Yes."\n',
    ],
)
def test_a_rule_that_fits_is_no_warning(tmp_path: Path, content: str) -> None:
    assert warnings(tmp_path, content) == []


def test_a_word_left_to_keywords_on_which_twilio_acts_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "opt-outs.toml").write_text('left_to_keywords = ["CANCEL", "INFO", "YES", "REVOQUE"]\n')
    sentence = (
        "a contact who texts {} to +14155550100 and 1 more, whatever is written here; the router records"
        " that, and no keyword answers it there"
    )
    unused = "left_to_keywords: 'REVOQUE' is none of the opt-out words and phrases, and has no effect"
    assert sorted(warnings(tmp_path, keyword(""))) == [
        unused,
        f"left_to_keywords: Twilio subscribes {sentence.format('YES')}",
        f"left_to_keywords: Twilio unsubscribes {sentence.format('CANCEL')}",
    ]
    assert warnings(tmp_path, keyword(""), KnownSenders()) == [unused]


def test_senders_that_are_not_known_cause_no_warning(tmp_path: Path) -> None:
    content = keyword(f'numbers = ["54321"]\n{PICTURE}')
    assert warnings(tmp_path, content, KnownSenders(frozenset(POOLS), {SERVICE: POOLS[SERVICE]})) == []
    assert warnings(tmp_path, content, KnownSenders()) == []
