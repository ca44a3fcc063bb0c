"""What receipts teach: the same in every order, and once for each message."""

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
from tests.routing.workers import DAYS, Worker, worker

ACCOUNT = "AC" + "0" * 32
MG = "MG" + "1" * 32
PERSON = "+14155550123"
BUCKET = bucket_of(PERSON)
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
    return Receipt(sid, ACCOUNT, status, code, sender, PERSON, reply, service)


def lost(code: int, number: int = 0) -> Receipt:
    return receipt(MessageStatus.UNDELIVERED, code, number=number)


@dataclass(frozen=True, slots=True)
class School:
    """Receipts that learn, and what they have learned."""

    people: Contacts
    receipts: ReceiptHandler
    valkey: redis.Redis

    async def learn(self, receipts: Sequence[Receipt], scope: str = MG) -> Contact:
        for each in receipts:
            await self.receipts.handle(each)
        return await self.people.get(scope, PERSON)

    def messages(self, count: int) -> None:
        """Journal the messages that are answered, a minute apart."""
        for number in range(count):
            key = BUCKET.message(f"{ACCOUNT}/{inbound(number)}")
            self.valkey.hset(key, mapping={"received": THEN + number * 60_000, "answer": "<Response/>"})


def school_of(one: Worker, valkey: redis.Redis, pool: Pool | None = POOL) -> School:
    def pool_for(service: str | None, number: str) -> Pool | None:
        return pool if pool is not None and (service == MG or pool.holds(number)) else None

    people = Contacts(one.store, one.journal, pool_for, TABLE, lambda: NOW)
    return School(people, ReceiptHandler(one.journal, DAYS, ReceiptAnalyzer(people, pool_for)), valkey)


@pytest.fixture
def school(one: Worker, valkey: redis.Redis) -> School:
    school = school_of(one, valkey)
    school.messages(6)
    return school


def unreachable(person: Contact) -> set[str]:
    return {each.address for each in person.beliefs(TABLE, int(NOW * 1000))}


UNDELIVERED, DELIVERED = MessageStatus.UNDELIVERED, MessageStatus.DELIVERED


@pytest.mark.parametrize(
    ("receipts", "believed"),
    [
        ([lost(30006)], True),
        ([receipt(MessageStatus.FAILED, 21612)], True),
        ([lost(30003)], False),
        ([lost(30003), lost(30003)], False),
        ([lost(30003), lost(30003, 1)], True),
        ([lost(30006), receipt(DELIVERED, number=1)], False),
        ([lost(30006, 1), receipt(DELIVERED, number=0)], True),
        ([lost(30007)], False),
        ([lost(30005)], False),
        ([lost(39999)], False),
        ([receipt(MessageStatus.SENT, 30006)], False),
        ([receipt(MessageStatus.CANCELED, 30006)], False),
        ([receipt(UNDELIVERED, 30006, sender="+14155550100")], False),
        ([receipt(UNDELIVERED, 30006, sender=None)], False),
        ([receipt(UNDELIVERED, 30006, kind="MM")], False),
        ([lost(30006), receipt(DELIVERED, number=1, kind="MM")], True),
        ([lost(21606)], False),
        ([lost(21659)], False),
    ],
)
async def test_a_short_codes_failures_are_believed_as_the_table_says(
    school: School, receipts: list[Receipt], believed: bool
) -> None:
    assert unreachable(await school.learn(receipts)) == ({"12345"} if believed else set())


async def test_a_short_code_that_texted_abroad_does_not_reach(one: Worker, valkey: redis.Redis) -> None:
    abroad = Pool(MG, 1, (Sender("SC1", "12345", SenderKind.SHORT_CODE, "CA", SMS),))
    school = school_of(one, valkey, abroad)
    assert unreachable(await school.learn([lost(21606)])) == {"12345"}


async def test_a_picture_that_failed_says_nothing_about_texts(school: School, valkey: redis.Redis) -> None:
    answer = "<Response><Message><Media>https://a.example/b.png</Media></Message></Response>"
    valkey.hset(BUCKET.message(f"{ACCOUNT}/{inbound(0)}"), "answer", answer)
    assert unreachable(await school.learn([lost(30006)])) == set()
    second_part = receipt(UNDELIVERED, 30006, part=1)
    assert unreachable(await school.learn([second_part])) == {"12345"}


async def test_parts_of_one_answer_count_once(school: School) -> None:
    parts = [receipt(UNDELIVERED, 30003, part=part) for part in range(3)]
    assert unreachable(await school.learn(parts)) == set()


async def test_one_part_that_arrived_speaks_for_all(school: School) -> None:
    parts = [receipt(UNDELIVERED, 30006, part=0), receipt(DELIVERED, part=1)]
    assert unreachable(await school.learn(parts)) == set()


@pytest.mark.parametrize(("service", "scope"), [(None, MG), (MG, MG), ("MG9", "MG9")])
async def test_a_belief_belongs_to_the_service_of_the_sender(
    school: School, service: str | None, scope: str
) -> None:
    person = await school.learn([replace(lost(30006), service_sid=service)], scope)
    assert unreachable(person) == {"12345"}


async def test_without_a_pool_it_belongs_to_the_number(one: Worker, valkey: redis.Redis) -> None:
    school = school_of(one, valkey, None)
    assert unreachable(await school.learn([lost(30006)], "12345")) == {"12345"}


async def test_twilios_word_that_somebody_opted_out_puts_them_on_the_list(school: School) -> None:
    person = await school.learn([receipt(MessageStatus.FAILED, 21610, sender="+14155550100")])
    assert person.opted_out is not None
    assert (person.opted_out.source, person.opted_out.since) == ("21610", THEN)


async def test_a_late_word_of_an_old_opt_out_does_not_overrule_start(school: School) -> None:
    await school.people.opt_in(MG, PERSON, "START", f"{ACCOUNT}/{inbound(2)}")
    person = await school.learn([lost(21610, 1)])
    assert person.opted_out is None


async def test_the_last_sender_is_kept_where_another_could_have_answered(school: School) -> None:
    one, other = (
        receipt(DELIVERED, number=number, sender=sender)
        for number, sender in ((1, "+14155550100"), (0, "+12125550100"))
    )
    assert (await school.learn([one, other])).last_sender == "+14155550100"
    alone = [receipt(DELIVERED, number=3), receipt(DELIVERED, number=4, sender="+18885550100")]
    assert (await school.learn(alone)).last_sender == "+14155550100"


async def test_nothing_is_kept_of_people_whom_everything_reaches(school: School, valkey: redis.Redis) -> None:
    await school.learn([receipt(DELIVERED, number=number) for number in range(3)])
    assert valkey.exists(BUCKET.contact(MG, PERSON)) == 0


async def test_everything_that_is_learned_expires(school: School, valkey: redis.Redis) -> None:
    await school.learn([lost(30006), receipt(DELIVERED, number=1, sender="+14155550100")])
    for key in (BUCKET.contact(MG, PERSON), BUCKET.last_delivery(MG, PERSON)):
        assert 0 < int(str(valkey.pttl(key))) <= TABLE.max_ttl_ms


outgoing = st.builds(
    receipt,
    st.sampled_from([DELIVERED, UNDELIVERED, MessageStatus.FAILED]),
    st.sampled_from([30003, 30006, 21612, 21610, 30007]),
    number=st.integers(0, 5),
    part=st.integers(0, 1),
    sender=st.sampled_from(["12345", "+14155550100"]),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(outgoing, min_size=1, max_size=10, unique_by=lambda each: each.message_sid), st.randoms())
async def test_any_order_and_duplicates_teach_the_same(
    school: School, valkey: redis.Redis, receipts: list[Receipt], chance: random.Random
) -> None:
    def kept() -> tuple[dict[bytes, bytes], list[bytes]]:
        person = cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.contact(MG, PERSON)))
        return person, cast("list[bytes]", valkey.zrange(BUCKET.opt_outs, 0, -1, withscores=True))

    valkey.flushdb()
    school.messages(6)
    await school.learn(receipts)
    expected = kept()
    valkey.flushdb()
    school.messages(6)
    sent = [replace(each, status=MessageStatus.SENT, error_code=None) for each in receipts]
    shuffled = [*receipts, *receipts, *sent]
    chance.shuffle(shuffled)
    await school.learn(shuffled)
    assert kept() == expected


async def test_a_failure_is_counted_once_by_its_class_and_sender(school: School) -> None:
    first = [await school.receipts.handle(each) for each in (lost(30006), lost(39999, 1), lost(30007, 2))]
    assert first == [
        DeliveryFailure("sender", "12345"),
        DeliveryFailure("unknown", "12345"),
        DeliveryFailure("filtered", "12345"),
    ]
    assert await school.receipts.handle(lost(30006)) is None
    assert await school.receipts.handle(receipt(DELIVERED, number=4)) is None
    foreign = replace(lost(30007, 5), sender="+19995550100")
    assert await school.receipts.handle(foreign) == DeliveryFailure("filtered", "other")


async def test_a_new_belief_is_told_in_the_log_without_the_persons_number(
    school: School, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="sms_router.receipts"):
        await school.learn([lost(30003), lost(30007, 1), lost(30006, 2), lost(30006, 2)])
    (line,) = [each.getMessage() for each in caplog.records]
    assert line.startswith("12345 is believed not to reach +1415•••0123 until 2023-11-28")
    assert "(error 30006, failures: 1)" in line


async def test_what_is_learned_without_redis_is_learned_later(tmp_path: Path, valkey: redis.Redis) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        school = school_of(alone, valkey)
        assert await school.receipts.handle(lost(30006)) == DeliveryFailure("sender", "12345")
        assert alone.spool.size == 1


@pytest.mark.parametrize(("ahead", "believed"), [(-60, False), (86_400, True)])
async def test_what_arrived_before_the_clock_was_set_back_outweighs_no_later_failure(
    school: School, ahead: int, believed: bool
) -> None:
    now = int(str(school.valkey.time()[0])) * 1000
    school.valkey.hset(BUCKET.last_delivery(MG, PERSON), "12345", now + ahead * 1000)
    school.valkey.pexpire(BUCKET.last_delivery(MG, PERSON), 60_000)
    assert unreachable(await school.learn([lost(30006)])) == ({"12345"} if believed else set())
