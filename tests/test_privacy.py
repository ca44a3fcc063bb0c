"""Masked numbers and texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.privacy import mask_number, mask_number_in, mask_numbers, mask_text


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


NOTATIONS = [
    "+1{a}{b}{c}", "1{a}{b}{c}", "{a}{b}{c}", "({a}) {b}-{c}", "({a}){b}{c}", "{a}-{b}-{c}", "{a}.{b}.{c}",
    "{a} {b} {c}", "+1 ({a}) {b}-{c}", "+1-{a}-{b}-{c}", "001 {a} {b} {c}", "{a}/{b}{c}", "{b}-{c}",
    "{a}\u2011{b}\u2011{c}", "{a}\u00a0{b}\u00a0{c}", "{a}\u200b{b}{c}", "%2B1{a}{b}{c}",
    "whatsapp:+1{a}{b}{c}", "tel:+1-{a}-{b}-{c}", "\uff0b1{a}{b}{c}",
]  # fmt: skip


def count_digits(text: str) -> int:
    return sum(letter.isdigit() for letter in text)


@given(
    st.sampled_from(NOTATIONS),
    st.from_regex(r"[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True),
    st.sampled_from(
        ["call me at {}", "{}!", "From={}&To=12345", "2026-11-30 12:00:00 {}, or 12:30", "KeyError: '{}'"]
    ),
    st.sampled_from(["0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669"]),
)
def test_any_number_in_a_text_is_masked_in_any_notation(
    notation: str, number: str, sentence: str, digits: str
) -> None:
    written = notation.format(a=number[:3], b=number[3:6], c=number[6:])
    written = written.translate(str.maketrans("0123456789", digits)) if "%" not in notation else written
    masked = mask_numbers(sentence.format(written))
    assert "•••" in masked
    assert written not in masked
    assert count_digits(masked) <= count_digits(sentence) + count_digits(written) - 3


@pytest.mark.parametrize(
    "text",
    [
        "12345", "2026-11-30 23:59:59,123", "30.11.2026", "127.0.0.1:8000", "line 10 of 120, 3000 ms",
        "SM1234567890abcdef1234567890abcdef", "12345678 bytes", "3.14159265", "1.2.3", "1000-2000",
        "123e4567-e89b-12d3-a456-426614174000", "sent from +15005550006", "error 30006", "process 1234567",
    ],
)  # fmt: skip
def test_other_digits_in_a_text_are_not_masked(text: str) -> None:
    assert mask_numbers(text, lambda number: number == "+15005550006") == text
