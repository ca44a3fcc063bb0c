"""Checklists: completed steps, overdue steps, rejections, the history and the stored form."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.onboarding.checklist import (
    Checklist,
    HistoryAction,
    HistoryEntry,
    StepError,
    day_of,
)
from sms_router.onboarding.documents import DocumentKind, RecordedDocument
from sms_router.onboarding.repository import dump, load, load_all
from sms_router.onboarding.steps import LIVE, Actor, OnboardingKind
from tests.onboarding.builders import DAY, NOON, REQUEST, SERVICE, begun, checklists, path


@pytest.mark.parametrize("kind", OnboardingKind)
def test_completing_every_step_makes_the_number_live(kind: OnboardingKind) -> None:
    checklist, completed = begun(kind), []
    while checklist.current_step is not None:
        assert checklist.next_actor is checklist.current_step.actor
        assert not checklist.is_finished
        completed.append(checklist.current_step.name)
        checklist = checklist.complete_step(None, NOON, "ada")
    assert tuple(completed) == checklist.process.step_names
    assert checklist.is_finished
    assert checklist.next_actor is None
    with pytest.raises(StepError, match="no step is left"):
        checklist.complete_step(None, NOON, "ada")


def test_a_step_implies_the_steps_before_it_but_not_the_early_ones() -> None:
    checklist = begun().complete_step("configure", NOON, "ada")
    assert checklist.done == {"configure"}
    checklist = begun().complete_step("carrier", NOON, "ada")
    assert checklist.done == {"portability", "request", "review", "signature", "carrier"}
    assert checklist.current_step is not None
    assert checklist.current_step.name == "configure"
    assert begun().complete_step(LIVE, NOON, "ada").done == set(begun().process.step_names)


@given(checklists(), st.data())
def test_completed_steps_stay_completed(checklist: Checklist, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(checklist.process.step_names))
    try:
        after = checklist.complete_step(name, NOON + 500 * DAY, "ada")
    except StepError as error:
        assert name in checklist.done or "must wait for the step go-ahead" in str(error)
        return
    assert after.done > checklist.done
    assert name in after.done
    assert after.rejected is None
    for changed in (after.add_note("x", NOON, "ada"), after.expect(date(2031, 1, 1), NOON, "ada")):
        assert changed.done >= after.done


@given(checklists())
def test_a_stored_checklist_is_loaded_unchanged(checklist: Checklist) -> None:
    assert load(dump(checklist)) == checklist


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"{}", b'{"number": 1}', b"null", b"\xff"])
def test_malformed_checklists_are_left_out(stored: bytes) -> None:
    assert load_all({b"+14155550100": stored, b"12345": dump(begun())}) == (begun(),)


def test_after_a_rejection_the_operator_acts_until_it_is_reviewed_again() -> None:
    checklist = begun(OnboardingKind.PORT_CANADA).complete_step("configure", NOON, "ada")
    checklist = checklist.expect(date(2026, 2, 1), NOON, "ada")
    rejected = checklist.reject("PIN mismatch", NOON + 30 * DAY, "ada")
    assert rejected.next_actor is Actor.YOU
    assert rejected.step_due is None
    resubmitted = rejected.resubmit(NOON + 40 * DAY, "ada")
    assert resubmitted.next_actor is Actor.TWILIO
    assert resubmitted.step_due == date(2026, 2, 19)
    assert resubmitted.done == {"request", "configure"}
    assert resubmitted.expected is None
    assert [entry.action for entry in resubmitted.history][-2:] == [
        HistoryAction.REJECTED,
        HistoryAction.RESUBMITTED,
    ]
    with pytest.raises(StepError, match="not rejected"):
        resubmitted.resubmit(NOON, "ada")
    with pytest.raises(StepError, match="is live"):
        resubmitted.complete_step(LIVE, NOON, "ada").reject("late", NOON, "ada")


def test_a_number_that_was_not_reviewed_keeps_its_day_when_it_is_submitted_again() -> None:
    expected = begun(OnboardingKind.PORT_CANADA, date(2026, 2, 1)).reject("PIN", NOON, "ada")
    assert expected.resubmit(NOON, "ada").expected == date(2026, 2, 1)


def test_a_day_is_that_of_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = begun(OnboardingKind.PORT_INTERNATIONAL).complete_step("quote", NOON, "ada")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    try:
        assert day_of(NOON) == date(2026, 1, 9)
        assert quoted.apply_silence(NOON + 6 * DAY).history[-1].at == 1_768_435_200.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_port_in_request_completes_the_step_request() -> None:
    checklist = Checklist.start(path(), SERVICE, NOON, "ada", None, REQUEST)
    assert checklist.request_sid == REQUEST
    assert checklist.done == {"portability", "request"}
    rejected = checklist.reject("PIN", NOON, "ada")
    assert rejected.attach_request("KW" + "2" * 32, NOON, "ada").rejected is None


@pytest.mark.parametrize(
    ("checklist", "days", "reason"),
    [
        (begun(OnboardingKind.PORT_US), 28, None),
        (begun(OnboardingKind.PORT_US), 29, "usually done by 2026-02-06"),
        (begun(OnboardingKind.PORT_US, date(2026, 1, 20)), 11, None),
        (begun(OnboardingKind.PORT_US, date(2026, 1, 20)), 12, "was expected on 2026-01-20"),
        (begun(OnboardingKind.PORT_US, date(2026, 12, 1)), 60, None),
        (begun(OnboardingKind.PORT_CANADA).complete_step("request", NOON, "ada"), 3, None),
        (
            begun(OnboardingKind.PORT_CANADA).complete_step("request", NOON, "ada"),
            4,
            "review was due on 2026-01-12",
        ),
        (
            begun(OnboardingKind.PORT_INTERNATIONAL).complete_step("request", NOON, "ada"),
            6,
            None,
        ),
        (begun(OnboardingKind.PORT_US).complete_step(LIVE, NOON, "ada"), 400, None),
    ],
)
def test_the_overdue_reason_names_the_step_or_the_day(
    checklist: Checklist, days: int, reason: str | None
) -> None:
    assert checklist.overdue_reason(NOON + days * DAY) == reason


def test_no_reply_to_a_quote_is_consent_after_three_business_days() -> None:
    quoted = begun(OnboardingKind.PORT_INTERNATIONAL).complete_step("quote", NOON, "ada")
    assert quoted.apply_silence(NOON + 5 * DAY) == quoted
    silent = quoted.apply_silence(NOON + 6 * DAY)
    assert silent.current_step is not None
    assert (silent.current_step.name, silent.step_due) == ("review", date(2026, 1, 16))
    detail = "fees (no answer by 2026-01-14: no answer is consent)"
    assert silent.history[-1] == HistoryEntry(1_768_435_200.0, "nobody", HistoryAction.DONE, detail)
    review = begun(OnboardingKind.PORT_CANADA).complete_step("request", NOON, "ada")
    for silence_is_none in (review, review.complete_step(LIVE, NOON, "ada")):
        assert silence_is_none.apply_silence(NOON + 60 * DAY) == silence_is_none
    declined = quoted.reject("fees declined", NOON + DAY, "ada")
    assert declined.apply_silence(NOON + 60 * DAY) == declined
    assert "new quote" in declined.process.remedies("fees declined")[0]


@pytest.mark.parametrize("kind", [OnboardingKind.PORT_CANADA, OnboardingKind.PORT_INTERNATIONAL])
def test_an_announced_date_completes_its_step(kind: OnboardingKind) -> None:
    checklist = begun(kind).expect(date(2026, 2, 1), NOON, "ada")
    assert checklist.current_step is not None
    assert checklist.current_step.name == "configure"
    assert checklist.expected == date(2026, 2, 1)
    assert checklist.configure_by == date(2026, 1, 31)
    assert checklist.complete_step("configure", NOON, "ada").configure_by is None


@pytest.mark.parametrize("step", ["transfer", "provisioning"])
def test_a_lease_is_not_transferred_before_twilios_approval(step: str) -> None:
    lease = begun(OnboardingKind.SHORT_CODE_LEASE)
    with pytest.raises(StepError) as refused:
        lease.complete_step(step, NOON, "ada")
    assert str(refused.value) == (
        f"{step} must wait for the step go-ahead: The transfer waits: one before Twilio's approval can delay"
        " the provisioning or make it fail"
    )
    approved = lease.complete_step("go-ahead", NOON, "ada")
    assert approved.complete_step(step, NOON, "ada").is_transferred
    assert lease.complete_step("configure", NOON, "ada").done == {"configure"}


def test_a_transferred_lease_is_billed_two_weeks_before_its_renewal() -> None:
    lease = begun(OnboardingKind.SHORT_CODE_LEASE).renew(date(2026, 6, 15), NOON, "ada")
    assert lease.billing_day == date(2026, 6, 1)
    with pytest.raises(StepError, match="has no lease"):
        begun().renew(date(2026, 6, 15), NOON, "ada")


def document(kind: str, day: date = date(2026, 1, 1), name: str = "", address: str = "") -> RecordedDocument:
    return RecordedDocument(DocumentKind(kind), day, name, address)


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        (document("bill", date(2025, 12, 9)), "is 31 days old; it may be 30 days old at most"),
        (document("loa", date(2026, 1, 10)), "is in the future"),
        (document("csr", address="P.O. Box 12, London"), "shows a PO box"),
        (document("csr", address="Postfach 100, Bern"), "shows a PO box"),
        (document("receipt"), "has no document receipt; its documents are loa, csr, bill"),
    ],
)
def test_a_document_that_twilio_would_refuse_is_not_recorded(recorded: RecordedDocument, reason: str) -> None:
    with pytest.raises(StepError, match=reason):
        begun(OnboardingKind.PORT_INTERNATIONAL).record_document(recorded, NOON, "ada")


def test_problems_of_documents_are_named_before_the_request_is_sent() -> None:
    port = begun(OnboardingKind.PORT_INTERNATIONAL)
    assert port.document_problems(NOON) == (
        "the letter of authorization (LOA) is not recorded",
        "the Customer Service Record (CSR) is not recorded",
        "the phone bill is not recorded",
    )
    for recorded in (
        document("loa", name="Ada Byron", address="1 Boxwood Street"),
        document("csr", name="ADA  BYRON"),
        document("bill", date(2026, 1, 9)),
        document("bill", date(2025, 12, 10)),
    ):
        port = port.record_document(recorded, NOON, "ada")
    assert port.document_problems(NOON) == ()
    assert port.document_problems(NOON + DAY) == (
        "the phone bill is 31 days old; it may be 30 days old at most",
    )
    different = port.record_document(document("csr", name="Ada Lovelace"), NOON, "ada")
    assert "shows the name Ada Byron, and the Customer Service Record" in different.document_problems(NOON)[0]
    assert different.complete_step("request", NOON, "ada").document_problems(NOON) == ()
    assert load(dump(different)) == different


@pytest.mark.parametrize("kind", [OnboardingKind.SHORT_CODE_LEASE, OnboardingKind.SHORT_CODE_MIGRATION])
def test_the_documents_of_a_manual_transfer_are_missing_until_they_are_recorded(kind: OnboardingKind) -> None:
    code, manual = begun(kind), "for a transfer without the registry's site, "
    for recorded, missing in (
        (
            document("receipt", name="Ada Ltd"),
            ["lease receipt", "lease transfer letter", "gaining applicant"],
        ),
        (document("letter", name="Ada Ltd"), ["lease transfer letter", "gaining applicant"]),
        (document("gaining-letter", name="Twilio"), ["gaining applicant"]),
    ):
        problems = code.document_problems(NOON)
        assert all(problem.startswith(manual) for problem in problems)
        for problem, name in zip(problems, missing, strict=True):
            assert problem.endswith(f"{name} is not recorded")
        code = code.record_document(recorded, NOON, "ada")
    assert code.document_problems(NOON) == ()
    assert load(dump(code)) == code


def test_the_pending_reason_names_the_process_and_the_expected_day() -> None:
    see = "; see sms-router onboarding show +14155550100"
    assert begun().pending_reason() == f"being ported in{see}"
    assert begun(expected=date(2026, 12, 1)).pending_reason() == f"being ported in, expected 2026-12-01{see}"


def test_an_early_step_does_not_move_the_due_day_of_the_current_step() -> None:
    checklist = begun(OnboardingKind.PORT_CANADA).complete_step("request", NOON, "ada")
    assert checklist.complete_step("configure", NOON + 3 * DAY, "ada").step_due == checklist.step_due


Change = Callable[[Checklist], Checklist]
LATER = NOON + DAY
STARTED = Checklist.start(path(), SERVICE, NOON, "ada", None, REQUEST)


@pytest.mark.parametrize(
    ("checklist", "change", "since", "recorded"),
    [
        (begun(), lambda one: one.complete_step("request", LATER, "ben"), LATER, [("done", "request")]),
        (begun(), lambda one: one.complete_step("request", LATER, "ben", "x"), LATER, [("done", "x")]),
        (begun(), lambda one: one.reject("PIN", LATER, "ben"), NOON, [("rejected", "PIN")]),
        (
            begun().reject("PIN", NOON, "ada"),
            lambda one: one.resubmit(LATER, "ben"),
            LATER,
            [("resubmitted", "")],
        ),
        (
            begun().reject("PIN", NOON, "ada"),
            lambda one: one.complete_step("configure", LATER, "ben"),
            LATER,
            [("done", "configure")],
        ),
        (
            begun(),
            lambda one: one.expect(date(2026, 2, 1), LATER, "ben"),
            NOON,
            [("expected", "2026-02-01")],
        ),
        (
            begun(OnboardingKind.PORT_CANADA),
            lambda one: one.expect(date(2026, 2, 1), LATER, "ben"),
            LATER,
            [("done", "date"), ("expected", "2026-02-01")],
        ),
        (
            begun(OnboardingKind.SHORT_CODE_LEASE),
            lambda one: one.renew(date(2026, 6, 15), LATER, "ben"),
            NOON,
            [("note", "the lease is renewed on 2026-06-15")],
        ),
        (begun(), lambda one: one.refuse_calls(LATER, "ben"), NOON, [("note", "it takes no calls")]),
        (
            begun(),
            lambda one: one.attach_request("KW2", LATER, "ben"),
            LATER,
            [("done", "request (KW2)")],
        ),
        (
            STARTED,
            lambda one: one.attach_request("KW2", LATER, "ben"),
            NOON,
            [("note", "the port-in request is KW2")],
        ),
        (
            STARTED.reject("PIN", NOON, "ada"),
            lambda one: one.attach_request("KW2", LATER, "ben"),
            LATER,
            [("resubmitted", ""), ("note", "the port-in request is KW2")],
        ),
        (begun(), lambda one: one.add_note("x", LATER, "ben"), NOON, [("note", "x")]),
        (
            begun(OnboardingKind.PORT_INTERNATIONAL),
            lambda one: one.record_document(document("csr", name="Ada", address="1 Road"), LATER, "ben"),
            NOON,
            [("note", "document csr of 2026-01-01, Ada, 1 Road")],
        ),
        (
            begun(OnboardingKind.PORT_INTERNATIONAL),
            lambda one: one.record_document(document("csr"), LATER, "ben"),
            NOON,
            [("note", "document csr of 2026-01-01")],
        ),
    ],
)
def test_a_change_is_recorded_with_its_time_its_operator_and_what_it_was(
    checklist: Checklist, change: Change, since: float, recorded: list[tuple[str, str]]
) -> None:
    changed = change(checklist)
    assert changed.since == since
    added = [HistoryEntry(LATER, "ben", HistoryAction(action), detail) for action, detail in recorded]
    assert changed.history == (*checklist.history, *added)


def test_a_new_checklist_begins_with_what_was_entered() -> None:
    added = HistoryEntry(NOON, "ada", HistoryAction.ADDED, "port-us")
    requested = HistoryEntry(NOON, "ada", HistoryAction.DONE, f"request ({REQUEST})")
    assert begun(expected=date(2026, 2, 1)) == Checklist(
        "+14155550100",
        OnboardingKind.PORT_US,
        "US",
        SERVICE,
        NOON,
        NOON,
        expected=date(2026, 2, 1),
        history=(added,),
    )
    assert STARTED.history == (added, requested)
    assert STARTED.attach_request("KW2", NOON, "ada").request_sid == "KW2"
    assert begun().attach_request("KW2", NOON, "ada").done == {"portability", "request"}


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.expect(date(2026, 2, 1), LATER, "ben"),
        lambda one: one.renew(date(2026, 6, 15), LATER, "ben"),
        lambda one: one.refuse_calls(LATER, "ben"),
    ],
)
def test_the_same_change_again_is_not_recorded(change: Change) -> None:
    once = change(begun(OnboardingKind.SHORT_CODE_LEASE))
    assert change(once) == once


def test_a_document_replaces_the_one_of_its_kind() -> None:
    port = begun(OnboardingKind.PORT_INTERNATIONAL)
    loa, old, new = document("loa"), document("csr", name="A"), document("csr", name="B")
    for recorded in (loa, old, new):
        port = port.record_document(recorded, NOON, "ada")
    assert port.documents == (loa, new)


@pytest.mark.parametrize(("notes", "remaining"), [(58, 59), (59, 60), (60, 60), (120, 60)])
def test_a_long_history_keeps_its_first_and_its_newest_entries(notes: int, remaining: int) -> None:
    checklist = begun()
    for number in range(notes):
        checklist = checklist.add_note(str(number), NOON, "ada")
    assert checklist.history[0].action is HistoryAction.ADDED
    details = [entry.detail for entry in checklist.history[1:]]
    assert details == [str(number) for number in range(notes)][1 - remaining :]
