import pytest

from loadtests.crowd.answer import Message, NotTwimlError, fault_in, read_answer
from loadtests.crowd.texts import SILENCE, Due

XML = "application/xml; charset=utf-8"
TWO = (
    b'<?xml version="1.0"?><Response><Message from="12345" statusCallback="https://a/b?c=d&amp;e">'
    b"<Body>a &lt; b</Body><Media>https://a/c.png</Media></Message>"
    b'<Message from="12345">plain</Message></Response>'
)


def test_an_answer_is_read_as_twilio_reads_it() -> None:
    assert read_answer(200, XML, TWO) == (
        Message("a < b", ("https://a/c.png",), "12345", "https://a/b?c=d&e"),
        Message("plain", (), "12345", None),
    )
    assert read_answer(200, "text/xml", b"<Response/>") == ()


@pytest.mark.parametrize(
    ("status", "content_type", "body", "why"),
    [
        (502, XML, b"", "status 502"),
        (200, "text/plain", b"<Response/>", "sent as text/plain"),
        (200, "", b"<Response/>", "sent as nothing"),
        (200, XML, b"<Response>", "not XML"),
        (200, XML, b"<html/>", "not a <Response>"),
        (200, XML, b"<Response><Say/></Response>", "not a <Response>"),
    ],
    ids=["status", "plain", "untyped", "broken", "other", "verb"],
)
def test_what_twilio_would_not_take_is_told(status: int, content_type: str, body: bytes, why: str) -> None:
    with pytest.raises(NotTwimlError, match=why):
        read_answer(status, content_type, body)


def message(body: str = "Hello.", sender: str = "12345", media: tuple[str, ...] = ()) -> Message:
    return Message(body, media, sender, None)


@pytest.mark.parametrize(
    ("messages", "due", "fault"),
    [
        ((message(),), Due.of("Hello."), None),
        ((), SILENCE, None),
        ((message("Your ticket is 1f."),), Due(("Your ticket is [0-9a-f]+[.]",)), None),
        ((message("Hello!"),), Due.of("Hello."), "'Hello!' where"),
        ((message(),), SILENCE, "silence is due"),
        ((), Due.of("Hello."), "silence where"),
        ((message(sender="+18885550100"),), Due.of("Hello."), "from +18885550100 where 12345"),
        ((message(),), Due.of("Hello.", media=("a",)), "pictures"),
        ((message(), message()), Due.of("Hello."), "where Hello"),
    ],
    ids=["right", "silent", "pattern", "text", "talking", "mute", "sender", "picture", "twice"],
)
def test_an_answer_is_held_against_what_is_due(
    messages: tuple[Message, ...], due: Due, fault: str | None
) -> None:
    found = fault_in(messages, due, "12345")
    assert found is None if fault is None else fault in (found or "")


def test_any_sender_is_right_where_that_is_open() -> None:
    assert fault_in((message(sender="+18885550100"),), Due.of("Hello."), None) is None
