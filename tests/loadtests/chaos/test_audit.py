from dataclasses import replace

import pytest

from loadtests.chaos.audit import LateReplies, StoredMessage, compare
from loadtests.chaos.twilio_client import HttpAnswer, HttpFailure, MessageExchange
from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import FALLBACK_REPLY, HOURS

CONTACT = make_contact(3)
SID = "SM" + "a" * 32


def twiml(text: str) -> bytes:
    return f'<Response><Message from="12345"><Body>{text}</Body></Message></Response>'.encode()


def http_answer(body: bytes) -> HttpAnswer:
    return HttpAnswer(200, "application/xml", body)


RIGHT = twiml("We are open 9 to 5, CHICAGO.")
OTHER = twiml("Something else.")
FALLBACK = twiml(FALLBACK_REPLY)
BROKEN = HttpFailure(11200, "closed")


def exchange(*bodies: bytes, failures: int = 0) -> MessageExchange:
    answers = [http_answer(body) for body in bodies]
    return MessageExchange(SID, CONTACT, HOURS, answers, [BROKEN] * failures, bool(failures), 0.25)


@pytest.mark.parametrize(
    ("returned", "stored", "faults"),
    [
        (exchange(RIGHT), StoredMessage(RIGHT, 1), (0, 0, 0, 0, 0)),
        (exchange(RIGHT, RIGHT), StoredMessage(RIGHT, 1), (0, 0, 0, 0, 0)),
        (exchange(FALLBACK, failures=1), StoredMessage(FALLBACK, 1), (0, 0, 0, 0, 0)),
        (exchange(failures=2), StoredMessage(None, 0), (1, 0, 0, 0, 0)),
        (exchange(OTHER), StoredMessage(OTHER, 1), (0, 1, 0, 0, 0)),
        (exchange(FALLBACK), StoredMessage(FALLBACK, 1), (0, 1, 0, 0, 0)),
        (exchange(RIGHT, FALLBACK, failures=1), StoredMessage(RIGHT, 1), (0, 0, 1, 0, 0)),
        (exchange(RIGHT), StoredMessage(OTHER, 1), (0, 0, 0, 1, 0)),
        (exchange(RIGHT), StoredMessage(None, 1), (0, 0, 0, 0, 1)),
        (exchange(RIGHT), StoredMessage(None, 0), (0, 0, 0, 0, 1)),
        (exchange(RIGHT), StoredMessage(RIGHT, 2), (0, 0, 0, 0, 1)),
    ],
    ids=[
        "right", "right twice", "fallback", "unanswered", "wrong", "no fallback called", "two answers",
        "stored otherwise", "stored without answer", "lost", "journaled twice",
    ],
)  # fmt: skip
def test_each_kind_of_fault_is_counted(
    returned: MessageExchange, stored: StoredMessage, faults: tuple[int, ...]
) -> None:
    audit = compare([returned], set(), {SID: stored})
    assert (audit.unanswered, audit.wrong, audit.twice, audit.differs, audit.lost) == faults
    assert audit.passed == (not any(faults))
    assert bool(audit.errors) == (not audit.passed)
    assert audit.slowest == 0.25


@pytest.mark.parametrize(("body", "wrong"), [(b"<Response/>", 0), (RIGHT, 1), (FALLBACK, 1)])
def test_a_contact_who_has_opted_out_gets_no_fallback_reply(body: bytes, wrong: int) -> None:
    audit = compare([exchange(body, failures=1)], {SID}, {SID: StoredMessage(body, 1)})
    assert audit.wrong == wrong


@pytest.mark.parametrize(
    ("store_was_down", "failures", "passed"), [(True, 1, True), (True, 0, False), (False, 1, False)]
)
def test_the_journal_may_differ_only_after_a_fallback_while_valkey_was_down(
    store_was_down: bool, failures: int, passed: bool
) -> None:
    returned = exchange(FALLBACK if failures else RIGHT, failures=failures)
    audit = compare([returned], set(), {SID: StoredMessage(OTHER, 1)}, store_was_down)
    assert audit.differs == 1
    assert audit.passed is passed


@pytest.mark.parametrize(
    ("late", "passed"),
    [
        (LateReplies(3, 3), True),
        (LateReplies(3, 2), False),
        (LateReplies(3, 2, excused=True), True),
        (LateReplies(3, 3, twice=1), False),
        (LateReplies(3, 2, twice=1, excused=True), False),
    ],
)
def test_late_replies_arrive_once_and_may_miss_only_while_twilio_fails(
    late: LateReplies, passed: bool
) -> None:
    audit = compare([exchange(RIGHT)], set(), {SID: StoredMessage(RIGHT, 1)})
    assert replace(audit, late=late).passed is passed


def test_a_deployment_error_is_a_failure() -> None:
    audit = compare([exchange(RIGHT)], set(), {SID: StoredMessage(RIGHT, 1)})
    assert not replace(audit, deployment_errors=("still running",)).passed
