"""Addresses as people write them, and the contacts that they belong to."""

from __future__ import annotations

import pytest

from sms_router.twilio.phone_numbers import (
    InvalidNumberError,
    contact_of,
    find_machine,
    parse_address,
    parse_contact,
)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("+14155550123", "+14155550123"),
        (" +1 (415) 555-0123 ", "+14155550123"),
        ("+1.415.555.0123", "+14155550123"),
        ("+1 415/555\u20110123", "+14155550123"),
        ("\u202a+1\u00a0415\u00a0555\u00a00123\u202c", "+14155550123"),
        ("\uff0b\uff11\uff14155550123", "+14155550123"),
        ("+\u0669\u0666\u0666 50 123 4567", "+966501234567"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("12345", "12345"),
        ("rcs:+1 (415) 555-0123", "rcs:+14155550123"),
        ("WhatsApp: +1 415 555 0123", "whatsapp:+14155550123"),
        ("messenger:2048", "messenger:2048"),
        ("rcs:acme_agent", "rcs:acme_agent"),
    ],
)
def test_numbers_are_parsed_as_people_write_them(written: str, address: str) -> None:
    assert parse_address(written) == address


@pytest.mark.parametrize(
    "written",
    [
        "",
        "",
        "banana",
        "foo",
        "+",
        "+0123456789",
        "+1415",
        "+1 415 555 CALL",
        "415-555-0123",
        "(415) 555 0123",
        "+14155550123 x5",
        "14155550123\n    ",
        "+1234567890123456",
        "sms:+14155550123",
        "whatsapp:banana",
        "messenger:",
        "whatsapp:12345",
        "12 345",
        "12\n    ",
        "+14155550123,+14155550124",
    ],
)
def test_what_is_no_number_is_refused_with_one_sentence(written: str) -> None:
    for parse in (parse_address, parse_contact):
        with pytest.raises(InvalidNumberError) as refused:
            parse(written)
        sentence = f"{written!r} is not a number: write it with its country code, like +14155550123"
        assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("written", "contact"),
    [
        ("+1 (415) 555-0123", "+14155550123"),
        ("rcs:+14155550123", "+14155550123"),
        ("WhatsApp:+1 415 555 0123", "whatsapp:+14155550123"),
        ("messenger:2048", "messenger:2048"),
    ],
)
def test_a_contact_is_parsed_as_people_write_it(written: str, contact: str) -> None:
    assert parse_contact(written) == contact


def test_forty_characters_of_what_is_no_number_are_repeated() -> None:
    assert str(InvalidNumberError("x" * 41)).startswith(f"'{'x' * 40}' is not a number")


@pytest.mark.parametrize("written", ["12345", "rcs:acme_agent"])
def test_our_senders_are_no_contacts(written: str) -> None:
    with pytest.raises(InvalidNumberError):
        parse_contact(written)


@pytest.mark.parametrize(
    ("address", "contact"),
    [
        ("+14155550123", "+14155550123"),
        ("rcs:+14155550123", "+14155550123"),
        ("whatsapp:+14155550123", "whatsapp:+14155550123"),
        ("messenger:2048", "messenger:2048"),
        ("12345", "12345"),
    ],
)
def test_sms_and_rcs_of_a_number_are_one_contact(address: str, contact: str) -> None:
    assert contact_of(address) == contact


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        ("+14155550100", None),
        ("+1234567", None),
        ("123456789", None),
        ("whatsapp:+1", None),
        ("+266696687", "it comes from an anonymous sender"),
        ("266696687", "it comes from an anonymous sender"),
        ("Anonymous", "it comes from an anonymous sender"),
        ("12345678", "it comes from the short code 12345678, which cannot be texted (21265)"),
        ("12345", "it comes from the short code 12345, which cannot be texted (21265)"),
        ("+123456", "it comes from the short code +123456, which cannot be texted (21265)"),
        ("ACME", "it comes from the name ACME, which cannot be texted (21211)"),
        ("A" * 30, f"it comes from the name {'A' * 20}, which cannot be texted (21211)"),
    ],
)
def test_a_machine_is_known_by_its_address(contact: str, reason: str | None) -> None:
    assert find_machine(contact) == reason
