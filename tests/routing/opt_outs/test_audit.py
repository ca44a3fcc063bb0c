"""The replies to opt-out words are compared with the requirements of carriers."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router.routing.keywords.own_replies import ReplyTable
from sms_router.routing.opt_outs.audit import audit_replies
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.twilio.segments import Encoding, count_segments

GOOD = {
    "stop": "Acme Alerts: you are unsubscribed and will get no more messages. Reply START to come back.",
    "start": "Acme Alerts: up to 4 msgs/month. Msg&data rates may apply. HELP for help, STOP to end.",
    "help": "Acme Alerts: call 555-010-0199. 4 msgs/month. Msg&data rates may apply. Reply STOP to end.",
}
SPANISH = {
    "stop": "Avisos Acme: su baja es efectiva. Responda INICIAR para volver.",
    "start": "Avisos Acme: 4 mensajes al mes. Pueden aplicarse tarifas. AYUDA: ayuda, ALTO: cancelar.",
    "help": "Avisos Acme: ayuda@acme.example. 4 mensajes al mes. Pueden aplicarse tarifas. ALTO: cancelar.",
}
WORDS = {
    "en": 'stop = ["STOP"]\nstart = ["START"]\nhelp = ["HELP"]',
    "es": 'stop = ["ALTO"]\nstart = ["INICIAR"]\nhelp = ["AYUDA"]',
}


def audited(folder: Path, code: str = "en", **replies: str) -> list[str]:
    texts = {**(GOOD if code == "en" else SPANISH), **replies}
    lines = [f'code = "{code}"', WORDS[code], *(f'{name}_reply = "{text}"' for name, text in texts.items())]
    others = '["es", "fr"]' if code == "en" else '["fr"]'
    (folder / "opt-outs.toml").write_text(
        "\n".join((f"without_languages = {others}", "[[language]]", *lines)), "utf-8"
    )
    return [*audit_replies(load_opt_out_keywords(folder))]


def test_shipped_replies_name_no_program_and_fit_one_segment() -> None:
    (sentence,) = audit_replies(load_opt_out_keywords())
    assert "the shipped ones (en, es, fr)" in sentence
    for language in load_opt_out_keywords().languages.values():
        for text in language.replies.values():
            size = count_segments(text)
            assert (size.encoding, size.count) == (Encoding.GSM_7, 1), text


def test_replies_of_the_settings_are_held_against_it_in_the_place_of_the_shipped_ones() -> None:
    texts = {f"{name}_reply": text for name, text in GOOD.items()}
    opt_outs, shop = load_opt_out_keywords(), "MG" + "1" * 32
    assert [*audit_replies(opt_outs, [ReplyTable(texts)])] == []
    assert "the shipped ones (en, fr)" in next(audit_replies(opt_outs, [ReplyTable(texts, language="es")]))
    sentences = [*audit_replies(opt_outs, [ReplyTable(texts | {"help_reply": "Acme Alerts: STOP"}, [shop])])]
    assert len(sentences) == 2
    assert sentences[1].startswith(f"router.toml, replies of {shop}: the HELP reply lacks a contact")


def test_complete_replies_are_not_objected_to(tmp_path: Path) -> None:
    assert audited(tmp_path) == []
    assert [line for line in audited(tmp_path, "es") if "language es" in line] == []


@pytest.mark.parametrize(
    ("reply", "text", "objection"),
    [
        (
            "help",
            "Acme: 4 msgs/month. Msg&data rates may apply. Reply STOP to end.",
            "lacks a contact",
        ),
        (
            "help",
            "Acme: acme.example. Msg&data rates may apply. Reply STOP to end.",
            "HELP reply lacks how often",
        ),
        (
            "help",
            "Acme: a@b.example. Msg frequency varies. Reply STOP to end.",
            "HELP reply lacks that message and",
        ),
        (
            "help",
            "Acme: a@b.example. Messages vary. Msg&data rates may apply.",
            "HELP reply lacks how to stop",
        ),
        ("stop", "Acme: goodbye.", "STOP reply lacks a confirmation"),
        ("stop", "Acme: no more messages. 20% off at https://acme.example", "STOP reply has what looks like"),
        ("start", "Acme: recurring msgs, rates apply. STOP to end.", "START reply lacks how to get help"),
        ("start", "Acme: recurring msgs, rates apply. HELP for help.", "START reply lacks how to stop"),
        ("stop", "You are unsubscribed.", "STOP reply does not name the program"),
        ("stop", "Acme: you get no more messages… OK", "STOP reply is not GSM-7, for …"),
        ("stop", "Acme: you get no more messages." + " " * 150, "STOP reply is 2 segments long"),
    ],
)
def test_what_a_reply_lacks_is_named(tmp_path: Path, reply: str, text: str, objection: str) -> None:
    assert any(objection in line for line in audited(tmp_path, **{reply: text}))
