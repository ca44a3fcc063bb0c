"""The texts of a message are removed before the rest of its record, on every kind of Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import redis

from sms_router.delivery.entry import MessagePart, ReplyKind
from sms_router.routing.history.body_retention import KEPT_PARAMETERS, BodyRetention
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import parse_record
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.store import Store
from sms_router.twilio.twiml import OutboundMessage, render
from tests.routing.messages import ACCOUNT, CONTACT

BATCH = 50  # messages that one run of the script handles
HOUR = 3_600_000
DAY = 24 * HOUR
BUCKET = bucket_of(CONTACT)
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
ANSWER = render([OutboundMessage("the secret answer", sender="12345")])


@pytest.fixture
async def retention(valkey_url: str) -> AsyncIterator[BodyRetention]:
    store = Store(valkey_url)
    await store.start()
    yield BodyRetention(store, 1.0, 7.0)
    await store.aclose()


def write(valkey: redis.Redis, number: int, hours_ago: float) -> str:
    """Store a message that was received so many hours ago."""
    seconds, _ = valkey.time()
    received = int(seconds * 1000 - hours_ago * HOUR)
    sid = f"SM{number:032x}"
    reference = f"{ACCOUNT}/{sid}"
    form = {
        "MessageSid": sid,
        "AccountSid": ACCOUNT,
        "From": CONTACT,
        "To": "12345",
        "Body": "the secret text",
        "FromZip": "94105",
        "NumMedia": "1",
        "MediaUrl0": "https://secret.example.com",
    }
    fields: dict[Any, Any] = {
        b"request": urlencode(form).encode(),
        b"received": str(received).encode(),
        b"answer": ANSWER,
        b"outcome": b"late",
        b"trail": b"HOURS\n12345: chosen: texted",
        b"late": ANSWER,
        b"late:trail": b"HOURS",
        b"send:late.0": b'{"state": "sent", "at": 1, "sid": "SM1", "sender": "12345"}',
    }
    valkey.hset(BUCKET.message(reference), mapping=fields)
    valkey.xadd(BUCKET.journal, {"message": reference}, id=f"{received}-*")
    return reference


def record_of(valkey: redis.Redis, reference: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(BUCKET.message(reference)))


async def test_the_texts_are_removed_and_the_rest_of_the_record_stays(
    retention: BodyRetention, valkey: redis.Redis
) -> None:
    old = write(valkey, 1, 25)
    young = write(valkey, 2, 23)
    assert await retention.sweep() == 1
    fields = record_of(valkey, old)
    assert b"secret" not in b"".join(fields.values())
    assert b"94105" not in b"".join(fields.values())
    assert (fields[b"answer"], fields[b"late"]) == (EMPTY, EMPTY)
    record = parse_record(old, fields, {}, ())
    assert record.message is not None
    assert (record.message.sender, record.message.recipient, record.message.body) == (CONTACT, "12345", "")
    assert (record.outcome, record.rule, record.trail) == ("late", "HOURS", ("12345: chosen: texted",))
    assert [attempt.part for attempt in record.attempts] == [MessagePart(ReplyKind.LATE, 0)]
    assert record.bodies_removed is not None
    assert b"secret" in record_of(valkey, young)[b"request"]
    assert [recent.sid for recent in HistoryReader(valkey).recent(5)] == [
        young.partition("/")[2],
        old.partition("/")[2],
    ]


async def test_every_message_is_handled_once(retention: BodyRetention, valkey: redis.Redis) -> None:
    count = 2 * BATCH + 1
    for number in range(count):
        write(valkey, number, 48 - number / 1000)
    assert await retention.sweep() == count
    assert await retention.sweep() == 0
    added = write(valkey, count, 47)
    assert await retention.sweep() == 1
    assert valkey.hexists(BUCKET.message(added), "bodies:removed")


async def test_a_deleted_record_is_not_created_again(retention: BodyRetention, valkey: redis.Redis) -> None:
    reference = write(valkey, 1, 48)
    valkey.delete(BUCKET.message(reference))
    assert await retention.sweep() == 1
    assert not valkey.exists(BUCKET.message(reference))


async def test_the_expiry_of_a_record_is_not_extended(retention: BodyRetention, valkey: redis.Redis) -> None:
    reference = write(valkey, 1, 48)
    valkey.pexpire(BUCKET.message(reference), 5 * DAY)
    await retention.sweep()
    assert 0 < valkey.pttl(BUCKET.message(reference)) <= 5 * DAY
    assert 0 < valkey.pttl(BUCKET.body_retention_cursor) <= 7 * DAY


def test_the_parameters_that_stay_contain_nothing_that_the_contact_wrote() -> None:
    assert {"MessageSid", "AccountSid", "From", "To"} <= set(KEPT_PARAMETERS)
    assert not {"Body", "MediaUrl0", "FromZip", "FromCity", "ProfileName"} & set(KEPT_PARAMETERS)
    assert len({bucket.body_retention_cursor for bucket in ALL_BUCKETS}) == len(ALL_BUCKETS)
