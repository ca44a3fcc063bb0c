"""The router's own replies: of which Service, and in which language."""

from __future__ import annotations

import json

import pytest

from sms_router import Reply
from sms_router.routing.keywords.own_replies import OwnReplies, ReplyTable
from tests.routing.messages import message

ACME, OTHER = "MG" + "1" * 32, "MG" + "2" * 32
REPLIES = OwnReplies(
    [
        ReplyTable({"error_reply": "general"}),
        ReplyTable({"error_reply": "es", "leave_reply": "adiós"}, language="es"),
        ReplyTable({"error_reply": "acme", "stop_reply": "acme stop"}, [ACME]),
        ReplyTable({"error_reply": "acme es"}, [ACME], "es"),
        ReplyTable({"error_reply": "other"}, [OTHER]),
    ],
    {OTHER: "fr"},
)
SHIPPED = {"en": "stopped", "es": "alto", "fr": "arrêt"}


@pytest.mark.parametrize(
    ("name", "service", "language", "keyword_language", "expected"),
    [
        ("error_reply", None, None, None, "general"),
        ("error_reply", None, "es-MX", None, "es"),
        ("error_reply", ACME, "es", None, "acme es"),
        ("error_reply", ACME, None, None, "acme"),
        ("error_reply", ACME, "de", None, "acme"),
        ("error_reply", OTHER, None, None, "other"),
        ("error_reply", OTHER, "es", None, "es"),
        ("error_reply", OTHER, "fr", "es", "other"),
        ("leave_reply", None, "es", None, "adiós"),
        ("leave_reply", None, "de", None, "default"),
        ("stop_reply", None, None, "en", "stopped"),
        ("stop_reply", None, "fr", "en", "arrêt"),
        ("stop_reply", None, "de", "en", "stopped"),
        ("stop_reply", OTHER, None, "en", "stopped"),
        ("stop_reply", ACME, "es", "en", "acme stop"),
    ],
)
def test_the_contact_s_language_comes_first_and_in_it_the_service_s_own_words(
    name: str, service: str | None, language: str | None, keyword_language: str | None, expected: str
) -> None:
    profile = json.dumps({"language": json.dumps(language)}) if language else ""
    by_language = SHIPPED if name == "stop_reply" else {}
    incoming = message(service=service)
    default = Reply("default", sender="12345")
    chosen = REPLIES.choose(name, default, incoming, profile, keyword_language, by_language)
    assert chosen == Reply(expected, sender="12345")


def test_a_language_without_a_text_that_another_one_has_is_named() -> None:
    replies = OwnReplies(
        [
            ReplyTable({"error_reply": "es", "leave_reply": "adiós", "stop_reply": "alto"}, language="es"),
            ReplyTable({"error_reply": "fr"}, language="fr"),
        ],
        {OTHER: "de"},
    )
    lacking = "contacts of this language get the default"
    assert list(replies.missing(["en", "fr"])) == [
        f"router.toml: the replies in fr have no leave_reply, which es has: {lacking}",
        "router.toml: the replies in de have no error_reply, leave_reply, stop_reply, which es has: "
        + lacking,
    ]
    assert list(OwnReplies().missing(["en"])) == []
