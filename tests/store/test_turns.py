"""Whose turn it is among one person's messages, on a real server."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router.store.keys import ANSWERED_CHANNEL, Bucket, bucket_of
from sms_router.store.scripts import COMMIT_IN_TURN, OPEN_IN_TURN, OUTBOX_CLAIM_IN_TURN, OUTBOX_PUT_IN_TURN
from sms_router.store.store import Store

LEASE, DAY = 3000, 86_400_000
SCOPE, PERSON = "MG1", "+14155550100"
SAID = '{"step":"size"}'


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one person's messages are opened and answered."""

    store: Store
    bucket: Bucket

    @property
    def talk(self) -> bytes:
        return self.bucket.conversation(SCOPE, PERSON)

    async def open(self, name: str, lease: int = LEASE) -> Any:
        keys = (self.bucket.message(f"AC1/{name}"), self.bucket.journal, self.bucket.person(SCOPE, PERSON))
        said = ("owner", lease, DAY, f"AC1/{name}", "From=x", "0")
        return await self.store.run(OPEN_IN_TURN, (*keys, self.talk), said)

    async def commit(self, name: str, kept: str = "", *, late: bool = False, owner: str = "owner") -> Any:
        record = self.bucket.message(f"AC1/{name}")
        keys = (record, self.bucket.journal, self.bucket.dead_letters, self.bucket.outbox, record, self.talk)
        answer = (f"AC1/{name}", "<Response/>", "late" if late else "reply", "{}", DAY, "", ANSWERED_CHANNEL)
        work = (f"AC1/{name} late {SCOPE} {PERSON}", owner) if late else ("", "")
        said = (*answer, *work, LEASE, "From=x", int(time.time() * 1000), "", "", kept, LEASE, LEASE)
        return await self.store.run(COMMIT_IN_TURN, keys, said)

    async def put(self, name: str, kept: str = "") -> Any:
        record = self.bucket.message(f"AC1/{name}")
        entry = f"AC1/{name} late {SCOPE} {PERSON}"
        said = (f"AC1/{name}", "late", "<Response/>", "{}", "why", entry, f" {SCOPE} {PERSON}", 0, DAY, "")
        keys = (record, self.bucket.outbox, self.bucket.dead_letters, self.talk)
        return await self.store.run(OUTBOX_PUT_IN_TURN, keys, (*said, kept, LEASE, LEASE))

    async def claim_work(self, name: str) -> Any:
        keys = (
            self.bucket.message(f"AC1/{name}"),
            self.bucket.outbox,
            self.bucket.person(SCOPE, PERSON),
            self.bucket.dead_letters,
            self.talk,
        )
        said = (f"AC1/{name} late {SCOPE} {PERSON}", f"AC1/{name}", "late", "other", LEASE, 3, DAY, DAY)
        return await self.store.run(OUTBOX_CLAIM_IN_TURN, keys, said)


@pytest.fixture
async def desk(valkey_url: str, valkey: redis.Redis) -> AsyncIterator[Desk]:
    store = Store(valkey_url)
    await store.start()
    yield Desk(store, bucket_of(PERSON))
    await store.aclose()
    lasting = [key for key in valkey.scan_iter() if int(str(valkey.pttl(key))) < 0]
    assert lasting == [], "everything that is written expires"


async def test_the_second_waits_for_the_first_and_learns_for_whom(desk: Desk) -> None:
    assert await desk.open("1") == [b"claimed", 1]
    told, left, first = await desk.open("2")
    assert (told, first) == (b"turn", b"AC1/1")
    assert 0 < left <= LEASE
    await desk.commit("1")
    assert await desk.open("2") == [b"claimed", 1]


async def test_the_word_goes_out_for_whoever_waits(desk: Desk, valkey: redis.Redis) -> None:
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(ANSWERED_CHANNEL)
        channel.get_message(timeout=1)
        await desk.open("1")
        await desk.open("2")
        await desk.commit("1")
        word = channel.get_message(timeout=5)
        assert word is not None
        assert word["data"] == b"AC1/1"


async def test_what_waits_is_not_journaled_yet_and_leaves_no_trace(desk: Desk, valkey: redis.Redis) -> None:
    await desk.open("1")
    await desk.open("2")
    assert valkey.exists(desk.bucket.message("AC1/2")) == 0
    assert valkey.xlen(desk.bucket.journal) == 1
    await desk.commit("1")
    await desk.open("2")
    await desk.commit("2")
    assert valkey.exists(desk.talk) == 0


async def test_whoever_crashed_holds_nobody_up(desk: Desk) -> None:
    await desk.open("1", lease=1)
    await asyncio.sleep(0.01)
    assert await desk.open("2") == [b"claimed", 1]


async def test_whoever_lost_the_turn_keeps_nothing(desk: Desk, valkey: redis.Redis) -> None:
    await desk.open("1", lease=1)
    await asyncio.sleep(0.01)
    await desk.open("2")
    await desk.commit("1", '{"step":"lost"}')
    assert valkey.hget(desk.talk, "said") is None
    assert (await desk.open("3"))[0] == b"turn", "the second has it still"
    await desk.commit("2", SAID)
    assert valkey.hget(desk.talk, "said") == SAID.encode()


async def test_what_is_kept_comes_along_with_the_next_claim_and_once(desk: Desk, valkey: redis.Redis) -> None:
    await desk.open("1")
    await desk.commit("1", SAID)
    await desk.commit("1", '{"step":"again"}')
    claimed, attempt, known, said, left = await desk.open("2")
    assert (claimed, attempt, known, said) == (b"claimed", 1, [], SAID.encode())
    assert 0 < left <= LEASE
    await desk.commit("2", "-")
    assert valkey.exists(desk.talk) == 0


async def test_a_late_message_keeps_its_turn_until_its_answer_is_there(
    desk: Desk, valkey: redis.Redis
) -> None:
    await desk.open("1")
    await desk.commit("1", late=True)
    assert (await desk.open("2"))[0] == b"turn"
    assert await desk.put("1", SAID) == 1
    assert await desk.put("1", '{"step":"again"}') == 0
    assert (await desk.open("2"))[3] == SAID.encode()


async def test_work_of_the_outbox_waits_for_its_turn_too(desk: Desk) -> None:
    await desk.open("1")
    await desk.commit("1", SAID)
    await desk.open("2")
    await desk.commit("3", late=True, owner="")  # its request could not wait any longer
    assert await desk.claim_work("3") == [b"busy"]
    await desk.commit("2", SAID)
    claimed, attempt, request, known, said, _ = await desk.claim_work("3")
    assert (claimed, attempt, request, known, said) == (b"claimed", 1, b"From=x", [], SAID.encode())
    assert (await desk.open("4"))[0] == b"turn"


async def test_an_opt_out_ends_it_whoever_has_the_turn(desk: Desk, valkey: redis.Redis) -> None:
    await desk.open("1")
    await desk.commit("1", SAID)
    await desk.open("2")
    await desk.commit("stop", "!")
    await desk.commit("2", SAID)
    assert valkey.exists(desk.talk) == 0


async def test_a_line_is_bounded(desk: Desk, valkey: redis.Redis) -> None:
    await desk.open("0")
    for number in range(100):
        assert (await desk.open(f"{number + 1}"))[0] == b"turn"
    assert len(str(valkey.hget(desk.talk, "line")).split()) == 2 * 32


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.integers(2, 8), st.integers(0, 10**6))
async def test_messages_are_answered_in_the_order_in_which_they_came(
    desk: Desk, valkey: redis.Redis, messages: int, seed: int
) -> None:
    chance = random.Random(seed)
    valkey.flushdb()
    coming = [str(number) for number in range(messages)]
    waiting: list[str] = []
    order: list[str] = []
    holder = None
    while coming or waiting or holder:
        acts = [*(["come"] if coming else []), *(["look"] if waiting else []), *(["end"] if holder else [])]
        act = chance.choice(acts)
        if act == "end":
            await desk.commit(str(holder))
            holder = None
            continue
        name = coming.pop(0) if act == "come" else chance.choice(waiting)
        if act == "come":
            waiting.append(name)
        if (await desk.open(name))[0] == b"claimed":
            assert holder is None, "one at a time"
            holder = name
            waiting.remove(name)
            order.append(name)
    assert order == sorted(order, key=int)


@pytest.mark.parametrize("back", [3_600_000, 86_400_000])
async def test_nobody_waits_for_a_clock_that_was_set_back(desk: Desk, valkey: redis.Redis, back: int) -> None:
    await desk.open("1", lease=LEASE + back)
    assert await desk.open("2") == [b"turn", LEASE, b"AC1/1"]
    later = int(time.time() * 1000) + back
    valkey.hset(desk.talk, "line", f"AC1/2 {later} AC1/3 {later}")
    await desk.commit("1")
    assert await desk.open("3") == [b"turn", 1000, b"AC1/2"]
    valkey.hset(desk.talk, "line", f"AC1/3 {later}")
    told, left, first = await desk.open("2")
    assert (told, first) == (b"turn", b"AC1/3")
    assert left <= 1000
