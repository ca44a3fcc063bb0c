import pytest

from sms_router.sandbox.world.numbers import (
    NumberKind,
    NumberLocation,
    country_of,
    is_alphanumeric,
    is_e164,
    is_short_code,
    kind_of,
    location_of,
)


@pytest.mark.parametrize(
    ("address", "country", "place"),
    [
        ("+14155550123", None, NumberLocation("SAN FRANCISCO", "CA", "94103", "US")),
        ("+12125550123", None, NumberLocation("NEW YORK", "NY", "10001", "US")),
        ("+16475550123", None, NumberLocation("TORONTO", "ON", "M5H 2N2", "CA")),
        ("+18885550100", None, NumberLocation(country="US")),
        ("+19075550100", None, NumberLocation(country="US")),
        ("+447700900123", None, NumberLocation(country="GB")),
        ("12345", "US", NumberLocation(country="US")),
        ("12345", "CA", NumberLocation(country="CA")),
    ],
)
def test_a_number_has_a_location(address: str, country: str | None, place: NumberLocation) -> None:
    assert location_of(address, country) == place


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("123", NumberKind.SHORT_CODE),
        ("19123456", NumberKind.SHORT_CODE),
        ("+14155550100", NumberKind.LONG_CODE),
        ("+18005550100", NumberKind.TOLL_FREE),
        ("+447700900123", NumberKind.LONG_CODE),
    ],
)
def test_the_kind_of_a_number_is_recognised(address: str, kind: NumberKind) -> None:
    assert kind_of(address) is kind


@pytest.mark.parametrize(
    "text", ["", "12", "123456789", "+12345", "4155550100", "+0155550100", "+999123456789"]
)
def test_other_texts_are_not_numbers(text: str) -> None:
    assert not is_short_code(text)
    assert not is_e164(text)


def test_a_country_code_that_does_not_exist_has_no_country() -> None:
    assert country_of("+999123456789") == ""


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("My Shop", True),
        ("A&B-C_D+1", True),
        ("X", True),
        ("12345", False),
        ("TwelveLetter", False),
        ("Café", False),
        ("a.b", False),
        ("", False),
    ],
)
def test_alphanumeric_senders_have_a_form(text: str, allowed: bool) -> None:
    assert is_alphanumeric(text) is allowed
