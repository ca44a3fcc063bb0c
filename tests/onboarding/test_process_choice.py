"""Which way in is a number's, and what is refused with the right one named."""

from __future__ import annotations

import pytest

from sms_router.onboarding.process import Kind
from sms_router.onboarding.process_choice import OnboardingPath, UnsupportedNumberError, choose_path


@pytest.mark.parametrize(
    ("typed", "country", "arrival"),
    [
        ("+14155550100", None, OnboardingPath("+14155550100", "US", Kind.PORT_US)),
        ("+1 (415) 555-0100", "US", OnboardingPath("+14155550100", "US", Kind.PORT_US)),
        ("+16475550100", None, OnboardingPath("+16475550100", "CA", Kind.PORT_CANADA)),
        ("+18885550100", None, OnboardingPath("+18885550100", "US", Kind.PORT_TOLL_FREE)),
        ("+18885550100", "CA", OnboardingPath("+18885550100", "CA", Kind.PORT_TOLL_FREE)),
        ("+447400123456", "GB", OnboardingPath("+447400123456", "GB", Kind.PORT_INTERNATIONAL)),
        ("+18765550100", None, OnboardingPath("+18765550100", "JM", Kind.PORT_INTERNATIONAL)),
    ],
)
def test_a_phone_number_has_one_way_in(typed: str, country: str | None, arrival: OnboardingPath) -> None:
    assert choose_path(typed, None, country) == arrival
    assert choose_path(typed, arrival.kind, country) == arrival


@pytest.mark.parametrize("kind", [Kind.SHORT_CODE_LEASE, Kind.SHORT_CODE_MIGRATION])
def test_a_short_code_has_two(kind: Kind) -> None:
    assert choose_path("12345", kind, None) == OnboardingPath("12345", "US", kind)


@pytest.mark.parametrize(
    ("typed", "kind", "country", "said"),
    [
        ("12345", None, None, "--kind short-code-lease"),
        ("12345", Kind.PORT_US, None, "not ported, they are migrated"),
        ("1234", Kind.SHORT_CODE_LEASE, None, "5 or 6 digits"),
        ("12345", Kind.SHORT_CODE_LEASE, "CA", "in the US only"),
        ("+12345", Kind.SHORT_CODE_LEASE, None, "without a plus"),
        ("+16475550100", Kind.PORT_US, None, "--kind port-canada"),
        ("+14155550100", Kind.SHORT_CODE_LEASE, None, "--kind port-us"),
        ("+18885550100", Kind.PORT_US, None, "--kind port-toll-free"),
        ("+447400123456", Kind.PORT_CANADA, None, "--kind port-international"),
        ("+14155550100", None, "CA", "a number of US, not of CA"),
        ("4155550100", None, None, "E.164"),
        ("ACME", None, None, "is not a number"),
        ("", None, None, "is not a number"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    typed: str, kind: Kind | None, country: str | None, said: str
) -> None:
    with pytest.raises(UnsupportedNumberError, match=said.replace(".", r"\.")):
        choose_path(typed, kind, country)
