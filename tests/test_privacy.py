"""What is left of numbers and texts where others may read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.privacy import mask_number, mask_number_in, mask_text


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("+14155550123", "+1415•••0123"),
        ("+447700900123", "+4477•••0123"),
        ("+3541234567", "+35•••67"),
        ("+2901234", "+29•••34"),
        ("4155550123", "415•••23"),
        ("whatsapp:+14155550123", "whatsapp:+1415•••0123"),
        ("messenger:1234567890123456", "messenger:12345•••3456"),
        ("12345", "12345"),
        ("12345678", "12345678"),
        ("ACME Bank", "ACME Bank"),
        ("", ""),
    ],
)
def test_a_contacts_number_is_masked_and_a_business_address_is_not(address: str, masked: str) -> None:
    assert mask_number(address) == masked


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_at_least_three_digits_are_left_out(number: str) -> None:
    shown = mask_number(number).replace("•", "")
    assert len(shown) <= max(len(number) - 3, 5)


@pytest.mark.parametrize(("text", "masked"), [("", ""), ("a", "(1 character)"), ("HOURS", "(5 characters)")])
def test_a_text_is_replaced_by_its_length(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "notation",
    [
        "+14155550123", "14155550123", "4155550123", "(415) 555-0123", "+1 (415) 555-0123", "1.415.555.0123",
        "001 415 555 0123", "415-555-0123", "415/5550123",
    ],
)  # fmt: skip
def test_a_number_is_masked_in_any_notation(notation: str) -> None:
    assert mask_number_in(f"no account for {notation}, sorry", "+14155550123") == (
        "no account for +1415•••0123, sorry"
    )


@pytest.mark.parametrize("text", ["line 4155", "914155550123", "41555501234", "12345"])
def test_other_digits_are_not_masked(text: str) -> None:
    assert mask_number_in(text, "+14155550123") == text
    assert mask_number_in(text, "12345") == text
