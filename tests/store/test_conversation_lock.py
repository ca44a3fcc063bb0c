"""One message of a contact at a time, on a real server."""

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

from sms_router.store import scripts
from sms_router.store.keys import ANSWERED_CHANNEL, Bucket, bucket_of
from sms_router.store.scripts import outbox
from sms_router.store.store import Store
from tests.store.private_valkey import assert_everything_expires

LEASE, DAY = 3000, 86_400_000
SCOPE, CONTACT = "MG1", "+14155550100"
STATE = '{"step":"size"}'


@dataclass(frozen=True, slots=True)
class Conversation:
    """One contact's messages, and the steps that may be taken with them."""

    store: Store
    bucket: Bucket

    @property
    def key(self) -> bytes:
        return self.bucket.conversation(SCOPE, CONTACT)

    async def claim(self, name: str, lease: int = LEASE) -> Any:
        call = scripts.claim(
            scope=SCOPE,
            contact=CONTACT,
            owner=b"owner",
            lease_ms=lease,
            retention_ms=DAY,
            reference=f"AC1/{name}",
            request=b"From=x",
            is_fallback=b"0",
            in_conversation=True,
        )
        return await self.store.run(call)

    async def commit(self, name: str, state: str = "", *, late: bool = False, owner: str = "owner") -> Any:
        call = scripts.commit(
            contact=CONTACT,
            reference=f"AC1/{name}",
            answer=b"<Response/>",
            outcome="late" if late else "reply",
            trail=b"{}",
            retention_ms=DAY,
            cause=b"",
            work=_work(name) if late else b"",
            owner=owner.encode() if late else b"",
            lease_ms=LEASE,
            counter=None,
        )
        call = scripts.with_request(call, request=b"From=x", received=int(time.time() * 1000))
        return await self._update(call, state)

    async def enqueue(self, name: str, state: str = "") -> Any:
        call = outbox.enqueue(
            contact=CONTACT,
            reference=f"AC1/{name}",
            kind="late",
            document=b"<Response/>",
            trail=b"{}",
            reason="why",
            work=_work(name),
            entry_suffix=f" {SCOPE} {CONTACT}".encode(),
            count=0,
            retention_ms=DAY,
            cause=b"",
            since=b"",
            request=b"",
            received=b"",
            empty_answer=b"",
        )
        return await self._update(call, state)

    async def claim_work(self, name: str) -> Any:
        call = outbox.claim(
            scope=SCOPE,
            contact=CONTACT,
            entry=_work(name),
            reference=f"AC1/{name}",
            kind="late",
            owner=b"other",
            lease_ms=LEASE,
            max_attempts=3,
            max_age_ms=DAY,
            retention_ms=DAY,
            in_conversation=True,
        )
        return await self.store.run(call)

    async def _update(self, call: scripts.Call, state: str) -> Any:
        update = scripts.update_conversation(
            call, conversation=self.key, state=state.encode(), valid_ms=LEASE, ttl_ms=LEASE, timer=b""
        )
        return await self.store.run(update)


def _work(name: str) -> bytes:
    return f"AC1/{name} late {SCOPE} {CONTACT}".encode()


@pytest.fixture
async def conversation(store: Store, valkey: redis.Redis) -> AsyncIterator[Conversation]:
    yield Conversation(store, bucket_of(CONTACT))
    assert_everything_expires(valkey)


async def test_a_second_message_waits_for_the_first_and_gets_its_reference(
    conversation: Conversation,
) -> None:
    assert await conversation.claim("1") == [b"claimed", 1]
    result, left, first = await conversation.claim("2")
    assert (result, first) == (b"locked", b"AC1/1")
    assert 0 < left <= LEASE
    await conversation.commit("1")
    assert await conversation.claim("2") == [b"claimed", 1]


async def test_an_answer_is_published_for_a_waiting_message(
    conversation: Conversation, valkey: redis.Redis
) -> None:
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(ANSWERED_CHANNEL)
        channel.get_message(timeout=1)
        await conversation.claim("1")
        await conversation.claim("2")
        await conversation.commit("1")
        word = channel.get_message(timeout=5)
        assert word is not None
        assert word["data"] == b"AC1/1"


async def test_a_waiting_message_is_not_journaled(conversation: Conversation, valkey: redis.Redis) -> None:
    await conversation.claim("1")
    await conversation.claim("2")
    assert valkey.exists(conversation.bucket.message("AC1/2")) == 0
    assert valkey.xlen(conversation.bucket.journal) == 1
    await conversation.commit("1")
    await conversation.claim("2")
    await conversation.commit("2")
    assert valkey.exists(conversation.key) == 0


async def test_a_crashed_worker_blocks_no_message(conversation: Conversation) -> None:
    await conversation.claim("1", lease=1)
    await asyncio.sleep(0.01)
    assert await conversation.claim("2") == [b"claimed", 1]


async def test_a_message_that_lost_the_lock_stores_nothing(
    conversation: Conversation, valkey: redis.Redis
) -> None:
    await conversation.claim("1", lease=1)
    await asyncio.sleep(0.01)
    await conversation.claim("2")
    await conversation.commit("1", '{"step":"lost"}')
    assert valkey.hget(conversation.key, "state") is None
    assert (await conversation.claim("3"))[0] == b"locked", "the second has it still"
    await conversation.commit("2", STATE)
    assert valkey.hget(conversation.key, "state") == STATE.encode()


async def test_the_next_claim_gets_the_state_once(conversation: Conversation, valkey: redis.Redis) -> None:
    await conversation.claim("1")
    await conversation.commit("1", STATE)
    await conversation.commit("1", '{"step":"again"}')
    claimed, attempt, known, state, left = await conversation.claim("2")
    assert (claimed, attempt, known, state) == (b"claimed", 1, [], STATE.encode())
    assert 0 < left <= LEASE
    await conversation.commit("2", "-")
    assert valkey.exists(conversation.key) == 0


async def test_a_late_message_keeps_the_lock_until_its_reply_is_stored(
    conversation: Conversation, valkey: redis.Redis
) -> None:
    await conversation.claim("1")
    await conversation.commit("1", late=True)
    assert (await conversation.claim("2"))[0] == b"locked"
    assert await conversation.enqueue("1", STATE) == 1
    assert await conversation.enqueue("1", '{"step":"again"}') == 0
    assert (await conversation.claim("2"))[3] == STATE.encode()


async def test_work_of_the_outbox_waits_for_the_lock(conversation: Conversation) -> None:
    await conversation.claim("1")
    await conversation.commit("1", STATE)
    await conversation.claim("2")
    await conversation.commit("3", late=True, owner="")  # its request could not wait any longer
    assert await conversation.claim_work("3") == [b"busy"]
    await conversation.commit("2", STATE)
    claimed, attempt, request, known, state, _ = await conversation.claim_work("3")
    assert (claimed, attempt, request, known, state) == (b"claimed", 1, b"From=x", [], STATE.encode())
    assert (await conversation.claim("4"))[0] == b"locked"


async def test_an_opt_out_ends_the_conversation_in_spite_of_the_lock(
    conversation: Conversation, valkey: redis.Redis
) -> None:
    await conversation.claim("1")
    await conversation.commit("1", STATE)
    await conversation.claim("2")
    await conversation.commit("stop", "!")
    await conversation.commit("2", STATE)
    assert valkey.exists(conversation.key) == 0


async def test_a_queue_is_bounded(conversation: Conversation, valkey: redis.Redis) -> None:
    await conversation.claim("0")
    for number in range(100):
        assert (await conversation.claim(f"{number + 1}"))[0] == b"locked"
    assert len(str(valkey.hget(conversation.key, "queue")).split()) == 2 * 32


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 8), st.integers(0, 10**6))
async def test_messages_are_answered_in_the_order_of_arrival(
    conversation: Conversation, valkey: redis.Redis, messages: int, seed: int
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
            await conversation.commit(str(holder))
            holder = None
            continue
        name = coming.pop(0) if act == "come" else chance.choice(waiting)
        if act == "come":
            waiting.append(name)
        if (await conversation.claim(name))[0] == b"claimed":
            assert holder is None, "one at a time"
            holder = name
            waiting.remove(name)
            order.append(name)
    assert order == sorted(order, key=int)


@pytest.mark.parametrize("back", [3_600_000, 86_400_000])
async def test_a_clock_that_was_set_back_blocks_no_message(
    conversation: Conversation, valkey: redis.Redis, back: int
) -> None:
    await conversation.claim("1", lease=LEASE + back)
    assert await conversation.claim("2") == [b"locked", LEASE, b"AC1/1"]
    later = int(time.time() * 1000) + back
    valkey.hset(conversation.key, "queue", f"AC1/2 {later} AC1/3 {later}")
    await conversation.commit("1")
    assert await conversation.claim("3") == [b"locked", 1000, b"AC1/2"]
    valkey.hset(conversation.key, "queue", f"AC1/3 {later}")
    result, left, first = await conversation.claim("2")
    assert (result, first) == (b"locked", b"AC1/3")
    assert left <= 1000
