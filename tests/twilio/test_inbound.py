"""The parameters of an inbound webhook: a message, or the reason why there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.twilio.inbound import (
    InboundMessage,
    InvalidWebhook,
    Media,
    parse_inbound,
    parse_stored_request,
)

SID = "SM" + "0123456789abcdefABCDEF0123456789"
ACCOUNT = "AC" + "f" * 32
REQUIRED = ("MessageSid", "AccountSid", "From", "To")
SMALLEST = {"MessageSid": SID, "AccountSid": ACCOUNT, "From": "+14155550100", "To": "12345"}


def message(**parameters: str) -> InboundMessage:
    parsed = parse_inbound({**SMALLEST, **parameters})
    assert isinstance(parsed, InboundMessage)
    return parsed


def test_the_required_parameters_are_a_message() -> None:
    smallest = message()
    assert (smallest.sid, smallest.account_sid) == (SID, ACCOUNT)
    assert (smallest.sender, smallest.recipient) == ("+14155550100", "12345")
    assert (smallest.body, smallest.words, smallest.media, smallest.segments) == ("", (), (), 1)
    assert smallest.service_sid is None
    assert smallest.from_country is None
    assert smallest.from_city is None
    assert smallest.opt_out_type is None
    assert smallest.parameters == SMALLEST


def test_every_parameter_is_kept() -> None:
    full = message(
        MessagingServiceSid="MG" + "0" * 32,
        Body="  Hours  please\n",
        NumSegments="3",
        FromCountry="CA",
        FromCity="TORONTO",
        OptOutType="STOP",
        SomethingNew="kept",
    )
    assert full.service_sid == "MG" + "0" * 32
    assert full.body == "  Hours  please\n"
    assert full.words == ("Hours", "please")
    assert full.segments == 3
    assert (full.from_country, full.from_city, full.opt_out_type) == ("CA", "TORONTO", "STOP")
    assert full.parameters["SomethingNew"] == "kept"


@pytest.mark.parametrize(
    "sender",
    ["+14155550100", "12345", "123", "12345678", "ACME Shop", "whatsapp:+14155550100", "Anonymous"],
)
def test_every_kind_of_sender_is_accepted(sender: str) -> None:
    assert message(From=sender).sender == sender


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    ("value", "reason"), [(None, "is missing"), ("", "is missing"), ("x" * 321, "is longer than")]
)
def test_a_missing_or_too_long_required_parameter_is_named(name: str, value: str | None, reason: str) -> None:
    parameters = {one: text for one, text in SMALLEST.items() if one != name}
    if value is not None:
        parameters[name] = value
    parsed = parse_inbound(parameters)
    assert isinstance(parsed, InvalidWebhook)
    assert parsed.reason.startswith(f"{name} {reason}")


def test_an_address_of_320_characters_is_accepted() -> None:
    assert message(From="x" * 320).sender == "x" * 320


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MessageSid", "SM123"),
        ("MessageSid", "XX" + SID[2:]),
        ("MessageSid", SID + "0"),
        ("MessageSid", SID + "\n"),
        ("MessageSid", "SM" + "g" * 32),
        ("MessageSid", "SM" + "٣" * 32),
        ("AccountSid", "AC" + "0" * 31),
        ("AccountSid", "SM" + "0" * 32),
        ("AccountSid", ACCOUNT + "}"),
    ],
)
def test_an_invalid_sid_is_refused(name: str, value: str) -> None:
    parsed = parse_inbound({**SMALLEST, name: value})
    assert isinstance(parsed, InvalidWebhook)
    assert parsed.reason.startswith(name)
    assert value not in parsed.reason


def test_the_sid_of_an_mms_is_accepted() -> None:
    assert message(MessageSid="MM" + SID[2:]).sid.startswith("MM")


@pytest.mark.parametrize(
    ("parameters", "media"),
    [
        ({"NumMedia": "0", "MediaUrl0": "https://a"}, ()),
        ({"MediaUrl0": "https://a"}, ()),
        ({"NumMedia": "1", "MediaUrl0": "https://a", "MediaContentType0": "image/png"},
         (Media("https://a", "image/png"),)),
        ({"NumMedia": "2", "MediaUrl1": "https://b", "MediaUrl0": "https://a"},
         (Media("https://a", ""), Media("https://b", ""))),
        ({"NumMedia": "3", "MediaUrl0": "https://a", "MediaUrl2": "https://c"},
         (Media("https://a", ""), Media("https://c", ""))),
        ({"NumMedia": "1", "MediaUrl0": ""}, ()),
        ({"NumMedia": "-1", "MediaUrl0": "https://a"}, ()),
        ({"NumMedia": "one", "MediaUrl0": "https://a"}, ()),
        ({"NumMedia": "²", "MediaUrl0": "https://a"}, ()),
    ],
)  # fmt: skip
def test_media_are_in_twilios_order(parameters: dict[str, str], media: tuple[Media, ...]) -> None:
    assert message(**parameters).media == media


def test_no_more_than_ten_media_are_returned() -> None:
    urls = {f"MediaUrl{index}": f"https://example.com/{index}" for index in range(20)}
    assert len(message(NumMedia="999999999", **urls).media) == 10


@pytest.mark.parametrize(
    ("value", "segments"),
    [("1", 1), ("10", 10), ("0", 1), ("", 1), ("x", 1), ("-2", 1), ("9" * 5000, 1), ("٣", 1)],
)
def test_segments_are_at_least_one(value: str, segments: int) -> None:
    assert message(NumSegments=value).segments == segments


@pytest.mark.parametrize("name", ["FromCountry", "FromCity", "OptOutType", "MessagingServiceSid"])
def test_an_empty_parameter_counts_as_missing(name: str) -> None:
    parsed = message(**{name: ""})
    assert (parsed.from_country, parsed.from_city, parsed.opt_out_type, parsed.service_sid) == (None,) * 4


def test_a_message_has_a_copy_of_the_parameters() -> None:
    parameters = dict(SMALLEST)
    parsed = parse_inbound(parameters)
    parameters["Body"] = "changed"
    assert isinstance(parsed, InboundMessage)
    assert "Body" not in parsed.parameters


names = (
    st.sampled_from([*REQUIRED, "Body", "NumMedia", "NumSegments", "MediaUrl0", "FromCountry"]) | st.text()
)


@given(st.dictionaries(names, st.text(max_size=40) | st.sampled_from([SID, ACCOUNT])))
def test_any_parameters_are_a_message_or_a_reason(parameters: dict[str, str]) -> None:
    parsed = parse_inbound(parameters)
    if isinstance(parsed, InvalidWebhook):
        assert parsed.reason
    else:
        assert parsed.parameters == parameters
        assert parsed.segments >= 1
        assert len(parsed.media) <= 10


@given(st.dictionaries(names.filter(lambda name: name not in REQUIRED), st.text(max_size=40)))
def test_no_optional_parameter_makes_a_message_invalid(parameters: dict[str, str]) -> None:
    parsed = parse_inbound({**parameters, **SMALLEST})
    assert isinstance(parsed, InboundMessage)
    assert parsed.body == parameters.get("Body", "")
    assert "".join(parsed.words) == "".join(parsed.body.split())


@pytest.mark.parametrize(
    ("sender", "contact"),
    [
        ("+14155550100", "+14155550100"),
        ("rcs:+14155550100", "+14155550100"),
        ("whatsapp:+14155550100", "whatsapp:+14155550100"),
        ("rcs", "rcs"),
    ],
)
def test_the_contact_of_an_rcs_message_is_its_number(sender: str, contact: str) -> None:
    message = parse_inbound({**SMALLEST, "From": sender})
    assert isinstance(message, InboundMessage)
    assert message.contact == contact


@pytest.mark.parametrize(
    ("text", "segments"),
    [("3", 3), ("999999999", 999_999_999), ("1000000000", 1), ("-1", 1), ("٣", 1), ("", 1)],
)
def test_a_count_has_at_most_nine_digits(text: str, segments: int) -> None:
    message = parse_inbound({**SMALLEST, "NumSegments": text})
    assert isinstance(message, InboundMessage)
    assert message.segments == segments


def test_a_stored_request_is_parsed_again() -> None:
    form = f"MessageSid={SID}&AccountSid={ACCOUNT}&From=%2B14155550100&To=12345&Body=Hi".encode()
    assert parse_stored_request(form) == parse_inbound({**SMALLEST, "Body": "Hi"})
    assert parse_stored_request(form.replace(b"&To=", b"&Too=")) is None
    assert parse_stored_request(form + b"&Body=%ff") is None
