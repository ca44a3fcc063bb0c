"""Area codes that serve the same area."""

import phonenumbers
import pytest

from sms_router.twilio.area_codes import overlays_of

CODES = [str(code) for code in range(200, 1000)]


@pytest.mark.parametrize(
    ("one", "other", "is_overlay"),
    [
        ("415", "628", True),
        ("212", "917", True),
        ("718", "917", True),
        ("212", "718", False),
        ("604", "778", True),
        ("250", "778", True),
        ("604", "250", False),
        ("415", "510", False),
        ("907", "907", True),
        ("000", "000", True),
    ],
)
def test_the_overlay_relation_is_symmetric(one: str, other: str, is_overlay: bool) -> None:
    assert (other in overlays_of(one)) is is_overlay
    assert (one in overlays_of(other)) is is_overlay


@pytest.mark.parametrize("code", [code for code in CODES if len(overlays_of(code)) > 1])
def test_overlays_are_in_one_country(code: str) -> None:
    assert len({_country(overlay) for overlay in overlays_of(code)} - {None}) == 1


def _country(code: str) -> str | None:
    """Return the country; None if libphonenumber does not have the area code."""
    return phonenumbers.region_code_for_number(phonenumbers.parse(f"+1{code}2345678"))


def test_the_overlays_of_a_code_include_the_code() -> None:
    assert overlays_of("415") == {"415", "628"}
    assert overlays_of("917") == {"212", "332", "646", "917", "347", "718", "929"}
    assert overlays_of("212") == {"212", "332", "646", "917"}
    assert overlays_of("900") == {"900"}
