"""A person is forgotten: nothing that names them is left, and nothing of anybody else is gone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from sms_router.delivery.entry import OutboxEntry
from sms_router.routing.history.erasure import ContactEraser
from sms_router.store.keys import ALL_BUCKETS, CONSENTS_CHANNEL, Bucket, bucket_of
from tests.routing.messages import ACCOUNT, PERSON

SERVICE, OTHER_SERVICE = "MG" + "1" * 32, "MG" + "2" * 32


def neighbour_of(person: str) -> str:
    """Return somebody else whose data lie in the same bucket."""
    number = int(person[1:])
    while bucket_of(f"+{(number := number + 1)}") is not bucket_of(person):
        pass
    return f"+{number}"


NEIGHBOUR = neighbour_of(PERSON)


def sid_of(person: str, number: int) -> str:
    return f"SM{person[1:]:0>16}{number:016x}"


def write(client: redis.Redis, person: str, number: int, **more: str) -> str:
    """Write down a message with its receipt and dead letter, as the scripts do."""
    bucket, sid = bucket_of(person), sid_of(person, number)
    reference = f"{ACCOUNT}/{sid}"
    request = (
        f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{person[1:]}&To=12345&Body=secret+of+{person[1:]}"
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


def write_person(client: redis.Redis, person: str) -> None:
    """Write down everything else that is kept of somebody."""
    bucket = bucket_of(person)
    for scope in (SERVICE, OTHER_SERVICE, "12345"):
        client.hset(bucket.person(scope, person), mapping={"12345": "30006@1", "last": "12345"})
        client.hset(bucket.last_delivery(scope, person), "12345", 1)
    client.hset(bucket.person(SERVICE, person), "out", "2 1 STOP")
    client.zadd(bucket.opt_outs, {f"{SERVICE} {person}": 1})
    client.set(bucket.cookies(person, "12345"), "[]")
    client.set(f"{bucket.tag}:talk:{SERVICE}:{person}", "a step")  # any key of theirs, whoever invents it
    entry = OutboxEntry(f"{ACCOUNT}/{sid_of(person, 0)}", "late", SERVICE, person)
    client.zadd(bucket.outbox, {entry.line: 1})


def everything(client: redis.Redis) -> dict[str, str]:
    """Return whatever is stored, as text."""

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
    assert bucket_of(NEIGHBOUR) is bucket_of(PERSON)
    assert NEIGHBOUR != PERSON
    yield bucket_of(PERSON)


def test_nothing_that_names_them_is_left(valkey: redis.Redis) -> None:
    for person in (PERSON, NEIGHBOUR):
        write_person(valkey, person)
        for number in range(3):
            write(valkey, person, number + 10 * (person == NEIGHBOUR))
    alone = {key: held for key, held in everything(valkey).items() if NEIGHBOUR[1:] in key + held}
    forgetting = ContactEraser(valkey, PERSON)
    kept = forgetting.find()
    assert dict(kept.counts) == {
        "messages": 3,
        "receipts": 3,
        "dead_letters": 3,
        "outbox": 1,
        "person": 3,
        "heard": 3,
        "cookies": 1,
        "talk": 1,
    }
    forgetting.remove(kept, opt_out_too=True)
    left = everything(valkey)
    assert not [key for key, held in left.items() if PERSON[1:] in key + held]
    assert {key for key in alone if key.count(NEIGHBOUR[1:])} <= left.keys()
    assert dict(ContactEraser(valkey, NEIGHBOUR).find().counts) == dict(kept.counts)
    assert not ContactEraser(valkey, PERSON).find().counts


def test_on_the_opt_out_list_they_stay(valkey: redis.Redis, bucket: Bucket) -> None:
    write_person(valkey, PERSON)
    forgetting = ContactEraser(valkey, PERSON)
    forgetting.remove(forgetting.find(), opt_out_too=False)
    assert valkey.hgetall(bucket.person(SERVICE, PERSON)) == {b"out": b"2 1 STOP"}
    assert valkey.zrange(bucket.opt_outs, 0, -1) == [f"{SERVICE} {PERSON}".encode()]
    assert not valkey.exists(bucket.person(OTHER_SERVICE, PERSON), bucket.last_delivery(SERVICE, PERSON))
    again = ContactEraser(valkey, PERSON).find()
    assert not again.counts
    assert len(again.opt_outs) == 1


def test_what_is_in_work_is_left_and_told(valkey: redis.Redis, bucket: Bucket) -> None:
    reference = write(valkey, PERSON, 1, lease="9" * 13)
    valkey.hdel(bucket.message(reference), "answer")
    forgetting = ContactEraser(valkey, PERSON)
    kept = forgetting.find()
    assert (kept.in_work, dict(kept.counts)) == ([reference], {})
    forgetting.remove(kept, opt_out_too=False)
    assert valkey.exists(bucket.message(reference))
    valkey.hset(bucket.message(reference), "lease", 1)
    assert forgetting.find().counts["messages"] == 1


def test_more_than_one_round_trip_is_looked_through(
    valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.history.erasure.AT_ONCE", 2)
    for number in range(7):
        write(valkey, PERSON if number % 2 else NEIGHBOUR, number)
    looked: list[int] = []
    forgetting = ContactEraser(valkey, PERSON, looked.append)
    kept = forgetting.find()
    assert kept.counts["messages"] == kept.counts["dead_letters"] == 3
    assert sum(looked) >= 14
    forgetting.remove(kept, opt_out_too=False)
    assert ContactEraser(valkey, NEIGHBOUR).find().counts["messages"] == 4


def test_a_name_with_special_characters_matches_only_itself(valkey: redis.Redis) -> None:
    names = ["My*Shop", "MyBigShop", "[a-z]", "x"]
    for name in names:
        valkey.hset(bucket_of(name).person(SERVICE, name), "last", "12345")
    for name in names:
        assert dict(ContactEraser(valkey, name).find().counts) == {"person": 1}


def test_every_kind_of_key_of_a_person_ends_with_their_number() -> None:
    """What `Forgetting` relies on, also for keys that come later."""
    mine = re.compile(r"^(message|receipt|journal|dead_letters|opt_outs|outbox|probe|bodies_removed|tag)$")
    for name in dir(Bucket):
        if name.startswith("_") or mine.match(name):
            continue
        made = getattr(ALL_BUCKETS[0], name)(*(("scope", PERSON) if name != "cookies" else (PERSON, "12345")))
        assert made.endswith(f":{PERSON}".encode()), name


def test_a_dead_letter_whose_message_is_gone_does_no_harm(valkey: redis.Redis, bucket: Bucket) -> None:
    valkey.xadd(bucket.dead_letters, {"message": f"{ACCOUNT}/{sid_of(PERSON, 9)}", "cause": json.dumps({})})
    assert not ContactEraser(valkey, PERSON).find().counts


def test_an_entry_that_cannot_be_read_holds_nothing_up(valkey: redis.Redis, bucket: Bucket) -> None:
    write_person(valkey, PERSON)
    valkey.zadd(bucket.outbox, {b"of tomorrow": 1, b"\xff": 1})
    assert ContactEraser(valkey, PERSON).find().counts["outbox"] == 1


def test_the_routers_hear_of_an_opt_out_that_is_forgotten(valkey: redis.Redis) -> None:
    write_person(valkey, PERSON)
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(CONSENTS_CHANNEL)
        forgetting = ContactEraser(valkey, PERSON)
        kept = forgetting.find()
        forgetting.remove(kept, opt_out_too=False)
        forgetting.remove(kept, opt_out_too=True)
        words: list[bytes] = []
        while len(words) < 1:
            if word := channel.get_message(timeout=5):
                words.append(word["data"])
        assert channel.get_message(timeout=0.05) is None
    assert words == [f"start {SERVICE} {PERSON}".encode()]
