"""TwiML of other applications: its verbs, or why it cannot be executed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse

from sms_router.twilio.twiml import OutboundMessage, render
from sms_router.twilio.twiml_parser import (
    Document,
    HttpPage,
    Redirect,
    SendMessage,
    TwimlError,
    parse_response,
    parse_twiml,
)


def messages(inner: str) -> tuple[SendMessage, ...]:
    document = parse_twiml(f"<Response>{inner}</Response>".encode())
    assert isinstance(document, Document)
    return document.messages


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ("<Message>Hi</Message>", SendMessage("Hi")),
        ("<Message>\n  Hi\n  there\n</Message>", SendMessage("Hi\n  there")),
        ("<Message><Body>Hi</Body></Message>", SendMessage("Hi")),
        ("<Message>\n <Body>a </Body>\n <Body>b</Body>\n</Message>", SendMessage("a b")),
        ("<Message>a<Media>https://x/y</Media>b</Message>", SendMessage("ab", ("https://x/y",))),
        ("<Message><Media> u </Media><Media/><Media>v</Media></Message>", SendMessage("", ("u", "v"))),
        (
            '<Message to="+14155550123" from="12345">a</Message>',
            SendMessage("a", (), "+14155550123", "12345"),
        ),
        ('<Message to="" from="">a</Message>', SendMessage("a")),
        ("<Message>a &amp; &#169; &lt;b&gt; <!-- no --></Message>", SendMessage("a & © <b>")),
        ("<Message/>", SendMessage("")),
        ("<Sms>Hi</Sms>", SendMessage("Hi")),
        (
            '<Sms to="+14155550123" from="12345"><Body>a</Body></Sms>',
            SendMessage("a", (), "+14155550123", "12345"),
        ),
    ],
)
def test_a_message_verb_is_parsed(inner: str, message: SendMessage) -> None:
    assert messages(inner) == (message,)


def test_verbs_after_a_redirect_are_ignored() -> None:
    inner = '<Message>a</Message><Redirect method="GET"> /next </Redirect><Message>b</Message><Say/>'
    document = parse_twiml(f"<Response>{inner}</Response>".encode())
    assert document == Document((SendMessage("a"),), Redirect("/next", "GET"))


@pytest.mark.parametrize(
    ("inner", "warning"),
    [
        ("<Say>a</Say>", "<Say> is no messaging verb"),
        ("<message>a</message>", "<message> is no messaging verb"),
        ("<Message><body>a</body></Message>", "<body> in <Message> is unknown"),
        ('<Message statusCallback="/x">a</Message>', "statusCallback of <Message> is ignored"),
        ('<Redirect method="PUT">/x</Redirect>', "the method PUT of <Redirect>"),
    ],
)
def test_what_is_ignored_is_a_warning(inner: str, warning: str) -> None:
    document = parse_twiml(f"<Response>{inner}</Response>".encode())
    assert isinstance(document, Document)
    assert document.warnings[0].startswith(warning)


def test_verbs_that_are_not_of_messaging_are_listed() -> None:
    document = parse_twiml(b"<Response><Say>a</Say><Message>b</Message><sms>c</sms></Response>")
    assert isinstance(document, Document)
    assert (document.messages, document.ignored_verbs) == ((SendMessage("b"),), ("Say", "sms"))


BOMB = b'<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><Response><Message>&b;</Message></Response>'
OUTSIDE = b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><Response><Message>&a;</Message></Response>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Response>", 12100),
        (b"hello", 12100),
        (b"<Response>\x00</Response>", 12100),
        (b"<Response>\xff</Response>", 12100),
        (b"<Response>&nbsp;</Response>", 12100),
        (b'<?xml version="1.0" encoding="nonsense"?><Response/>', 12100),
        (b'<?xml version="1.1"?><Response/>', 12101),
        (BOMB, 12100),
        (OUTSIDE, 12100),
        (b"<response/>", 12102),
        (b'<Response xmlns="urn:x"/>', 12102),
        (b"<html/>", 12102),
    ],
)
def test_an_invalid_document_has_twilios_error_code(body: bytes, code: int) -> None:
    error = parse_twiml(body)
    assert isinstance(error, TwimlError)
    assert error.code == code


LATIN = "<Response><Message>ü</Message></Response>".encode("latin-1")
DECLARED = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + LATIN


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (LATIN, "iso-8859-1"),
        (DECLARED, None),
        (DECLARED, "utf-8"),
        (LATIN.decode("latin-1").encode(), "nonsense"),
    ],
)
def test_the_declared_encoding_takes_precedence_over_the_charset(body: bytes, charset: str | None) -> None:
    assert parse_twiml(body, charset) == Document((SendMessage("ü"),))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (HttpPage(204, "", None, b""), Document()),
        (HttpPage(200, "text/plain", None, b" ok \n"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/plain", "utf-16", "ü".encode("utf-16")), Document((SendMessage("ü"),))),
        (HttpPage(200, "text/plain", None, b"\n"), Document()),
        (HttpPage(200, "text/plain", "shift_jis", "ア".encode("shift_jis")), Document((SendMessage("ア"),))),
        (HttpPage(200, "text/plain", "idna", b"ok"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/plain", "undefined", b"ok"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/plain", "unicode-escape", rb"\ud800"), Document((SendMessage(r"\ud800"),))),
        (HttpPage(200, "text/plain", "rot13", b"ok"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/plain", "a\0", b"ok"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/plain", "\udc80", b"ok"), Document((SendMessage("ok"),))),
        (HttpPage(200, "text/html", None, b"<Response/>"), Document()),
        (HttpPage(200, "application/xml", None, b""), 11770),
        (HttpPage(200, "", None, b"<Response/>"), 11200),
        (HttpPage(200, "application/json", None, b"{}"), 12300),
    ],
)
def test_a_page_is_parsed_by_its_status_and_content_type(page: HttpPage, expected: Document | int) -> None:
    result = parse_response(page)
    assert (result.code if isinstance(result, TwimlError) else result) == expected


def test_documents_of_twilios_library_are_parsed() -> None:
    response = MessagingResponse()
    response.message("text").media("https://a.example/b.png")
    response.message(to="+14155550123", from_="12345").body("<&>")
    assert messages(str(response).partition("<Response>")[2].removesuffix("</Response>")) == (
        SendMessage("text", ("https://a.example/b.png",)),
        SendMessage("<&>", (), "+14155550123", "12345"),
    )


def test_a_page_is_not_decoded_with_a_quadratic_codec() -> None:
    assert parse_response(HttpPage(200, "text/plain", "punycode", b"a-" + b"b9" * 20)) == Document(
        (SendMessage("a-" + "b9" * 20),)
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    assert isinstance(parse_twiml(b"<Response>" + body), Document | TwimlError)
    assert isinstance(parse_response(HttpPage(200, "text/plain", "utf-8", body)), Document | TwimlError)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
)
def test_a_document_of_the_router_is_parsed_to_the_same_text(text: str) -> None:
    document = parse_twiml(render([OutboundMessage(text[:500], sender="12345")]))
    assert isinstance(document, Document)
    assert [message.body for message in document.messages] == (
        [text[:500].strip()] if text[:500].strip() else []
    )
