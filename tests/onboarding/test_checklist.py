"""Checklists: steps only become done, lateness is told, rejections are mended, all of it is kept."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router.onboarding.checklist import MOST_ENTRIES, Action, Checklist, StepError
from sms_router.onboarding.process import LIVE, Actor, Kind
from sms_router.onboarding.serialization import dump, load, read_all
from tests.onboarding.worlds import DAY, NOON, REQUEST, SERVICE, arrival, begun, checklists


@pytest.mark.parametrize("kind", Kind)
def test_step_by_step_it_becomes_live(kind: Kind) -> None:
    checklist, taken = begun(kind), []
    while checklist.now is not None:
        assert checklist.actor is checklist.now.by
        assert not checklist.finished
        taken.append(checklist.now.name)
        checklist = checklist.advanced(None, NOON, "ada")
    assert tuple(taken) == checklist.process.names
    assert checklist.finished
    assert checklist.actor is None
    with pytest.raises(StepError, match="nothing is left"):
        checklist.advanced(None, NOON, "ada")


def test_a_later_step_says_that_those_before_it_are_done_but_not_what_may_be_early() -> None:
    checklist = begun().advanced("configure", NOON, "ada")
    assert checklist.done == {"configure"}
    checklist = begun().advanced("carrier", NOON, "ada")
    assert checklist.done == {"portability", "request", "review", "signature", "carrier"}
    assert checklist.now is not None
    assert checklist.now.name == "configure"
    assert begun().advanced(LIVE, NOON, "ada").done == set(begun().process.names)


@given(checklists(), st.data())
def test_steps_only_move_forward(checklist: Checklist, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(checklist.process.names))
    try:
        after = checklist.advanced(name, NOON + 500 * DAY, "ada")
    except StepError:
        assert name in checklist.done
        return
    assert after.done > checklist.done
    assert name in after.done
    assert after.rejected is None
    for changed in (after.noted("x", NOON, "ada"), after.expecting(date(2031, 1, 1), NOON, "ada")):
        assert changed.done == after.done


@given(checklists())
def test_what_is_written_is_read_again(checklist: Checklist) -> None:
    assert load(dump(checklist)) == checklist


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", b"{}", b'{"number": 1}', b"null", b"\xff"])
def test_what_is_no_checklist_is_left_out(stored: bytes) -> None:
    assert read_all({b"+14155550100": stored, b"12345": dump(begun())}) == (begun(),)


def test_a_rejection_makes_it_ones_own_turn_until_it_was_sent_in_again() -> None:
    checklist = begun(Kind.PORT_CANADA).advanced("review", NOON, "ada")
    rejected = checklist.rejected_for("PIN mismatch", NOON + 30 * DAY, "ada")
    assert rejected.actor is Actor.YOU
    assert rejected.due is None
    mended = rejected.resubmitted(NOON + 40 * DAY, "ada")
    assert mended.actor is Actor.CARRIER
    assert mended.due == date(2026, 2, 25)
    assert [entry.action for entry in mended.history][-2:] == [Action.REJECTED, Action.RESUBMITTED]
    with pytest.raises(StepError, match="not rejected"):
        mended.resubmitted(NOON, "ada")
    with pytest.raises(StepError, match="is live"):
        mended.advanced(LIVE, NOON, "ada").rejected_for("late", NOON, "ada")


def test_a_port_in_request_says_that_it_was_asked_for() -> None:
    checklist = Checklist.begun(arrival(), SERVICE, NOON, "ada", None, REQUEST)
    assert checklist.request_sid == REQUEST
    assert checklist.done == {"portability", "request"}
    rejected = checklist.rejected_for("PIN", NOON, "ada")
    assert rejected.requested_by("KW" + "2" * 32, NOON, "ada").rejected is None


@pytest.mark.parametrize(
    ("checklist", "days", "late"),
    [
        (begun(Kind.PORT_US), 28, None),
        (begun(Kind.PORT_US), 29, "usually done by 2026-02-06"),
        (begun(Kind.PORT_US, date(2026, 1, 20)), 11, None),
        (begun(Kind.PORT_US, date(2026, 1, 20)), 12, "was expected on 2026-01-20"),
        (begun(Kind.PORT_US, date(2026, 12, 1)), 60, None),
        (begun(Kind.PORT_CANADA).advanced("request", NOON, "ada"), 3, None),
        (begun(Kind.PORT_CANADA).advanced("request", NOON, "ada"), 4, "review was due on 2026-01-12"),
        (begun(Kind.PORT_INTERNATIONAL).advanced("request", NOON, "ada"), 6, "fees was due on 2026-01-14"),
        (begun(Kind.PORT_US).advanced(LIVE, NOON, "ada"), 400, None),
    ],
)
def test_what_should_have_happened_is_told(checklist: Checklist, days: int, late: str | None) -> None:
    assert checklist.overdue(NOON + days * DAY) == late


def test_the_trail_tells_why_and_until_when() -> None:
    see = "; see sms-router onboarding show +14155550100"
    assert begun().words() == f"being ported in{see}"
    assert begun(expected=date(2026, 12, 1)).words() == f"being ported in, expected 2026-12-01{see}"


def test_an_early_step_does_not_restart_the_clock_of_the_one_that_is_due() -> None:
    checklist = begun(Kind.PORT_CANADA).advanced("request", NOON, "ada")
    assert checklist.advanced("configure", NOON + 3 * DAY, "ada").due == checklist.due


def test_a_long_history_keeps_its_beginning_and_its_end() -> None:
    checklist = begun()
    for number in range(MOST_ENTRIES * 2):
        checklist = checklist.noted(str(number), NOON, "ada")
    assert len(checklist.history) == MOST_ENTRIES
    assert checklist.history[0].action is Action.ADDED
    assert checklist.history[-1].detail == str(MOST_ENTRIES * 2 - 1)
