"""Status callbacks: the rank of each status, and the receipt that a callback contains."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sms_router.twilio.inbound import InvalidWebhook
from sms_router.twilio.status import MessageStatus, Receipt, parse_receipt

Status = MessageStatus
MESSAGE, ACCOUNT = "SM" + "0a" * 16, "AC" + "0b" * 16

CALLBACK = {
    "MessageSid": MESSAGE,
    "SmsSid": MESSAGE,
    "AccountSid": ACCOUNT,
    "MessagingServiceSid": "MG" + "0c" * 16,
    "From": "12345",
    "To": "+15005550006",
    "MessageStatus": "undelivered",
    "SmsStatus": "undelivered",
    "ErrorCode": "30006",
    "RawDlrDoneDate": "2611221158",
    "ApiVersion": "2010-04-01",
}

STARTS = [
    [Status.QUEUED],
    [Status.ACCEPTED, Status.QUEUED],
    [Status.SCHEDULED, Status.QUEUED],
    [Status.SCHEDULED, Status.ACCEPTED, Status.QUEUED],
]
ENDS = [
    [Status.FAILED],
    [Status.CANCELED],
    [Status.SENDING, Status.SENT],
    [Status.SENDING, Status.FAILED],
    [Status.SENDING, Status.SENT, Status.UNDELIVERED],
    [Status.SENDING, Status.SENT, Status.DELIVERED],
    [Status.SENT, Status.DELIVERED, Status.READ],
    [Status.SENT, Status.PARTIALLY_DELIVERED, Status.DELIVERED],
]
HISTORIES = [*(start + end for start in STARTS for end in ENDS), [Status.RECEIVING, Status.RECEIVED]]
TERMINAL = {Status.DELIVERED, Status.UNDELIVERED, Status.FAILED, Status.CANCELED, Status.READ}


@pytest.mark.parametrize("status", list(MessageStatus))
def test_a_status_is_parsed_by_its_name(status: MessageStatus) -> None:
    assert MessageStatus.parse(status.value) is status


@pytest.mark.parametrize("text", ["", "Delivered", "delivered ", "teleported"])
def test_an_unknown_status_is_none(text: str) -> None:
    assert MessageStatus.parse(text) is None


def test_the_ranks_are_those_of_the_stored_receipts() -> None:
    assert {status.value: (status.rank, status.is_delivered, status.is_failed) for status in Status} == {
        "scheduled": (0, False, False),
        "accepted": (1, False, False),
        "queued": (2, False, False),
        "sending": (3, False, False),
        "receiving": (3, False, False),
        "sent": (4, False, False),
        "received": (5, False, False),
        "partially_delivered": (6, False, False),
        "delivered": (7, True, False),
        "undelivered": (7, False, True),
        "failed": (7, False, True),
        "canceled": (7, False, False),
        "read": (8, True, False),
    }


@pytest.mark.parametrize("history", HISTORIES)
def test_each_status_of_a_history_has_a_higher_rank(history: list[MessageStatus]) -> None:
    assert all(before.rank < after.rank for before, after in pairwise(history))


@pytest.mark.parametrize("end", sorted(TERMINAL))
@pytest.mark.parametrize("late", sorted(set(MessageStatus) - {Status.READ}))
def test_no_status_but_read_outranks_a_terminal_one(end: MessageStatus, late: MessageStatus) -> None:
    assert late.rank <= end.rank


def test_a_callback_is_parsed() -> None:
    assert parse_receipt(CALLBACK, "r1") == Receipt(
        message_sid=MESSAGE,
        account_sid=ACCOUNT,
        status=Status.UNDELIVERED,
        error_code=30006,
        sender="12345",
        contact="+15005550006",
        reply_id="r1",
        service_sid=CALLBACK["MessagingServiceSid"],
    )


def test_a_missing_parameter_is_none() -> None:
    bare = {name: CALLBACK[name] for name in ("MessageSid", "AccountSid", "To", "SmsStatus")}
    receipt = parse_receipt(bare, None)
    assert isinstance(receipt, Receipt)
    assert (receipt.error_code, receipt.sender, receipt.reply_id) == (None, None, None)
    assert receipt.status is Status.UNDELIVERED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("", "MessageStatus is missing"),
        ("x" * 33, f"MessageStatus '{'x' * 32}' is unknown"),
    ],
)
def test_a_callback_without_a_known_status_is_invalid(status: str, reason: str) -> None:
    assert parse_receipt({**CALLBACK, "MessageStatus": status, "SmsStatus": ""}, None) == InvalidWebhook(
        reason
    )


@pytest.mark.parametrize("code", ["", "0", "-1", "30006.0", "x", "٣", "1" * 30])
def test_an_invalid_error_code_is_ignored(code: str) -> None:
    receipt = parse_receipt({**CALLBACK, "ErrorCode": code}, None)
    assert isinstance(receipt, Receipt)
    assert receipt.error_code is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"MessageSid": ""}, "MessageSid is missing"),
        ({"AccountSid": ""}, "AccountSid is missing"),
        ({"To": ""}, "To is missing"),
        ({"To": "1" * 400}, "To is longer than 320 characters"),
        ({"MessageSid": "SM1"}, "MessageSid is not SM or MM"),
        ({"MessageSid": MESSAGE + "\n"}, "MessageSid is not SM or MM"),
        ({"AccountSid": "SM" + "0" * 32}, "AccountSid is not AC"),
        ({"MessageStatus": "teleported"}, "MessageStatus 'teleported' is unknown"),
        ({"MessageStatus": "", "SmsStatus": ""}, "MessageStatus is missing"),
    ],
)
def test_an_invalid_callback_is_refused_with_the_reason(change: dict[str, str], reason: str) -> None:
    invalid = parse_receipt({**CALLBACK, **change}, None)
    assert isinstance(invalid, InvalidWebhook)
    assert invalid.reason.startswith(reason)
