from dataclasses import replace

import pytest

from loadtests.chaos.audit import Late, Recorded, judge
from loadtests.chaos.twilio import Exchange, Failure, Page
from loadtests.crowd.people import person
from loadtests.crowd.texts import FALLBACK_REPLY, HOURS

SOMEBODY = person(3)
SID = "SM" + "a" * 32


def twiml(text: str) -> bytes:
    return f'<Response><Message from="12345"><Body>{text}</Body></Message></Response>'.encode()


def page(body: bytes) -> Page:
    return Page(200, "application/xml", body)


RIGHT = twiml("We are open 9 to 5, CHICAGO.")
OTHER = twiml("Something else.")
FALLBACK = twiml(FALLBACK_REPLY)
BROKEN = Failure(11200, "broken off")


def exchange(*bodies: bytes, failures: int = 0) -> Exchange:
    pages = [page(body) for body in bodies]
    return Exchange(SID, SOMEBODY, HOURS, pages, [BROKEN] * failures, bool(failures), 0.25)


@pytest.mark.parametrize(
    ("said", "recorded", "faults"),
    [
        (exchange(RIGHT), Recorded(RIGHT, 1), (0, 0, 0, 0, 0)),
        (exchange(RIGHT, RIGHT), Recorded(RIGHT, 1), (0, 0, 0, 0, 0)),
        (exchange(FALLBACK, failures=1), Recorded(FALLBACK, 1), (0, 0, 0, 0, 0)),
        (exchange(failures=2), Recorded(None, 0), (1, 0, 0, 0, 0)),
        (exchange(OTHER), Recorded(OTHER, 1), (0, 1, 0, 0, 0)),
        (exchange(FALLBACK), Recorded(FALLBACK, 1), (0, 1, 0, 0, 0)),
        (exchange(RIGHT, FALLBACK, failures=1), Recorded(RIGHT, 1), (0, 0, 1, 0, 0)),
        (exchange(RIGHT), Recorded(OTHER, 1), (0, 0, 0, 1, 0)),
        (exchange(RIGHT), Recorded(None, 1), (0, 0, 0, 0, 1)),
        (exchange(RIGHT), Recorded(None, 0), (0, 0, 0, 0, 1)),
        (exchange(RIGHT), Recorded(RIGHT, 2), (0, 0, 0, 0, 1)),
    ],
    ids=[
        "right", "right twice", "fallback", "unanswered", "wrong", "fallback unasked", "two answers",
        "recorded otherwise", "record without answer", "lost", "journaled twice",
    ],
)  # fmt: skip
def test_each_sort_of_fault_is_counted(said: Exchange, recorded: Recorded, faults: tuple[int, ...]) -> None:
    audit = judge([said], set(), {SID: recorded})
    assert (audit.unanswered, audit.wrong, audit.twice, audit.differs, audit.lost) == faults
    assert audit.good == (not any(faults))
    assert bool(audit.complaints) == (not audit.good)
    assert audit.slowest == 0.25


@pytest.mark.parametrize(("body", "wrong"), [(b"<Response/>", 0), (RIGHT, 1), (FALLBACK, 1)])
def test_who_has_opted_out_gets_nothing_not_even_by_fallback(body: bytes, wrong: int) -> None:
    audit = judge([exchange(body, failures=1)], {SID}, {SID: Recorded(body, 1)})
    assert audit.wrong == wrong


@pytest.mark.parametrize(
    ("blind", "failures", "good"), [(True, 1, True), (True, 0, False), (False, 1, False)]
)
def test_the_journal_may_differ_only_where_a_worker_died_while_valkey_was_away(
    blind: bool, failures: int, good: bool
) -> None:
    said = exchange(FALLBACK if failures else RIGHT, failures=failures)
    audit = judge([said], set(), {SID: Recorded(OTHER, 1)}, blind)
    assert audit.differs == 1
    assert audit.good is good


@pytest.mark.parametrize(
    ("late", "good"),
    [
        (Late(3, 3), True),
        (Late(3, 2), False),
        (Late(3, 2, excused=True), True),
        (Late(3, 3, twice=1), False),
        (Late(3, 2, twice=1, excused=True), False),
    ],
)
def test_late_answers_arrive_once_and_may_be_missing_only_while_twilio_fails(late: Late, good: bool) -> None:
    audit = judge([exchange(RIGHT)], set(), {SID: Recorded(RIGHT, 1)})
    assert replace(audit, late=late).good is good


def test_a_router_that_does_not_stop_is_a_fault() -> None:
    audit = judge([exchange(RIGHT)], set(), {SID: Recorded(RIGHT, 1)})
    assert not replace(audit, notes=("still running",)).good
