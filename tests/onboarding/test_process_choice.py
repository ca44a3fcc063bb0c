"""Which onboarding process fits a number, and the error that names the right one."""

from __future__ import annotations

import pytest

from sms_router.onboarding.process_choice import OnboardingPath, UnsupportedNumberError, choose_path
from sms_router.onboarding.steps import OnboardingKind


@pytest.mark.parametrize(
    ("typed", "country", "arrival"),
    [
        ("+14155550100", None, OnboardingPath("+14155550100", "US", OnboardingKind.PORT_US)),
        ("+1 (415) 555-0100", "US", OnboardingPath("+14155550100", "US", OnboardingKind.PORT_US)),
        ("+16475550100", None, OnboardingPath("+16475550100", "CA", OnboardingKind.PORT_CANADA)),
        ("+18885550100", None, OnboardingPath("+18885550100", "US", OnboardingKind.PORT_TOLL_FREE)),
        ("+18885550100", "CA", OnboardingPath("+18885550100", "CA", OnboardingKind.PORT_TOLL_FREE)),
        ("+447400123456", "GB", OnboardingPath("+447400123456", "GB", OnboardingKind.PORT_INTERNATIONAL)),
        ("+80012345678", None, OnboardingPath("+80012345678", "", OnboardingKind.PORT_INTERNATIONAL)),
        ("+18765550100", None, OnboardingPath("+18765550100", "JM", OnboardingKind.PORT_INTERNATIONAL)),
    ],
)
def test_a_phone_number_has_one_process(typed: str, country: str | None, arrival: OnboardingPath) -> None:
    assert choose_path(typed, None, country) == arrival
    assert choose_path(typed, arrival.kind, country) == arrival


@pytest.mark.parametrize("kind", [OnboardingKind.SHORT_CODE_LEASE, OnboardingKind.SHORT_CODE_MIGRATION])
def test_a_short_code_has_two_processes(kind: OnboardingKind) -> None:
    assert choose_path("12345", kind, None) == OnboardingPath("12345", "US", kind)


@pytest.mark.parametrize(
    ("typed", "kind", "country", "sentence"),
    [
        (
            "12345",
            None,
            None,
            "--kind short-code-lease (US short code, its lease transferred to Twilio) or --kind"
            " short-code-migration (US short code with live traffic, carrier by carrier)",
        ),
        ("12345", OnboardingKind.PORT_US, None, "are migrated, not ported"),
        ("1234", OnboardingKind.SHORT_CODE_LEASE, None, "5 or 6 digits"),
        ("12345", OnboardingKind.SHORT_CODE_LEASE, "CA", "Only short codes of the US"),
        ("+12345", OnboardingKind.SHORT_CODE_LEASE, None, "its length is wrong; a short code has no plus"),
        ("+33123456", None, None, "its length is wrong; a short code has no plus"),
        ("12345678", None, None, "5 or 6 digits"),
        ("123456789", None, None, "with its country code"),
        (
            "+16475550100",
            OnboardingKind.PORT_US,
            None,
            "--kind port-canada (Canadian number (landline or mobile), ported by email)",
        ),
        ("+14155550100", OnboardingKind.SHORT_CODE_LEASE, None, "--kind port-us"),
        ("+18885550100", OnboardingKind.PORT_US, None, "--kind port-toll-free"),
        ("+447400123456", OnboardingKind.PORT_CANADA, None, "--kind port-international"),
        ("+14155550100", None, "CA", "belongs to US, not to CA"),
        ("4155550100", None, None, "with its country code"),
        ("ACME", None, None, "'ACME' is not a number: write it with its country code, like"),
        ("", None, None, "is not a number"),
    ],
)
def test_an_unsupported_choice_names_the_right_one(
    typed: str, kind: OnboardingKind | None, country: str | None, sentence: str
) -> None:
    with pytest.raises(UnsupportedNumberError) as refused:
        choose_path(typed, kind, country)
    assert sentence in str(refused.value)


def test_a_number_that_is_no_short_code_has_no_hint_of_one() -> None:
    with pytest.raises(UnsupportedNumberError, match=r"its length is wrong$"):
        choose_path("+331234567", None, None)
