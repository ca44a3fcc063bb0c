"""The processes: their steps in order, who acts, what is required, and warnings."""

from __future__ import annotations

from datetime import date

import pytest

from sms_router.onboarding.steps import CONFIGURE, LIVE, Actor, OnboardingKind, StepDuration, processes

YOU, TWILIO, CARRIER = Actor.YOU, Actor.TWILIO, Actor.CARRIER

STEPS = {
    OnboardingKind.SHORT_CODE_LEASE: [
        ("application", YOU),
        ("compliance", TWILIO),
        ("payment", YOU),
        ("go-ahead", TWILIO),
        ("transfer", Actor.HOLDER),
        ("provisioning", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    OnboardingKind.SHORT_CODE_MIGRATION: [
        ("application", YOU),
        ("compliance", TWILIO),
        ("payment", YOU),
        ("go-ahead", TWILIO),
        ("transfer", Actor.HOLDER),
        ("configure", YOU),
        ("carriers", Actor.CARRIERS),
        ("live", TWILIO),
    ],
    OnboardingKind.PORT_US: [
        ("portability", YOU),
        ("request", YOU),
        ("review", TWILIO),
        ("signature", YOU),
        ("carrier", CARRIER),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    OnboardingKind.PORT_CANADA: [
        ("request", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("date", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    OnboardingKind.PORT_TOLL_FREE: [
        ("request", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    OnboardingKind.PORT_INTERNATIONAL: [
        ("request", YOU),
        ("quote", TWILIO),
        ("fees", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("date", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
}

REQUIRED_TEXT = {
    OnboardingKind.SHORT_CODE_LEASE: ["before Twilio", "lease receipt", "letterhead", "signed and dated"],
    OnboardingKind.SHORT_CODE_MIGRATION: ["before Twilio", "either provider", "own date", "last carrier"],
    OnboardingKind.PORT_US: [
        "30 days",
        "PIN",
        "PO box",
        "Utility Bill",
        "LOA",
        "7 days ahead",
        "two hours",
        "Do not close",
    ],
    OnboardingKind.PORT_CANADA: ["30 days", "PIN", "PO box", "CSR", "90 minutes", "Keep the number", "fee"],
    OnboardingKind.PORT_TOLL_FREE: ["30 days", "PIN", "LOA", "US addresses only", "one or two days"],
    OnboardingKind.PORT_INTERNATIONAL: [
        "30 days",
        "PO box",
        "LOA",
        "CSR",
        "three business days",
        "Do not close",
        "only mobile",
    ],
}


@pytest.mark.parametrize("kind", OnboardingKind)
def test_each_process_has_its_steps_in_order_with_their_actors(kind: OnboardingKind) -> None:
    assert [(step.name, step.actor) for step in processes()[kind].steps] == STEPS[kind]


@pytest.mark.parametrize("kind", OnboardingKind)
def test_each_process_names_its_documents_and_warnings(kind: OnboardingKind) -> None:
    text = processes()[kind].model_dump_json()
    assert [part for part in REQUIRED_TEXT[kind] if part not in text] == []


@pytest.mark.parametrize("kind", OnboardingKind)
def test_each_process_ends_live_has_an_early_configure_step_and_a_source(kind: OnboardingKind) -> None:
    process = processes()[kind]
    assert process.step_names[-1] == LIVE
    assert len(set(process.step_names)) == len(process.step_names)
    (configure,) = [step for step in process.steps if step.early]
    assert configure.name == CONFIGURE
    assert process.source
    assert process.warnings
    for step in process.steps:
        assert "{" not in step.task.format(number="+14155550100")
        assert step.otherwise.endswith(".")
        assert step.source


@pytest.mark.parametrize(
    ("duration", "last"),
    [
        (StepDuration(days=7), date(2026, 1, 16)),
        (StepDuration(business_days=1), date(2026, 1, 12)),
        (StepDuration(business_days=3), date(2026, 1, 14)),
        (StepDuration(business_days=6), date(2026, 1, 19)),
    ],
)
def test_business_days_skip_weekends(duration: StepDuration, last: date) -> None:
    assert duration.after(date(2026, 1, 9)) == last
    assert StepDuration(business_days=1).after(date(2026, 1, 10)) == date(2026, 1, 12)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("PIN mismatch", "PIN"),
        ("The zip does not match", "zip"),
        ("Unauthorized user", "authorized"),
        ("shipping trouble", None),
    ],
)
def test_the_remedies_follow_the_reason_of_a_rejection(reason: str, remedy: str | None) -> None:
    process = processes()[OnboardingKind.PORT_US]
    remedies = process.remedies(reason)
    if remedy is None:
        assert len(remedies) == len(process.rejections.causes) + len(process.rejections.advice)
    else:
        assert remedy in remedies[0]
        assert len(remedies) == 1 + len(process.rejections.advice)
