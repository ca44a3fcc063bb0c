"""Reactions that phones send as texts, in the languages that they send; anything else is no reaction."""

# ruff: noqa: RUF001 (texts as phones write them)

from __future__ import annotations

import pytest

from sms_router.twilio.reactions import Reaction, parse_reaction

ADDED = [
    ("Liked “a”", "like"), ("Loved “a”", "love"), ("Disliked “a”", "dislike"), ("Laughed at “a”", "laugh"),
    ("Emphasized “a”", "emphasis"), ('Questioned "a"', "question"), ("Reacted 👍🏽 to “a”", "👍🏽"),
    ("Le gustó “a”", "like"), ("Le encantó “a”", "love"), ("No le gustó “a”", "dislike"),
    ("Le dio risa “a”", "laugh"), ("Exclamó por “a”", "emphasis"), ("Dudó sobre “a”", "question"),
    ("Reaccionó con 🤣 a «a»", "🤣"),
    ("A aimé « a »", "like"), ("A adoré « a »", "love"), ("N’a pas aimé « a »", "dislike"),
    ("A ri à « a »", "laugh"), ("A mis l’accent sur « a »", "emphasis"),
    ("S’est interrogé(e) sur « a »", "question"), ("A réagi avec ❤️ à « a »", "❤️"),
    ("a attribué la mention « J’aime » à « a »", "like"),
    ("a attribué la mention « Adore » à « a »", "love"),
    ("Gefällt „a“", "like"), ("Liebt „a“", "love"), ("Mag „a“ nicht", "dislike"),
    ("Lacht über „a“", "laugh"),
    ("Hat über „a“ gelacht", "laugh"), ("Betont „a“", "emphasis"), ("Hinterfragt „a“", "question"),
    ("Hat „a“ mit „Gefällt mir“ markiert", "like"), ("Hat mit 👍 auf „a“ reagiert", "👍"),
    ("Curtiu “a”", "like"), ("Amou “a”", "love"), ("Não curtiu “a”", "dislike"), ("Riu de “a”", "laugh"),
    ("Enfatizou “a”", "emphasis"), ("Questionou “a”", "question"), ("Reagiu com 😮 a “a”", "😮"),
    ('\u200a\u200b👍\u200b to "\u200aa\u200a"\u200a', "👍"), ("\u200b😂\u200b à « a »", "😂"),
    ("👨‍👩‍👧 to “a”", "👨‍👩‍👧"), ("1️⃣ para “a”", "1️⃣"),
]  # fmt: skip
REMOVED = [
    ("Removed a like from “a”", "like"), ("Removed a heart from “a”", "love"),
    ("Removed a dislike from “a”", "dislike"), ("Removed a laugh from “a”", "laugh"),
    ("Removed an exclamation from “a”", "emphasis"), ("Removed a question mark from “a”", "question"),
    ("Removed 👍 from “a”", "👍"), ("Quitó un corazón de “a”", "love"),
    ("Eliminó un me gusta de “a”", "like"),
    ("A retiré la mention « Adore » de « a »", "love"), ("A retiré la réaction 😂 à « a »", "😂"),
    ("A supprimé un point d’interrogation de « a »", "question"), ("Hat ein Herz von „a“ entfernt", "love"),
    ("Entfernte 👍 von „a“", "👍"), ("Removeu um coração de “a”", "love"), ("👍 removed from “a”", "👍"),
]  # fmt: skip
OF_OBJECTS = [
    ("Loved an image", "love"), ("Laughed at a movie", "laugh"), ("Reacted 😂 to an image", "😂"),
    ("Le encantó una imagen", "love"), ("A aimé une image", "like"), ("Gefällt ein Bild", "like"),
    ("Amou uma imagem", "love"), ("Removed a heart from an image", "love"),
]  # fmt: skip
ORDINARY = [
    "Liked it a lot, when are you open?", 'I liked "the pizza"', "“quote only”", "👍 to that",
    "👍 to a message",
    "Reacted well to “your plan”", "Loved", "LIKED YOU", "HOURS “a”", "Stop “texting” me", "👍", "",
    "Mag ich",
    "Le gusta a mi hermana", "Liked “a” and loved “b”, but not c", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind"), ADDED + REMOVED)
def test_a_reaction_is_recognised_with_what_it_quotes(body: str, kind: str) -> None:
    assert parse_reaction(body) == Reaction(kind, "a", is_removal=(body, kind) in REMOVED)
    long = body.replace("“a”", "“We are “open”\n9 to 5”")
    if long != body:
        assert parse_reaction(f" {long} ") == Reaction(kind, "We are “open” 9 to 5", (body, kind) in REMOVED)


@pytest.mark.parametrize(("body", "kind"), OF_OBJECTS)
def test_a_reaction_to_a_picture_quotes_nothing(body: str, kind: str) -> None:
    assert parse_reaction(body) == Reaction(kind, "", is_removal=body.startswith("Removed"))


@pytest.mark.parametrize("body", ORDINARY)
def test_an_ordinary_text_is_no_reaction(body: str) -> None:
    assert parse_reaction(body) is None
