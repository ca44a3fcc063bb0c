"""Any messages are rendered as well-formed TwiML within Twilio's limits."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from sms_router.twilio.twiml import (
    EMPTY,
    OutboundMessage,
    parse_own,
    remove_forbidden,
    render,
)

STATUS_URL = "https://sms.example.com/sms/status?reply=01&part=2"
IMAGE = "https://example.com/menu.png?size=1&kind=a"


def test_no_messages_are_an_empty_response() -> None:
    assert EMPTY == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert render([]) is EMPTY


@pytest.mark.parametrize("body", ["", "   ", "\n", "\x00\x07", "\ud800"])
def test_an_empty_message_is_left_out(body: str) -> None:
    assert render([OutboundMessage(body), OutboundMessage(body, media=("",))]) == render([])
    assert _bodies(render([OutboundMessage(body), OutboundMessage("Hello")])) == ["Hello"]


def test_a_short_reply_is_one_message() -> None:
    assert render([OutboundMessage("Hello", sender="12345")]) == (
        b'<?xml version="1.0" encoding="UTF-8"?>'
        b'<Response><Message from="12345"><Body>Hello</Body></Message></Response>'
    )


def test_both_callback_attributes_have_the_same_url() -> None:
    message = _messages(render([OutboundMessage("Hello", status_url=STATUS_URL)]))[0]
    assert message.attrib == {"statusCallback": f"{STATUS_URL}.0", "action": f"{STATUS_URL}.0"}


@pytest.mark.parametrize(
    "text",
    [
        "a < b & c > d",
        "]]>",
        "<Redirect>https://evil.example</Redirect>",
        "&amp; is not &",
        "she said \"yes\" and 'no'",
        "two\nlines\tand a tab",
        "carriage\r\nreturn",
        "¿Qué tal? สวัสดี বাংলা مرحبا 你好",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\ufffd stays",
    ],
)
def test_a_text_is_escaped(text: str) -> None:
    assert _bodies(render([OutboundMessage(text)])) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nul\x00l", "null"),
        ("form\x0cfeed\x0b", "formfeed"),
        ("half\ud83d an emoji", "half an emoji"),
        ("\ufffenot\uffff characters", "not characters"),
        ("\x7fdelete is legal", "\x7fdelete is legal"),
    ],
)
def test_characters_that_xml_excludes_are_removed(text: str, expected: str) -> None:
    assert _bodies(render([OutboundMessage(text)])) == [expected]


def test_attributes_and_media_are_escaped() -> None:
    odd = 'https://example.com/?a=1&b="<2>"\'\n\t\x00'
    message = _messages(render([OutboundMessage("Hello", (odd,), sender=odd, status_url=odd)]))[0]
    clean = odd.removesuffix("\x00")
    assert message.attrib == {"from": clean, "statusCallback": f"{clean}.0", "action": f"{clean}.0"}
    assert message.findtext("Media") == clean


def test_a_long_text_is_several_messages_and_the_first_has_the_media() -> None:
    rendered = render([OutboundMessage("word " * 700, (IMAGE,), "12345", STATUS_URL)])
    messages = _messages(rendered)
    assert [len(message.findall("Media")) for message in messages] == [1, 0, 0]
    assert {message.get("from") for message in messages} == {"12345"}
    assert " ".join(_bodies(rendered)).split() == ["word"] * 700


def test_media_beyond_ten_continue_in_further_messages() -> None:
    pictures = tuple(f"https://example.com/{number}.png" for number in range(23))
    rendered = render([OutboundMessage("Pictures", pictures)])
    batches = [[item.text for item in message.findall("Media")] for message in _messages(rendered)]
    assert [len(batch) for batch in batches] == [10, 10, 3]
    assert [url for batch in batches for url in batch] == list(pictures)
    assert _bodies(rendered) == ["Pictures"]


@pytest.mark.parametrize(
    ("messages", "count"),
    [
        ([OutboundMessage("word " * 10_000)], 10),
        ([OutboundMessage(f"message {number}") for number in range(11)], 10),
        ([OutboundMessage("x" * 100_000)], 10),
        ([OutboundMessage("&" * 100_000)], 7),
        ([OutboundMessage("水" * 100_000)], 10),
    ],
)
def test_what_does_not_fit_is_cut_with_an_ellipsis(messages: list[OutboundMessage], count: int) -> None:
    rendered = render(messages)
    assert len(_messages(rendered)) == count
    *others, last = _bodies(rendered)
    assert last.endswith("...")
    assert not any(body.endswith("...") for body in others)
    assert len(last) <= 1600


def test_ten_messages_are_not_cut() -> None:
    rendered = render([OutboundMessage(f"message {number}") for number in range(10)])
    assert _bodies(rendered)[-1] == "message 9"


def test_media_that_do_not_fit_are_left_out() -> None:
    rendered = render([OutboundMessage("Hello", ("https://example.com/" + "x" * 70_000,))])
    assert _bodies(rendered) == ["Hello"]


def test_messages_that_cannot_fit_are_an_empty_response() -> None:
    assert render([OutboundMessage("Hello", sender="1" * 70_000)]) is EMPTY
    assert render([OutboundMessage("", media=("x" * 70_000,))]) is EMPTY


@given(
    st.lists(
        st.builds(
            OutboundMessage,
            body=st.text(max_size=300),
            media=st.lists(st.text(max_size=20), max_size=12).map(tuple),
            sender=st.none() | st.text(max_size=12),
            status_url=st.none() | st.text(max_size=40),
        ),
        max_size=4,
    )
)
def test_any_reply_is_a_well_formed_document_with_the_same_texts(messages: list[OutboundMessage]) -> None:
    rendered = render(messages)
    cleaned = [_allowed(message.body) for message in messages]
    assert _bodies(rendered) == [body for body in cleaned if body.strip()]


@given(st.text(st.characters(codec=None), min_size=1500, max_size=4000))
def test_only_white_space_of_a_long_text_is_removed(text: str) -> None:
    bodies = _bodies(render([OutboundMessage(text)]))
    assert "".join("".join(bodies).split()) == "".join(_allowed(text).split())
    assert all(len(body.encode("utf-16-le")) <= 2 * 1600 for body in bodies)


@given(
    body=st.text(
        st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"]), min_size=1, max_size=100
    ),
    media=st.lists(st.just(IMAGE), max_size=3),
    sender=st.sampled_from(["12345", "+15005550006", "ACME & Co"]),
)
def test_a_document_is_equivalent_to_that_of_twilios_library(
    body: str, media: list[str], sender: str
) -> None:
    theirs = MessagingResponse()
    url = f"{STATUS_URL}.0"
    message = theirs.message(from_=sender, status_callback=url, action=url)
    message.body(body)
    for url in media:
        message.media(url)
    ours = render([OutboundMessage(body, tuple(media), sender, STATUS_URL)])
    assert _normalized(fromstring(ours)) == _normalized(fromstring(str(theirs)))


def _messages(rendered: bytes) -> list[Element]:
    assert len(rendered) <= 64_000
    root: Element = fromstring(rendered)
    assert root.tag == "Response"
    return root.findall("Message")


def _bodies(rendered: bytes) -> list[str]:
    bodies = (message.findtext("Body") for message in _messages(rendered))
    return [body for body in bodies if body is not None]


def _allowed(text: str) -> str:
    """Return the text without the characters that https://www.w3.org/TR/xml/#charsets excludes."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", text)


def _normalized(element: Element) -> object:
    children = [_normalized(child) for child in element]
    return element.tag, element.attrib, (element.text or "").strip(), children


def test_only_the_last_message_has_an_action() -> None:
    messages = [OutboundMessage(text, status_url=STATUS_URL) for text in ("one", "two", "three")]
    elements = list(fromstring(render(messages)))
    assert [element.get("statusCallback") for element in elements] == [
        f"{STATUS_URL}.{number}" for number in range(3)
    ]
    assert [element.get("action") for element in elements] == [None, None, f"{STATUS_URL}.2"]


def test_a_document_is_read_back_as_it_was_rendered() -> None:
    messages = (
        OutboundMessage(
            "Hello & <you>", (IMAGE, "https://example.com/b.png"), "12345", recipient="+14155550100"
        ),
        OutboundMessage("Second"),
        OutboundMessage("", (IMAGE,)),
    )
    assert parse_own(render(messages)) == messages
    assert parse_own(EMPTY) == parse_own(b"") == ()


def test_messages_follow_each_other_without_anything_between() -> None:
    assert render([OutboundMessage("a"), OutboundMessage("b", recipient='"1"')]) == (
        b'<?xml version="1.0" encoding="UTF-8"?><Response><Message><Body>a</Body></Message>'
        b'<Message to="&quot;1&quot;"><Body>b</Body></Message></Response>'
    )


def test_a_text_that_needs_no_change_is_not_copied() -> None:
    text = "".join(["Hello, ", "world"])
    assert remove_forbidden(text) is text
    assert remove_forbidden("a\tb\x00") == "a\tb"


@pytest.mark.parametrize(("text", "end"), [("  " + "x" * 1700, "x" * 9 + "..."), ("word " * 400, "word...")])
def test_a_cut_text_loses_its_end_and_the_white_space_before_the_dots(text: str, end: str) -> None:
    last = _bodies(render([*(OutboundMessage(str(number)) for number in range(9)), OutboundMessage(text)]))[
        -1
    ]
    assert last.startswith(text[:6])
    assert last.endswith(end)


def test_one_message_may_be_all_that_fits() -> None:
    first, second = (
        OutboundMessage("Hello", status_url="s" * 31_000),
        OutboundMessage("x", status_url="s" * 33_000),
    )
    assert _bodies(render([first, second])) == ["Hello..."]


@pytest.mark.parametrize(("size", "has_media"), [(64_000, True), (64_001, False)])
def test_a_document_has_at_most_64_000_bytes(size: int, has_media: bool) -> None:
    rest = len(render([OutboundMessage("Hello", ("u",))])) - 1
    document = render([OutboundMessage("Hello", ("u" * (size - rest),))])
    assert (len(document) == size, b"<Body>Hello</Body>" in document) == (has_media, True)
    cut = render([OutboundMessage("Hello", ("u" * (size - rest - 3),)), OutboundMessage("x" * 900)])
    assert (len(cut) == size, b"<Body>Hello...</Body><Media>" in cut) == (has_media, has_media)


def test_media_without_a_text_stand_alone() -> None:
    assert render([OutboundMessage("", ("https://a/1", "https://a/2"))]) == (
        b'<?xml version="1.0" encoding="UTF-8"?><Response><Message><Media>https://a/1</Media>'
        b"<Media>https://a/2</Media></Message></Response>"
    )


def test_media_that_are_too_large_are_left_out_with_the_status_url() -> None:
    document = render([OutboundMessage("Hello", ("u" * 64_000,), status_url=STATUS_URL)])
    assert document == (
        b'<?xml version="1.0" encoding="UTF-8"?><Response><Message><Body>Hello</Body></Message></Response>'
    )
