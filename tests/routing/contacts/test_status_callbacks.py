from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from sms_router.store.keys import bucket_of
from sms_router.twilio.status import MessageStatus, Receipt
from tests.routing.workers import DAYS, Worker, worker

ACCOUNT = "AC" + "0" * 32
INBOUND = "SM" + "a" * 32
OUTBOUND = "SM" + "b" * 32
PERSON = "+14155550100"
BUCKET = bucket_of(PERSON)
RECEIPT = Receipt(
    message_sid=OUTBOUND,
    account_sid=ACCOUNT,
    status=MessageStatus.DELIVERED,
    error_code=None,
    sender="12345",
    person=PERSON,
    reply=f"{INBOUND}.0",
)


@pytest.fixture
def receipts(one: Worker) -> ReceiptHandler:
    return ReceiptHandler(one.journal, DAYS)


def stored(valkey: redis.Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.receipt(f"{ACCOUNT}/{OUTBOUND}")))


async def test_a_receipt_is_kept_and_named_by_the_message_it_answers(
    receipts: ReceiptHandler, valkey: redis.Redis
) -> None:
    await receipts.handle(replace(RECEIPT, status=MessageStatus.UNDELIVERED, error_code=30003))
    kept = stored(valkey)
    assert int(kept.pop(b"at:undelivered")) > 0
    assert kept == {
        b"status": b"undelivered",
        b"rank": b"7",
        b"error_code": b"30003",
        b"sender": b"12345",
        b"reply": f"{INBOUND}.0".encode(),
    }
    message = cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.message(f"{ACCOUNT}/{INBOUND}")))
    assert message == {f"sent:{OUTBOUND}".encode(): f"{INBOUND}.0".encode()}


async def test_a_late_report_of_an_earlier_status_changes_nothing(
    receipts: ReceiptHandler, valkey: redis.Redis
) -> None:
    for status in (MessageStatus.DELIVERED, MessageStatus.SENT, MessageStatus.UNDELIVERED):
        await receipts.handle(replace(RECEIPT, status=status))
    assert stored(valkey)[b"status"] == b"delivered"


@pytest.mark.parametrize(
    "reply", [None, "", "HOURS", f"{INBOUND}.", f"{INBOUND}.0\n", f"x{INBOUND}.0", "SM1.0"]
)
async def test_a_receipt_that_names_no_reply_of_ours_touches_no_message(
    receipts: ReceiptHandler, valkey: redis.Redis, reply: str | None
) -> None:
    await receipts.handle(replace(RECEIPT, reply=reply, sender=None))
    assert stored(valkey)[b"status"] == b"delivered"
    assert list(valkey.scan_iter("*:message:*")) == []


async def test_a_receipt_that_overtakes_the_answer_leaves_the_message_free(
    receipts: ReceiptHandler, one: Worker
) -> None:
    await receipts.handle(RECEIPT)
    key = MessageKey(f"{ACCOUNT}/{INBOUND}", PERSON)
    claimed = await one.records.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    assert claimed.attempt == 1
    answer = Answer(b"<Response/>", Outcome.SILENT)
    assert await one.records.commit(key, b"request", claimed, answer, JournalEntry("{}")) == answer


async def test_receipts_and_what_they_name_expire(receipts: ReceiptHandler, valkey: redis.Redis) -> None:
    await receipts.handle(RECEIPT)
    assert all(int(str(valkey.pttl(key))) > 0 for key in valkey.scan_iter())


async def test_a_receipt_waits_in_the_spool_while_redis_is_away(tmp_path: Path) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        await ReceiptHandler(alone.journal, DAYS).handle(RECEIPT)
        assert alone.spool.size == 1
