"""What a handler answers."""

from __future__ import annotations

from typing import Any

import pytest

from sms_router import Part, Reply
from sms_router.routing.handler.reply import SILENCE


@pytest.mark.parametrize(
    ("reply", "texts", "media"),
    [
        (Reply(), (), ()),
        (Reply(""), (), ()),
        (Reply("one"), ("one",), ()),
        (Reply(["one", "", "two"]), ("one", "two"), ()),
        (Reply(("one",), media="https://a.example/b.png"), ("one",), ("https://a.example/b.png",)),
        (Reply(media=["https://a.example/b.png", ""]), (), ("https://a.example/b.png",)),
        (Reply(parts=[Part("one", "https://a.example"), Part()]), ("one",), ("https://a.example",)),
        (Reply(parts=[Part("")]), (), ()),
    ],
)
def test_a_reply_has_texts_and_media(reply: Reply, texts: tuple[str, ...], media: tuple[str, ...]) -> None:
    assert reply.texts == texts
    assert reply.media_urls == media
    assert reply.silent is (not texts and not media)


def test_silence_is_silent() -> None:
    assert SILENCE.silent


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"text": 5}, "text is a str or a list of str, not 5"),
        ({"text": b"bytes"}, "text is"),
        ({"text": ["one", None]}, "text is"),
        ({"text": (each for each in "ab")}, "text is"),
        ({"media": None}, "media is"),
        ({"media": [b"https://a.example"]}, "media is"),
        ({"sender": 12345}, "sender is a number or a name, as a str"),
        ({"parts": ["a"]}, "parts is a list of Part"),
        ({"parts": Part("a")}, "parts is a list of Part"),
        ({"notes": "a"}, "notes is a list of str"),
    ],
)
def test_what_is_not_text_is_refused_where_it_is_written(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Reply(**arguments)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"text": ["a"]}, "Part: text is a str"),
        ({"media": 5}, "Part: media is"),
        ({"sender": 5}, "Part: sender is a number"),
    ],
)
def test_what_is_not_text_in_a_part_is_refused_too(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Part(**arguments)


@pytest.mark.parametrize("kind", [Reply, Part])
@pytest.mark.parametrize(
    "media", ["menu.png", "ftp://a.example/menu.png", "https:///menu.png", "https://a b"]
)
def test_what_twilio_could_not_fetch_is_refused_where_it_is_written(
    kind: type[Reply | Part], media: str
) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: media is a URL that begins with https://, not"):
        kind("Menu", media=["https://a.example/menu.png", media])
    assert kind("Menu", media=["", "http://a.example/menu.png"]).media_urls == ("http://a.example/menu.png",)


def test_parts_take_the_place_of_text_and_media() -> None:
    with pytest.raises(ValueError, match="put these into a Part"):
        Reply("a", parts=[Part("b")])
