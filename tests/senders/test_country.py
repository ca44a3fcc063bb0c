"""Whose short codes reach a number: its country, and its area code in the United States and Canada."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.senders.country import area_code_of, country_of, is_toll_free


@pytest.mark.parametrize(
    ("address", "from_country", "expected"),
    [
        ("+14155550123", "CA", "CA"),
        ("+14155550123", "us", "US"),
        ("+14155550123", None, "US"),
        ("+14155550123", "", "US"),
        ("+14155550123", "USA", "US"),
        ("+14155550123", "1?", "US"),
        ("+16135550123", None, "CA"),
        ("+12425550123", None, "BS"),
        ("+15551234567", None, "US"),
        ("+1415555012", None, None),
        ("+10155550123", None, None),
        ("+447400123456", None, "GB"),
        ("+33612345678", None, "FR"),
        ("+77012345678", None, "KZ"),
        ("+79261234567", None, "RU"),
        ("+870772001234", None, None),
        ("+9991234567", None, None),
        ("+2998123", None, "GL"),
        ("+299812", None, None),
        ("+49" + "1" * 13, None, "DE"),
        ("+49" + "1" * 14, None, None),
        ("+352621123456", None, "LU"),
        ("+a2998123", None, None),
        ("+447624123456", None, "IM"),
        ("12345", None, None),
        ("12345", "US", "US"),
        ("ACME", None, None),
        ("+1415CALLME", None, None),
        ("+١٤١٥٥٥٥٠١٢٣", None, None),
        ("whatsapp:+14155550123", None, None),
        ("+", None, None),
        ("", None, None),
    ],
)
def test_the_country_is_twilios_word_else_the_numbers_own(
    address: str, from_country: str | None, expected: str | None
) -> None:
    assert country_of(address, from_country) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("+14155550123", "415"),
        ("+16135550123", "613"),
        ("+12425550123", None),
        ("+447400123456", None),
        ("+1415555012", None),
        ("14155550123", None),
        ("12345", None),
        ("", None),
    ],
)
def test_only_the_united_states_and_canada_have_area_codes(address: str, expected: str | None) -> None:
    assert area_code_of(address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("+18885550123", True),
        ("+18335550123", True),
        ("+448001111111", True),
        ("+14155550123", False),
        ("+447400123456", False),
        ("+9991234567", False),
        ("88855", False),
        ("ACME", False),
    ],
)
def test_a_toll_free_number_is_distinguished_from_a_long_code(address: str, expected: bool) -> None:
    assert is_toll_free(address) is expected


@given(
    st.text(max_size=20) | st.from_regex(r"\+[0-9]{0,16}", fullmatch=True), st.none() | st.text(max_size=3)
)
def test_any_address_has_an_answer(address: str, from_country: str | None) -> None:
    country = country_of(address, from_country)
    assert country is None or (len(country) == 2 and country.isupper())
    area_code = area_code_of(address)
    assert area_code is None or area_code in address
    assert is_toll_free(address) in {True, False}
