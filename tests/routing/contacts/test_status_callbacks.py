"""Storing receipts with the message whose reply they report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import redis

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.inbox.answer import Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed
from sms_router.senders.error_table import load_error_table
from sms_router.senders.pool import Pool
from sms_router.store.keys import bucket_of
from sms_router.twilio.status import MessageStatus, Receipt
from tests.routing.workers import Worker, worker

ACCOUNT = "AC" + "0" * 32
INBOUND = "SM" + "a" * 32
OUTBOUND = "SM" + "b" * 32
CONTACT = "+14155550100"
BUCKET = bucket_of(CONTACT)
RECEIPT = Receipt(
    message_sid=OUTBOUND,
    account_sid=ACCOUNT,
    status=MessageStatus.DELIVERED,
    error_code=None,
    sender="12345",
    contact=CONTACT,
    reply_id=f"{INBOUND}.0",
)


def handler_of(one: Worker) -> ReceiptHandler:
    def pool_for(_service: str | None, _number: str, _account: str) -> Pool | None:
        return None

    contacts = Contacts(one.store, one.journal, pool_for, load_error_table())
    return ReceiptHandler(one.journal, 1.0, ReceiptAnalyzer(contacts, pool_for))


@pytest.fixture
def receipts(one: Worker) -> ReceiptHandler:
    return handler_of(one)


def stored(valkey: redis.Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.receipt(f"{ACCOUNT}/{OUTBOUND}")))


async def test_a_receipt_is_stored_and_noted_with_the_message_of_the_reply(
    receipts: ReceiptHandler, valkey: redis.Redis
) -> None:
    await receipts.handle(replace(RECEIPT, status=MessageStatus.UNDELIVERED, error_code=30003))
    fields = stored(valkey)
    assert int(fields.pop(b"at:undelivered")) > 0
    assert fields == {
        b"status": b"undelivered",
        b"rank": b"7",
        b"error_code": b"30003",
        b"sender": b"12345",
        b"reply": f"{INBOUND}.0".encode(),
    }
    message = cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.message(f"{ACCOUNT}/{INBOUND}")))
    assert message == {f"sent:{OUTBOUND}".encode(): f"{INBOUND}.0".encode()}


async def test_an_earlier_status_that_arrives_late_changes_nothing(
    receipts: ReceiptHandler, valkey: redis.Redis
) -> None:
    for status in (MessageStatus.DELIVERED, MessageStatus.SENT, MessageStatus.UNDELIVERED):
        await receipts.handle(replace(RECEIPT, status=status))
    assert stored(valkey)[b"status"] == b"delivered"


@pytest.mark.parametrize(
    "reply_id", [None, "", "HOURS", f"{INBOUND}.", f"{INBOUND}.0\n", f"x{INBOUND}.0", "SM1.0"]
)
async def test_a_receipt_without_a_valid_reply_id_is_noted_with_no_message(
    receipts: ReceiptHandler, valkey: redis.Redis, reply_id: str | None
) -> None:
    await receipts.handle(replace(RECEIPT, reply_id=reply_id, sender=None))
    assert stored(valkey)[b"status"] == b"delivered"
    assert list(valkey.scan_iter("*:message:*")) == []


async def test_a_message_can_be_claimed_after_a_receipt_has_overtaken_it(
    receipts: ReceiptHandler, one: Worker
) -> None:
    await receipts.handle(RECEIPT)
    key = MessageKey(f"{ACCOUNT}/{INBOUND}", CONTACT)
    claimed = await one.inbox.claim(key, b"request", fallback=False)
    assert isinstance(claimed, Claimed)
    assert claimed.attempt == 1
    answer = Answer(b"<Response/>", Outcome.SILENT)
    assert await one.inbox.commit(key, b"request", claimed, answer, JournalEntry("{}")) == answer


async def test_everything_that_a_receipt_stores_expires(
    receipts: ReceiptHandler, valkey: redis.Redis
) -> None:
    await receipts.handle(RECEIPT)
    assert all(int(str(valkey.pttl(key))) > 0 for key in valkey.scan_iter())


async def test_a_receipt_is_stored_in_the_spool_while_redis_is_unavailable(tmp_path: Path) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        await handler_of(alone).handle(RECEIPT)
        assert alone.spool.size == 1
