import pytest

from sms_router.sandbox.webhooks.twiml import (
    InvalidTwiml,
    MessageVerb,
    RedirectVerb,
    TwimlWarning,
    Verb,
    parse_twiml,
)

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>'


@pytest.mark.parametrize(
    ("inner", "verbs"),
    [
        ("", ()),
        ("<!-- nothing -->", ()),
        ("<Message>Hello</Message>", (MessageVerb("Hello"),)),
        ("<Message><Body>Hello</Body></Message>", (MessageVerb("Hello"),)),
        ("<Message><Body>a</Body><Body>b</Body></Message>", (MessageVerb("ab"),)),
        ("<Message>\n  <Body>a &amp; b</Body>\n</Message>", (MessageVerb("a & b"),)),
        (
            "<Message>text<Media>https://x.example/a.png</Media></Message>",
            (MessageVerb("text", ("https://x.example/a.png",)),),
        ),
        ("<Message/>", (MessageVerb(""),)),
        ("<Sms>a</Sms>", (MessageVerb("a"),)),
        (
            '<Message to="+1" from="2" statusCallback="/s" action="/a" method="GET">x</Message>',
            (MessageVerb("x", (), "+1", "2", "/s", "/a", "GET"),),
        ),
        ('<Redirect method="GET"> /next </Redirect>', (RedirectVerb("/next", "GET"),)),
        ("<message>x</message>", (TwimlWarning(12200, "unknown verb <message>"),)),
        ("<Say>x</Say>", (TwimlWarning(14110, "<Say> cannot answer a message"),)),
        (
            '<Message messagingServiceSid="MG1">x</Message>',
            (TwimlWarning(12200, "unknown attribute messagingServiceSid in <Message>"), MessageVerb("x")),
        ),
        (
            '<Redirect Method="GET">/next</Redirect>',
            (TwimlWarning(12200, "unknown attribute Method in <Redirect>"), RedirectVerb("/next")),
        ),
        (
            "<Message><Text>x</Text></Message>",
            (TwimlWarning(12200, "unknown noun <Text> in <Message>"), MessageVerb("")),
        ),
    ],
)
def test_verbs_are_read_from_top_to_bottom(inner: str, verbs: tuple[Verb, ...]) -> None:
    assert parse_twiml(HEAD + f"<Response>{inner}</Response>".encode()) == verbs


def test_attributes_of_the_root_are_unknown_but_a_schema_is_ignored() -> None:
    schema = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="a.xsd"'
    assert parse_twiml(f"<Response {schema}/>".encode()) == ()
    assert parse_twiml(b'<Response to="1"/>') == (TwimlWarning(12200, "unknown attribute to in <Response>"),)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Response>", 12100),
        (b"not xml", 12100),
        (b"<Response>\x00</Response>", 12100),
        (b"<Response>\x0b</Response>", 12100),
        (b"<Response>\xff</Response>", 12100),
        (b'<?xml version="1.0" encoding="klingon"?><Response/>', 12100),
        (b'<!DOCTYPE r [<!ENTITY a "b">]><Response>&a;</Response>', 12100),
        (b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/hostname">]><Response>&a;</Response>', 12100),
        (b'<?xml version="1.1"?><Response/>', 12101),
        (b"<?xml version='2.0'?><Response/>", 12101),
        (b"<response/>", 12102),
        (b"<html/>", 12102),
    ],
)
def test_invalid_twiml_has_the_debuggers_code(body: bytes, code: int) -> None:
    document = parse_twiml(body)
    assert isinstance(document, InvalidTwiml)
    assert document.code == code
