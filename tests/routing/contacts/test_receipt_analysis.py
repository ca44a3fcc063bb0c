"""What receipts prove: the same in every order, and once for each message."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router.routing.contacts.contact import Contact
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import DeliveryFailure, ReceiptHandler
from sms_router.senders.error_table import ErrorTable, load_error_table
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.store.keys import bucket_of
from sms_router.twilio.status import MessageStatus, Receipt
from tests.routing.workers import START, Worker, worker

ACCOUNT = "AC" + "0" * 32
MG = "MG" + "1" * 32
CONTACT = "+14155550123"
BUCKET = bucket_of(CONTACT)
TABLE: ErrorTable = load_error_table()
SMS = Capability.SMS
POOL = Pool(
    MG,
    1,
    (
        Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", SMS),
        Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", SMS),
        Sender("PN2", "+12125550100", SenderKind.LONG_CODE, "US", SMS),
        Sender("PN3", "+18885550100", SenderKind.TOLL_FREE, "US", SMS),
    ),
)
THEN = 1_700_000_000_000
NOW = THEN / 1000 + 3600


def inbound(number: int) -> str:
    return f"SM{number:032}"


def receipt(
    status: MessageStatus,
    code: int | None = None,
    *,
    number: int = 0,
    part: int = 0,
    sender: str | None = "12345",
    kind: str = "SM",
    service: str | None = None,
) -> Receipt:
    """A receipt of one part of the answer to the message of this number."""
    sid = f"{kind}{part:x}{number:031}"
    reply = f"{inbound(number)}.{part}"
    return Receipt(sid, ACCOUNT, status, code, sender, CONTACT, reply, service)


def undelivered(code: int, number: int = 0) -> Receipt:
    return receipt(MessageStatus.UNDELIVERED, code, number=number)


@dataclass(frozen=True, slots=True)
class ReceiptFixture:
    """A receipt handler and the contacts that it changes."""

    contacts: Contacts
    handler: ReceiptHandler
    valkey: redis.Redis

    async def handle(self, receipts: Sequence[Receipt], scope: str = MG) -> Contact:
        for receipt in receipts:
            await self.handler.handle(receipt)
        return await self.contacts.get(scope, CONTACT)

    def store_messages(self, count: int) -> None:
        """Store the messages of the replies, a minute apart."""
        for number in range(count):
            key = BUCKET.message(f"{ACCOUNT}/{inbound(number)}")
            self.valkey.hset(key, mapping={"received": THEN + number * 60_000, "answer": "<Response/>"})


def fixture_of(one: Worker, valkey: redis.Redis, pool: Pool | None = POOL) -> ReceiptFixture:
    def pool_for(service: str | None, number: str, _account: str) -> Pool | None:
        return pool if pool is not None and (service == MG or pool.holds(number)) else None

    contacts = Contacts(one.store, one.journal, pool_for, TABLE, lambda: NOW)
    return ReceiptFixture(
        contacts, ReceiptHandler(one.journal, 1.0, ReceiptAnalyzer(contacts, pool_for)), valkey
    )


@pytest.fixture
def receipts(one: Worker, valkey: redis.Redis) -> ReceiptFixture:
    receipts = fixture_of(one, valkey)
    receipts.store_messages(6)
    return receipts


def unreachable(contact: Contact) -> set[str]:
    return {sender.address for sender in contact.unreachable_senders(TABLE, int(NOW * 1000))}


UNDELIVERED, DELIVERED = MessageStatus.UNDELIVERED, MessageStatus.DELIVERED


@pytest.mark.parametrize(
    ("reported", "is_unreachable"),
    [
        ([undelivered(30006)], True),
        ([receipt(MessageStatus.FAILED, 21612)], True),
        ([undelivered(30003)], False),
        ([undelivered(30003), undelivered(30003)], False),
        ([undelivered(30003), undelivered(30003, 1)], True),
        ([undelivered(30006), receipt(DELIVERED, number=1)], False),
        ([undelivered(30006, 1), receipt(DELIVERED, number=0)], True),
        ([undelivered(30007)], False),
        ([undelivered(30005)], False),
        ([undelivered(39999)], False),
        ([receipt(MessageStatus.SENT, 30006)], False),
        ([receipt(MessageStatus.CANCELED, 30006)], False),
        ([receipt(UNDELIVERED, 30006, sender="+14155550100")], False),
        ([receipt(UNDELIVERED, 30006, sender=None)], False),
        ([receipt(UNDELIVERED, 30006, kind="MM")], False),
        ([undelivered(30006), receipt(DELIVERED, number=1, kind="MM")], True),
        ([undelivered(21606)], False),
        ([undelivered(21659)], False),
    ],
)
async def test_a_short_code_is_unreachable_by_the_error_table(
    receipts: ReceiptFixture, reported: list[Receipt], is_unreachable: bool
) -> None:
    assert unreachable(await receipts.handle(reported)) == ({"12345"} if is_unreachable else set())


async def test_a_short_code_of_another_country_is_unreachable(one: Worker, valkey: redis.Redis) -> None:
    abroad = Pool(MG, 1, (Sender("SC1", "12345", SenderKind.SHORT_CODE, "CA", SMS),))
    receipts = fixture_of(one, valkey, abroad)
    assert unreachable(await receipts.handle([undelivered(21606)])) == {"12345"}


async def test_a_failed_message_with_media_is_no_evidence(
    receipts: ReceiptFixture, valkey: redis.Redis
) -> None:
    answer = "<Response><Message><Media>https://a.example/b.png</Media></Message></Response>"
    valkey.hset(BUCKET.message(f"{ACCOUNT}/{inbound(0)}"), "answer", answer)
    assert unreachable(await receipts.handle([undelivered(30006)])) == set()
    second_part = receipt(UNDELIVERED, 30006, part=1)
    assert unreachable(await receipts.handle([second_part])) == {"12345"}


async def test_the_parts_of_one_reply_count_once(receipts: ReceiptFixture) -> None:
    parts = [receipt(UNDELIVERED, 30003, part=part) for part in range(3)]
    assert unreachable(await receipts.handle(parts)) == set()


async def test_one_delivered_part_outweighs_the_failed_ones(receipts: ReceiptFixture) -> None:
    parts = [receipt(UNDELIVERED, 30006, part=0), receipt(DELIVERED, part=1)]
    assert unreachable(await receipts.handle(parts)) == set()


@pytest.mark.parametrize(("service", "scope"), [(None, MG), (MG, MG), ("MG9", "MG9")])
async def test_evidence_belongs_to_the_service_of_the_sender(
    receipts: ReceiptFixture, service: str | None, scope: str
) -> None:
    contact = await receipts.handle([replace(undelivered(30006), service_sid=service)], scope)
    assert unreachable(contact) == {"12345"}


async def test_without_a_pool_evidence_belongs_to_the_number(one: Worker, valkey: redis.Redis) -> None:
    receipts = fixture_of(one, valkey, None)
    assert unreachable(await receipts.handle([undelivered(30006)], "12345")) == {"12345"}


async def test_error_21610_puts_the_contact_on_the_opt_out_list(receipts: ReceiptFixture) -> None:
    contact = await receipts.handle([receipt(MessageStatus.FAILED, 21610, sender="+14155550100")])
    assert contact.opted_out is not None
    assert (contact.opted_out.source, contact.opted_out.since) == ("21610", THEN)


async def test_error_21610_of_an_earlier_message_does_not_undo_a_start(receipts: ReceiptFixture) -> None:
    await receipts.contacts.change_consent(MG, CONTACT, START, f"{ACCOUNT}/{inbound(2)}")
    contact = await receipts.handle([undelivered(21610, 1)])
    assert contact.opted_out is None


async def test_the_last_sender_is_stored_where_there_are_alternatives(receipts: ReceiptFixture) -> None:
    one, other = (
        receipt(DELIVERED, number=number, sender=sender)
        for number, sender in ((1, "+14155550100"), (0, "+12125550100"))
    )
    assert (await receipts.handle([one, other])).last_sender == "+14155550100"
    alone = [receipt(DELIVERED, number=3), receipt(DELIVERED, number=4, sender="+18885550100")]
    assert (await receipts.handle(alone)).last_sender == "+14155550100"


async def test_nothing_is_stored_of_a_contact_whom_every_sender_reaches(
    receipts: ReceiptFixture, valkey: redis.Redis
) -> None:
    await receipts.handle([receipt(DELIVERED, number=number) for number in range(3)])
    assert valkey.exists(BUCKET.contact(MG, CONTACT)) == 0


async def test_all_evidence_expires(receipts: ReceiptFixture, valkey: redis.Redis) -> None:
    await receipts.handle([undelivered(30006), receipt(DELIVERED, number=1, sender="+14155550100")])
    for key in (BUCKET.contact(MG, CONTACT), BUCKET.last_delivery(MG, CONTACT)):
        assert 0 < int(str(valkey.pttl(key))) <= 14 * 86_400_000


outgoing = st.builds(
    receipt,
    st.sampled_from([DELIVERED, UNDELIVERED, MessageStatus.FAILED]),
    st.sampled_from([30003, 30006, 21612, 21610, 30007]),
    number=st.integers(0, 5),
    part=st.integers(0, 1),
    sender=st.sampled_from(["12345", "+14155550100"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(outgoing, min_size=1, max_size=10, unique_by=lambda receipt: receipt.message_sid), st.randoms()
)
async def test_any_order_and_duplicates_have_the_same_result(
    receipts: ReceiptFixture, valkey: redis.Redis, reported: list[Receipt], chance: random.Random
) -> None:
    def stored() -> tuple[dict[bytes, bytes], list[bytes]]:
        contact = cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.contact(MG, CONTACT)))
        return contact, cast("list[bytes]", valkey.zrange(BUCKET.opt_outs, 0, -1, withscores=True))

    valkey.flushdb()
    receipts.store_messages(6)
    await receipts.handle(reported)
    expected = stored()
    valkey.flushdb()
    receipts.store_messages(6)
    sent = [replace(one, status=MessageStatus.SENT, error_code=None) for one in reported]
    shuffled = [*reported, *reported, *sent]
    chance.shuffle(shuffled)
    await receipts.handle(shuffled)
    assert stored() == expected


async def test_a_failure_is_counted_once_by_its_class_and_sender(receipts: ReceiptFixture) -> None:
    failures = [
        await receipts.handler.handle(one)
        for one in (undelivered(30006), undelivered(39999, 1), undelivered(30007, 2))
    ]
    assert failures == [
        DeliveryFailure("sender", "12345"),
        DeliveryFailure("unknown", "12345"),
        DeliveryFailure("filtered", "12345"),
    ]
    assert await receipts.handler.handle(undelivered(30006)) is None
    assert await receipts.handler.handle(receipt(DELIVERED, number=4)) is None
    foreign = replace(undelivered(30007, 5), sender="+19995550100")
    assert await receipts.handler.handle(foreign) == DeliveryFailure("filtered", "other")


async def test_an_unreachable_sender_is_logged_with_a_masked_number(
    receipts: ReceiptFixture, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sms_router.receipts"):
        await receipts.handle(
            [undelivered(30003), undelivered(30007, 1), undelivered(30006, 2), undelivered(30006, 2)]
        )
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "messages from 12345 do not reach +1415•••0123 (error 30006, failures: 1); another sender"
    )
    assert line.endswith("is used until 2023-11-28 22:15 UTC")


async def test_without_redis_a_receipt_is_stored_in_the_spool(tmp_path: Path, valkey: redis.Redis) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        receipts = fixture_of(alone, valkey)
        assert await receipts.handler.handle(undelivered(30006)) == DeliveryFailure("sender", "12345")
        assert alone.spool.size == 1


@pytest.mark.parametrize(("ahead", "is_unreachable"), [(-60, False), (86_400, True)])
async def test_a_delivery_with_a_time_in_the_future_does_not_outweigh_a_failure(
    receipts: ReceiptFixture, ahead: int, is_unreachable: bool
) -> None:
    now = int(str(receipts.valkey.time()[0])) * 1000
    receipts.valkey.hset(BUCKET.last_delivery(MG, CONTACT), "12345", now + ahead * 1000)
    receipts.valkey.pexpire(BUCKET.last_delivery(MG, CONTACT), 60_000)
    assert unreachable(await receipts.handle([undelivered(30006)])) == (
        {"12345"} if is_unreachable else set()
    )
