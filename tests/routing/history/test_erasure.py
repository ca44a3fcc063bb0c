"""Erasing a contact removes everything about them, and nothing about other contacts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.history.erasure import ContactEraser
from sms_router.store.keys import ALL_BUCKETS, CONSENTS_CHANNEL, SUSPECTED, Bucket, bucket_of
from tests.routing.messages import ACCOUNT, CONTACT

SERVICE, OTHER_SERVICE = "MG" + "1" * 32, "MG" + "2" * 32


def neighbour_of(contact: str) -> str:
    """Return another contact of the same bucket."""
    number = int(contact[1:])
    while bucket_of(f"+{(number := number + 1)}") is not bucket_of(contact):
        pass
    return f"+{number}"


NEIGHBOUR = neighbour_of(CONTACT)


def sid_of(contact: str, number: int) -> str:
    return f"SM{contact[1:]:0>16}{number:016x}"


def write(client: redis.Redis, contact: str, number: int, **more: str) -> str:
    """Store a message with its receipt and dead letter, as the scripts do."""
    bucket, sid = bucket_of(contact), sid_of(contact, number)
    reference = f"{ACCOUNT}/{sid}"
    request = (
        f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{contact[1:]}&To=12345&Body=secret+of+{contact[1:]}"
    )
    outgoing = f"SM{number:032x}"
    fields: dict[Any, Any] = {
        "request": request,
        "answer": "<Response/>",
        f"sent:{outgoing}": f"{sid}.0",
        **more,
    }
    client.hset(bucket.message(reference), mapping=fields)
    client.xadd(bucket.journal, {"message": reference})
    client.xadd(bucket.dead_letters, {"message": reference, "cause": "failed"})
    client.hset(bucket.receipt(f"{ACCOUNT}/{outgoing}"), "status", "sent")
    return reference


def write_contact(client: redis.Redis, contact: str) -> None:
    """Store everything else that is data about a contact."""
    bucket = bucket_of(contact)
    for scope in (SERVICE, OTHER_SERVICE, "12345"):
        client.hset(bucket.contact(scope, contact), mapping={"12345": "30006@1", ":sticky-sender": "12345 1"})
        client.hset(bucket.last_delivery(scope, contact), "12345", 1)
    client.hset(bucket.contact(SERVICE, contact), ":opt-out", "2 1 STOP")
    client.zadd(bucket.opt_outs, {f"{SERVICE} {contact}": 1})
    client.hset(SUSPECTED, f"{SERVICE} {contact}", f"1 {ACCOUNT}/{sid_of(contact, 0)}")
    client.set(bucket.cookies(contact, "12345"), "[]")
    client.hset(bucket.conversation(SERVICE, contact), "state", "{}")
    entry = OutboxEntry(f"{ACCOUNT}/{sid_of(contact, 0)}", "late", SERVICE, contact)
    client.zadd(bucket.outbox, {entry.line: 1})
    client.zadd(bucket.scheduled, {entry._replace(reference=f"{ACCOUNT}/scheduled").line: 1})
    client.hset(bucket.message(f"{ACCOUNT}/scheduled"), "request", f"From={contact}")


def everything(client: redis.Redis) -> dict[str, str]:
    """Return everything that is stored, as text."""

    def contents(key: bytes) -> object:
        match client.type(key):
            case b"hash":
                return client.hgetall(key)
            case b"zset":
                return client.zrange(key, 0, -1)
            case b"stream":
                return client.xrange(key)
        return client.get(key)

    return {key.decode(): repr(contents(key)) for key in client.scan_iter()}


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    assert bucket_of(NEIGHBOUR) is bucket_of(CONTACT)
    assert NEIGHBOUR != CONTACT
    yield bucket_of(CONTACT)


def test_no_key_or_value_with_the_number_is_left(valkey: redis.Redis) -> None:
    for contact in (CONTACT, NEIGHBOUR):
        write_contact(valkey, contact)
        for number in range(3):
            reference = write(valkey, contact, number + 10 * (contact == NEIGHBOUR))
        key = bucket_of(contact).message(reference)
        by_rcs = cast("bytes", valkey.hget(key, "request")).replace(b"From=", b"From=rcs%3A")
        valkey.hset(key, "request", by_rcs)
    neighbours = {
        key: content for key, content in everything(valkey).items() if NEIGHBOUR[1:] in key + content
    }
    eraser = ContactEraser(valkey, CONTACT)
    data = eraser.find()
    assert dict(data.counts) == {
        "messages": 4,
        "receipts": 3,
        "dead_letters": 3,
        "outbox": 2,
        "suspected": 1,
        "contact": 3,
        "last_delivery": 3,
        "cookies": 1,
        "conversation": 1,
    }
    eraser.remove(data, opt_out_too=True)
    stored = everything(valkey)
    assert not [key for key, content in stored.items() if CONTACT[1:] in key + content]
    assert {key for key in neighbours if key.count(NEIGHBOUR[1:])} <= stored.keys()
    assert dict(ContactEraser(valkey, NEIGHBOUR).find().counts) == dict(data.counts)
    assert not ContactEraser(valkey, CONTACT).find().counts


def test_the_contact_stays_on_the_opt_out_list_by_default(valkey: redis.Redis, bucket: Bucket) -> None:
    write_contact(valkey, CONTACT)
    eraser = ContactEraser(valkey, CONTACT)
    eraser.remove(eraser.find(), opt_out_too=False)
    assert valkey.hgetall(bucket.contact(SERVICE, CONTACT)) == {b":opt-out": b"2 1 STOP"}
    assert valkey.zrange(bucket.opt_outs, 0, -1) == [f"{SERVICE} {CONTACT}".encode()]
    assert not valkey.exists(bucket.contact(OTHER_SERVICE, CONTACT), bucket.last_delivery(SERVICE, CONTACT))
    again = ContactEraser(valkey, CONTACT).find()
    assert not again.counts
    assert len(again.opt_outs) == 1


def test_a_claimed_message_is_left_and_reported(valkey: redis.Redis, bucket: Bucket) -> None:
    reference = write(valkey, CONTACT, 1, lease_until="9" * 13)
    valkey.hdel(bucket.message(reference), "answer")
    eraser = ContactEraser(valkey, CONTACT)
    data = eraser.find()
    assert (data.in_progress, dict(data.counts)) == ([reference], {})
    eraser.remove(data, opt_out_too=False)
    assert valkey.exists(bucket.message(reference))
    valkey.hset(bucket.message(reference), "lease_until", 1)
    assert eraser.find().counts["messages"] == 1


def test_more_entries_than_one_batch_are_searched(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.history.erasure.BATCH", 2)
    for number in range(7):
        write(valkey, CONTACT if number % 2 else NEIGHBOUR, number)
    progress: list[int] = []
    eraser = ContactEraser(valkey, CONTACT, progress.append)
    data = eraser.find()
    assert data.counts["messages"] == data.counts["dead_letters"] == 3
    assert sum(progress) >= 14
    eraser.remove(data, opt_out_too=False)
    assert ContactEraser(valkey, NEIGHBOUR).find().counts["messages"] == 4


def test_a_number_with_special_characters_matches_only_itself(valkey: redis.Redis) -> None:
    names = ["My*Shop", "MyBigShop", "[a-z]", "x"]
    for name in names:
        valkey.hset(bucket_of(name).contact(SERVICE, name), ":sticky-sender", "12345 1")
    for name in names:
        assert dict(ContactEraser(valkey, name).find().counts) == {"contact": 1}


def test_every_key_of_a_contact_ends_with_the_number() -> None:
    """`ContactEraser` finds keys by this, also those that will be added."""
    without_number = re.compile(
        r"^(message|receipt|journal|dead_letters|opt_outs|outbox|scheduled|probe|body_retention_cursor"
        r"|abandoned_cursor|events|consents|consent_epoch|consent_loss|number|tag)$"
    )
    for name in dir(Bucket):
        if name.startswith("_") or without_number.match(name):
            continue
        arguments = (CONTACT, "12345") if name == "cookies" else ("scope", CONTACT)
        key = getattr(ALL_BUCKETS[0], name)(*arguments)
        assert key.endswith(f":{CONTACT}".encode()), name


def test_a_dead_letter_without_its_message_is_ignored(valkey: redis.Redis, bucket: Bucket) -> None:
    valkey.xadd(bucket.dead_letters, {"message": f"{ACCOUNT}/{sid_of(CONTACT, 9)}", "cause": json.dumps({})})
    assert not ContactEraser(valkey, CONTACT).find().counts


def test_an_outbox_entry_that_cannot_be_parsed_is_ignored(valkey: redis.Redis, bucket: Bucket) -> None:
    write_contact(valkey, CONTACT)
    valkey.zadd(bucket.outbox, {b"of tomorrow": 1, b"\xff": 1})
    assert ContactEraser(valkey, CONTACT).find().counts["outbox"] == 2


def test_the_removal_of_an_opt_out_is_published(valkey: redis.Redis) -> None:
    write_contact(valkey, CONTACT)
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(CONSENTS_CHANNEL)
        eraser = ContactEraser(valkey, CONTACT)
        data = eraser.find()
        eraser.remove(data, opt_out_too=False)
        eraser.remove(data, opt_out_too=True)
        published: list[bytes] = []
        while len(published) < 1:
            if notification := channel.get_message(timeout=5):
                published.append(notification["data"])
        assert channel.get_message(timeout=0.05) is None
    assert published == [f"forget 0 {SERVICE} {CONTACT}".encode()]
