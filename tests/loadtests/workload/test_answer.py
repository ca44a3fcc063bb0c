import pytest

from loadtests.workload.answer import InvalidAnswerError, Message, find_fault, parse_answer
from loadtests.workload.texts import NO_REPLY, ExpectedReply

XML = "application/xml; charset=utf-8"
TWO = (
    b'<?xml version="1.0"?><Response><Message from="12345" statusCallback="https://a/b?c=d&amp;e">'
    b"<Body>a &lt; b</Body><Media>https://a/c.png</Media></Message>"
    b'<Message from="12345">plain</Message></Response>'
)


def test_an_answer_is_parsed_as_twilio_parses_it() -> None:
    assert parse_answer(200, XML, TWO) == (
        Message("a < b", ("https://a/c.png",), "12345", "https://a/b?c=d&e"),
        Message("plain", (), "12345", None),
    )
    assert parse_answer(200, "text/xml", b"<Response/>") == ()


@pytest.mark.parametrize(
    ("status", "content_type", "body", "why"),
    [
        (502, XML, b"", "status 502"),
        (200, "text/plain", b"<Response/>", "content type is text/plain"),
        (200, "", b"<Response/>", "content type is missing"),
        (200, XML, b"<Response>", "not XML"),
        (200, XML, b"<html/>", "not a <Response>"),
        (200, XML, b"<Response><Say/></Response>", "not a <Response>"),
    ],
    ids=["status", "plain", "untyped", "broken", "other", "verb"],
)
def test_an_answer_that_twilio_refuses_is_an_error(
    status: int, content_type: str, body: bytes, why: str
) -> None:
    with pytest.raises(InvalidAnswerError, match=why):
        parse_answer(status, content_type, body)


def message(body: str = "Hello.", sender: str = "12345", media: tuple[str, ...] = ()) -> Message:
    return Message(body, media, sender, None)


@pytest.mark.parametrize(
    ("messages", "expected", "fault"),
    [
        ((message(),), ExpectedReply.of("Hello."), None),
        ((), NO_REPLY, None),
        ((message("Your ticket is 1f."),), ExpectedReply(("Your ticket is [0-9a-f]+[.]",)), None),
        ((message("Hello!"),), ExpectedReply.of("Hello."), "'Hello!', expected Hello"),
        ((message(),), NO_REPLY, "expected no reply"),
        ((), ExpectedReply.of("Hello."), "no reply, expected Hello"),
        ((message(sender="+18885550100"),), ExpectedReply.of("Hello."), "from +18885550100, expected 12345"),
        ((message(),), ExpectedReply.of("Hello.", media=("a",)), "media"),
        ((message(), message()), ExpectedReply.of("Hello."), "expected Hello"),
    ],
    ids=["right", "no reply", "pattern", "text", "unexpected", "missing", "sender", "media", "twice"],
)
def test_the_first_difference_from_the_expected_reply_is_returned(
    messages: tuple[Message, ...], expected: ExpectedReply, fault: str | None
) -> None:
    difference = find_fault(messages, expected, "12345")
    assert difference is None if fault is None else fault in (difference or "")


def test_any_sender_is_right_if_none_is_expected() -> None:
    assert find_fault((message(sender="+18885550100"),), ExpectedReply.of("Hello."), None) is None
