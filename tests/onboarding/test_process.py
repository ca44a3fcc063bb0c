"""The processes as the sources tell them: who acts, in which order, with what, and what must be minded."""

from __future__ import annotations

from datetime import date

import pytest

from sms_router.onboarding.process import CONFIGURE, LIVE, Actor, Kind, Span, processes

YOU, TWILIO, CARRIER = Actor.YOU, Actor.TWILIO, Actor.CARRIER

STEPS = {
    Kind.SHORT_CODE_LEASE: [
        ("application", YOU),
        ("compliance", TWILIO),
        ("payment", YOU),
        ("go-ahead", TWILIO),
        ("transfer", Actor.HOLDER),
        ("provisioning", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    Kind.SHORT_CODE_MIGRATION: [
        ("application", YOU),
        ("compliance", TWILIO),
        ("payment", YOU),
        ("go-ahead", TWILIO),
        ("transfer", Actor.HOLDER),
        ("configure", YOU),
        ("carriers", Actor.CARRIERS),
        ("live", TWILIO),
    ],
    Kind.PORT_US: [
        ("portability", YOU),
        ("request", YOU),
        ("review", TWILIO),
        ("signature", YOU),
        ("carrier", CARRIER),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    Kind.PORT_CANADA: [
        ("request", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("date", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    Kind.PORT_TOLL_FREE: [
        ("request", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("configure", YOU),
        ("live", TWILIO),
    ],
    Kind.PORT_INTERNATIONAL: [
        ("request", YOU),
        ("fees", YOU),
        ("review", TWILIO),
        ("carrier", CARRIER),
        ("date", TWILIO),
        ("configure", YOU),
        ("live", TWILIO),
    ],
}

TOLD = {
    Kind.SHORT_CODE_LEASE: ["before Twilio", "lease receipt", "letterhead", "signed and dated"],
    Kind.SHORT_CODE_MIGRATION: ["before Twilio", "either provider", "own date", "last carrier"],
    Kind.PORT_US: [
        "30 days",
        "PIN",
        "PO box",
        "Utility Bill",
        "LOA",
        "7 days ahead",
        "two hours",
        "Do not close",
    ],
    Kind.PORT_CANADA: ["30 days", "PIN", "PO box", "CSR", "90 minutes", "Keep the number", "fee"],
    Kind.PORT_TOLL_FREE: ["30 days", "PIN", "LOA", "US addresses only", "one or two days"],
    Kind.PORT_INTERNATIONAL: [
        "30 days",
        "PO box",
        "LOA",
        "CSR",
        "three business days",
        "Do not close",
        "only mobile",
    ],
}


@pytest.mark.parametrize("kind", Kind)
def test_each_way_has_its_steps_in_order_and_who_acts(kind: Kind) -> None:
    assert [(step.name, step.by) for step in processes()[kind].steps] == STEPS[kind]


@pytest.mark.parametrize("kind", Kind)
def test_each_way_says_what_is_needed_and_what_to_mind(kind: Kind) -> None:
    told = processes()[kind].model_dump_json()
    assert [words for words in TOLD[kind] if words not in told] == []


@pytest.mark.parametrize("kind", Kind)
def test_each_way_ends_live_is_configured_before_and_names_its_source(kind: Kind) -> None:
    process = processes()[kind]
    assert process.names[-1] == LIVE
    assert len(set(process.names)) == len(process.names)
    (configure,) = [step for step in process.steps if step.early]
    assert configure.name == CONFIGURE
    assert process.source
    assert process.warnings
    for step in process.steps:
        assert "{" not in step.what.format(number="+14155550100")


@pytest.mark.parametrize(
    ("span", "last"),
    [
        (Span(days=7), date(2026, 1, 16)),
        (Span(business_days=1), date(2026, 1, 12)),
        (Span(business_days=3), date(2026, 1, 14)),
        (Span(business_days=6), date(2026, 1, 19)),
    ],
)
def test_business_days_leave_weekends_out(span: Span, last: date) -> None:
    assert span.after(date(2026, 1, 9)) == last


@pytest.mark.parametrize(
    ("reason", "mended"),
    [
        ("PIN mismatch", "PIN"),
        ("The zip does not match", "zip"),
        ("Unauthorized user", "authorized"),
        ("shipping trouble", None),
    ],
)
def test_a_rejection_is_answered_with_what_mends_it(reason: str, mended: str | None) -> None:
    process = processes()[Kind.PORT_US]
    told = process.mendings(reason)
    if mended is None:
        assert len(told) == len(process.rejections.causes) + len(process.rejections.advice)
    else:
        assert mended in told[0]
        assert len(told) == 1 + len(process.rejections.advice)
