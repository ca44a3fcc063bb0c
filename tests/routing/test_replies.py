"""What a handler answers."""

from __future__ import annotations

from typing import Any

import pytest

from app import Reply
from app.routing.replies import SILENCE


@pytest.mark.parametrize(
    ("reply", "texts", "media"),
    [
        (Reply(), (), ()),
        (Reply(""), (), ()),
        (Reply("one"), ("one",), ()),
        (Reply(["one", "", "two"]), ("one", "two"), ()),
        (Reply(("one",), media="https://a.example/b.png"), ("one",), ("https://a.example/b.png",)),
        (Reply(media=["https://a.example/b.png", ""]), (), ("https://a.example/b.png",)),
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
    ],
)
def test_what_is_not_text_is_refused_where_it_is_written(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Reply(**arguments)
