from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sms_router.twilio.inbound import (
    LONGEST_ADDRESS,
    REQUIRED,
    InboundMessage,
    InvalidWebhook,
    Media,
    read_inbound,
)

SID = "SM" + "0123456789abcdefABCDEF0123456789"
ACCOUNT = "AC" + "f" * 32
SMALLEST = {"MessageSid": SID, "AccountSid": ACCOUNT, "From": "+14155550100", "To": "12345"}


def message(**parameters: str) -> InboundMessage:
    read = read_inbound({**SMALLEST, **parameters})
    assert isinstance(read, InboundMessage)
    return read


def test_the_smallest_request_is_a_message() -> None:
    smallest = message()
    assert (smallest.sid, smallest.account_sid) == (SID, ACCOUNT)
    assert (smallest.sender, smallest.recipient) == ("+14155550100", "12345")
    assert (smallest.body, smallest.words, smallest.media, smallest.segments) == ("", (), (), 1)
    assert smallest.service_sid is None
    assert smallest.from_country is None
    assert smallest.from_city is None
    assert smallest.opt_out_type is None
    assert smallest.parameters == SMALLEST


def test_a_full_request_is_read_whole() -> None:
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
def test_every_kind_of_sender_is_read(sender: str) -> None:
    assert message(From=sender).sender == sender


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    ("value", "words"), [(None, "is missing"), ("", "is missing"), ("x" * 321, "is longer than")]
)
def test_a_missing_or_endless_required_parameter_is_named(name: str, value: str | None, words: str) -> None:
    parameters = {one: text for one, text in SMALLEST.items() if one != name}
    if value is not None:
        parameters[name] = value
    read = read_inbound(parameters)
    assert isinstance(read, InvalidWebhook)
    assert read.reason.startswith(f"{name} {words}")


def test_the_longest_address_is_still_read() -> None:
    assert len(message(From="x" * LONGEST_ADDRESS).sender) == LONGEST_ADDRESS


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
def test_sids_that_twilio_would_not_make_are_refused(name: str, value: str) -> None:
    read = read_inbound({**SMALLEST, name: value})
    assert isinstance(read, InvalidWebhook)
    assert read.reason.startswith(name)
    assert value not in read.reason


def test_a_picture_message_has_its_own_sid_prefix() -> None:
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
def test_media_come_in_their_order(parameters: dict[str, str], media: tuple[Media, ...]) -> None:
    assert message(**parameters).media == media


def test_no_more_than_ten_media_are_read_whatever_is_claimed() -> None:
    urls = {f"MediaUrl{index}": f"https://example.com/{index}" for index in range(20)}
    assert len(message(NumMedia="999999999", **urls).media) == 10


@pytest.mark.parametrize(
    ("claimed", "segments"),
    [("1", 1), ("10", 10), ("0", 1), ("", 1), ("x", 1), ("-2", 1), ("9" * 5000, 1), ("٣", 1)],
)
def test_segments_are_a_count_of_at_least_one(claimed: str, segments: int) -> None:
    assert message(NumSegments=claimed).segments == segments


@pytest.mark.parametrize("name", ["FromCountry", "FromCity", "OptOutType", "MessagingServiceSid"])
def test_what_twilio_sends_empty_counts_as_absent(name: str) -> None:
    read = message(**{name: ""})
    assert (read.from_country, read.from_city, read.opt_out_type, read.service_sid) == (None,) * 4


def test_a_message_does_not_change_with_the_parameters_it_came_from() -> None:
    parameters = dict(SMALLEST)
    read = read_inbound(parameters)
    parameters["Body"] = "changed"
    assert isinstance(read, InboundMessage)
    assert "Body" not in read.parameters


names = (
    st.sampled_from([*REQUIRED, "Body", "NumMedia", "NumSegments", "MediaUrl0", "FromCountry"]) | st.text()
)


@given(st.dictionaries(names, st.text(max_size=40) | st.sampled_from([SID, ACCOUNT])))
@settings(max_examples=200)
def test_any_parameters_are_a_message_or_a_reason(parameters: dict[str, str]) -> None:
    read = read_inbound(parameters)
    if isinstance(read, InvalidWebhook):
        assert read.reason
    else:
        assert read.parameters == parameters
        assert read.segments >= 1
        assert len(read.media) <= 10


@given(st.dictionaries(names.filter(lambda name: name not in REQUIRED), st.text(max_size=40)))
@settings(max_examples=100)
def test_no_other_parameter_makes_a_message_unreadable(parameters: dict[str, str]) -> None:
    read = read_inbound({**parameters, **SMALLEST})
    assert isinstance(read, InboundMessage)
    assert read.body == parameters.get("Body", "")
    assert "".join(read.words) == "".join(read.body.split())
