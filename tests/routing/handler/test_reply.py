"""Replies: their texts and media, and the arguments that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from sms_router import Part, Reply, keyword, step
from sms_router.routing.handler.reply import SILENCE, ReplyFailed


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
    assert reply.is_silent is (not texts and not media)


def test_silence_sends_nothing() -> None:
    assert SILENCE.is_silent


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"text": 5}, "text is a str or a list of str, not 5"),
        ({"text": b"bytes"}, "text is"),
        ({"text": ["one", None]}, "text is"),
        ({"text": (text for text in "ab")}, "text is"),
        ({"media": None}, "media is"),
        ({"media": [b"https://a.example"]}, "media is"),
        ({"sender": 12345}, "sender is a number or a name, as a str"),
        ({"parts": ["a"]}, "parts is a list of Part"),
        ({"parts": Part("a")}, "parts is a list of Part"),
        ({"notes": "a"}, "notes is a list of str"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Reply(**arguments)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"text": ["a"]}, "Part: text is a str"),
        ({"media": 5}, "Part: media is"),
        ({"sender": 5}, "Part: sender is a number"),
        ({"to": 5}, "Part: to is a number"),
    ],
)
def test_an_argument_of_the_wrong_type_in_a_part_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        Part(**arguments)


def test_the_number_of_another_contact_is_checked_where_it_is_written() -> None:
    assert Part("Hi", to="+1 (415) 555-0123").to == "+14155550123"
    with pytest.raises(ValueError, match="'nobody' is not a number"):
        Part("Hi", to="nobody")


@pytest.mark.parametrize("kind", [Reply, Part])
@pytest.mark.parametrize(
    "media", ["menu.png", "ftp://a.example/menu.png", "https:///menu.png", "https://a b"]
)
def test_media_that_twilio_cannot_fetch_are_refused(kind: type[Reply | Part], media: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: media is a URL that begins with https://, not"):
        kind("Menu", media=["https://a.example/menu.png", media])
    assert kind("Menu", media=["", "http://a.example/menu.png"]).media_urls == ("http://a.example/menu.png",)


def test_parts_beside_a_text_are_refused() -> None:
    with pytest.raises(ValueError, match="put them into a Part"):
        Reply("a", parts=[Part("b")])


@step("size")
def size() -> None: ...


@keyword("ORDER")
def order() -> None: ...


def test_the_next_step_is_given_by_its_name_or_its_function() -> None:
    assert Reply("?", then="size").next_step == "size"
    assert Reply("?", then=size).next_step == "size"
    assert Reply("?").next_step is None
    with pytest.raises(TypeError, match="a function below @step"):
        Reply("?", then=order)


def test_a_failure_masks_the_numbers_in_its_cause() -> None:
    failed = ReplyFailed("no account for (415) 555-7788 at https://example.com/?From=%2B14155557788")
    assert failed.cause == "no account for 415•••88 at https://example.com/?From=+1415•••7788"
