from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.delivery.outbox import Outbox
from sms_router.routing.inbox import inbox
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import Claimed, ClaimResult, Continuation, Inbox, InProgress
from sms_router.store import resilient_connection as server
from sms_router.store.keys import bucket_of
from sms_router.twilio.twiml import EMPTY, OutboundMessage, render
from tests.routing.workers import DAYS, Worker, listening, worker
from tests.store.private_valkey import PrivateValkey
from tests.store.shared_stores import EVERY_KIND, SharedStores

LONG = 20
"""Seconds after which a test is taken to hang."""

KEY = MessageKey("AC1/SM1", "+14155550100")
REQUEST = b"From=%2B14155550100"
STORY = JournalEntry('{"rule": "HOURS"}')
UNSTORED = Claimed(1, 0.0, stored=False)


def saying(text: str, outcome: Outcome = Outcome.REPLY) -> Answer:
    return Answer(f"<Response><Message>{text}</Message></Response>".encode(), outcome)


def key(number: int) -> MessageKey:
    return MessageKey(f"AC1/SM{number}", f"+1415555{number:04}")


async def claim(records: Inbox, of: MessageKey = KEY) -> Claimed:
    opening = await records.claim(of, REQUEST, fallback=False)
    assert isinstance(opening, Claimed)
    return opening


async def opened(records: Inbox, fallback: bool = False) -> ClaimResult:
    return await records.claim(KEY, REQUEST, fallback)


async def committed(one: Worker, answer: Answer, story: JournalEntry = STORY) -> Answer:
    kept = await one.records.commit(KEY, REQUEST, await claim(one.records), answer, story)
    assert isinstance(kept, Answer)
    return kept


def dead_letters(client: redis.Redis) -> list[str]:
    entries = cast(
        "list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(bucket_of(KEY.contact).dead_letters)
    )
    return [fields[b"cause"].decode() for _, fields in entries]


def fields(client: redis.Redis) -> dict[bytes, bytes]:
    found = client.hgetall(bucket_of(KEY.contact).message(KEY.reference))
    return cast("dict[bytes, bytes]", found)


@pytest.fixture(params=EVERY_KIND)
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    return stores.url(request.param)


@pytest.fixture
async def other(valkey_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path) as other:
        yield other


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Worker]:
    """A worker that nobody gave a Redis."""
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        yield alone


# --- one message, one answer ---


async def test_the_first_opening_claims_and_the_second_is_busy(one: Worker, other: Worker) -> None:
    claimed = await claim(one.records)
    assert (claimed.attempt, claimed.stored) == (1, True)
    busy = await opened(other.records)
    assert isinstance(busy, InProgress)
    assert 0 < busy.remaining <= 3.0


async def test_whoever_opens_an_answered_message_gets_its_answer(one: Worker, other: Worker) -> None:
    answer = await committed(one, saying("hello", Outcome.LATE))
    for fallback in (False, True):
        assert await opened(other.records, fallback) == answer == saying("hello", Outcome.LATE)


async def test_an_answer_that_a_newer_version_has_stored_is_given_as_it_is(
    one: Worker, other: Worker, valkey: redis.Redis
) -> None:
    claimed = await claim(one.records)
    valkey.hset(
        bucket_of(KEY.contact).message(KEY.reference),
        mapping={"answer": "<Response/>", "outcome": "translated"},
    )
    assert await opened(other.records) == Answer(b"<Response/>", Outcome.REPLY)
    kept = await one.records.commit(KEY, REQUEST, claimed, saying("ours"), STORY)
    assert kept == Answer(b"<Response/>", Outcome.REPLY)


async def test_the_first_commit_wins_and_the_other_adopts_it(one: Worker, other: Worker) -> None:
    claimed = await claim(one.records)
    first = await other.records.commit(KEY, REQUEST, Claimed(0, 0.0, stored=True), saying("other"), STORY)
    second = await one.records.commit(KEY, REQUEST, claimed, saying("one"), STORY)
    assert first == second == saying("other")
    assert one.records.cached_answer(KEY) == other.records.cached_answer(KEY) == first


async def test_of_all_who_ask_at_once_one_works_and_all_give_the_same_answer(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT", LONG)  # a busy machine is not what is tried here
    monkeypatch.setattr(inbox, "STORE_BUDGET", LONG)
    chance = random.Random(7)
    work: list[MessageKey] = []

    async def ask(records: Inbox, of: MessageKey, impatient: bool) -> Answer:
        while not isinstance(opening := await records.claim(of, REQUEST, impatient), Answer):
            if isinstance(opening, Claimed):
                work.append(of)
                for _ in range(chance.randrange(20)):
                    await asyncio.sleep(0)
            elif not impatient:
                await records.wait_until_answered(of, LONG)
                continue
            mine = saying(str(chance.random()))
            kept = await records.commit(of, REQUEST, Claimed(1, 0.0, stored=True), mine, STORY)
            assert isinstance(kept, Answer)
            return kept
        return opening

    async with contextlib.AsyncExitStack() as running, asyncio.timeout(LONG):
        workers = [await running.enter_async_context(worker(valkey_url, tmp_path)) for _ in range(4)]
        await running.enter_async_context(listening(valkey_url, *workers))
        keys = [key(number) for number in range(100)]
        asking = [(one.records, of, chance.random() < 0.2) for of in keys for one in workers for _ in "ab"]
        chance.shuffle(asking)
        answers = await asyncio.gather(*(ask(*question) for question in asking))
    given = {
        of: {answer for question, answer in zip(asking, answers, strict=True) if question[1] == of}
        for of in keys
    }
    assert all(len(found) == 1 for found in given.values())
    assert sorted(work, key=keys.index) == keys


# --- leases ---


async def test_a_lease_is_renewed_while_it_is_held(valkey_url: str, tmp_path: Path, other: Worker) -> None:
    async with worker(valkey_url, tmp_path, lease=0.3) as one, asyncio.timeout(LONG):
        await claim(one.records)
        remaining, renewals = 0.3, 0
        while renewals < 4:  # longer than the lease lives by itself
            busy = await opened(other.records)
            assert isinstance(busy, InProgress)
            renewals += busy.remaining > remaining
            remaining = busy.remaining


async def test_a_late_answer_does_not_overtake_its_message_in_the_spool(
    one: Worker, valkey: redis.Redis
) -> None:
    """Redis was away when the text came, and is back when its handler ends, but not all of the spool is."""
    work = OutboxEntry(KEY.reference, "late", "MG1", KEY.contact)
    silence = Answer(EMPTY, Outcome.LATE)
    await one.records.commit(
        KEY, REQUEST, UNSTORED, silence, STORY, continuation=Continuation(work.line, is_ours=True)
    )
    outbox = Outbox(one.store, one.journal, DAYS, 60)
    document = render([OutboundMessage("done")])
    await outbox.enqueue(work, ReplyKind.LATE, document, "SLOW", 1, "SLOW, after the deadline")
    async with asyncio.timeout(LONG):
        while one.journal.has_backlog:
            await asyncio.sleep(0.01)
    bucket = bucket_of(KEY.contact)
    assert valkey.zrange(bucket.outbox, 0, -1) == [work._replace(name="late.0").line]
    assert valkey.hmget(bucket.message(KEY.reference), ["outcome", "late", "lease_until"]) == [
        b"late",
        document,
        None,
    ]
    assert await outbox.enqueue(work, ReplyKind.LATE, document, "SLOW", 1, "once more") is False, (
        "nothing waits any more"
    )
    assert not one.journal.has_backlog


async def test_a_lease_is_held_though_its_claim_waits_in_the_spool(
    valkey_url: str, tmp_path: Path, valkey: redis.Redis
) -> None:
    """Redis comes back under a late handler, and is asked for the lease before it knows of the message."""
    asked: list[str] = []
    record_key = bucket_of(KEY.contact).message(KEY.reference)
    async with worker(valkey_url, tmp_path, 0.3, lambda name, _: asked.append(name)) as one:
        one.records.keep_renewing(KEY)
        async with asyncio.timeout(LONG):
            while asked.count("renew_lease") < 2:
                await asyncio.sleep(0.01)
            known = {"request": REQUEST, "owner": one.records.owner, "lease_until": 1}
            valkey.hset(record_key, mapping=cast("Any", known))
            while valkey.hget(record_key, "lease_until") == b"1":
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["stopped", "let go"])
async def test_a_lease_dies_with_its_holder_and_a_waiter_takes_over(
    valkey_url: str, tmp_path: Path, other: Worker, how: str
) -> None:
    async with worker(valkey_url, tmp_path, lease=0.1) as one, asyncio.timeout(LONG):
        await claim(one.records)
        if how == "stopped":
            await one.records.aclose()
        else:
            one.records.stop_renewing(KEY)
        while isinstance(opening := await opened(other.records), InProgress):
            await other.records.wait_until_answered(KEY, opening.remaining)
    assert isinstance(opening, Claimed)
    assert opening.attempt == 2


async def test_who_lost_the_lease_may_still_answer_first(
    valkey_url: str, tmp_path: Path, other: Worker
) -> None:
    async with worker(valkey_url, tmp_path, lease=0.001) as one, asyncio.timeout(LONG):
        claimed = await claim(one.records)
        await one.records.aclose()
        while isinstance(taken := await opened(other.records), InProgress):
            pass
        assert isinstance(taken, Claimed)
        first = await one.records.commit(KEY, REQUEST, claimed, saying("one"), STORY)
        assert await other.records.commit(KEY, REQUEST, taken, saying("other"), STORY) == first


# --- waiting ---


async def test_a_waiter_is_woken_by_the_answer(valkey_url: str, one: Worker, other: Worker) -> None:
    async with listening(valkey_url, one, other), asyncio.timeout(LONG):
        claimed = await claim(one.records)
        assert isinstance(await opened(other.records), InProgress)
        waiting = asyncio.create_task(other.records.wait_until_answered(KEY, 10 * LONG))
        answer = await one.records.commit(KEY, REQUEST, claimed, saying("hello"), STORY)
        await waiting
        assert await opened(other.records) == answer


async def test_a_waiter_is_woken_by_a_release(valkey_url: str, one: Worker, other: Worker) -> None:
    async with listening(valkey_url, one, other), asyncio.timeout(LONG):
        claimed = await claim(one.records)
        assert isinstance(await opened(other.records, fallback=True), InProgress)
        waiting = asyncio.create_task(other.records.wait_until_answered(KEY, 10 * LONG))
        await one.records.release(KEY, REQUEST, claimed, JournalEntry("{}", "it raised"))
        await waiting
        assert isinstance(await opened(other.records, fallback=True), Claimed)


# --- failures ---


async def test_a_released_message_is_the_fallbacks(one: Worker, other: Worker, valkey: redis.Redis) -> None:
    await one.records.release(KEY, REQUEST, await claim(one.records), JournalEntry("{}", "it raised"))
    assert await opened(other.records) == RELEASED
    taken = await opened(other.records, fallback=True)
    assert isinstance(taken, Claimed)
    answer = saying("later", Outcome.FALLBACK)
    assert await other.records.commit(KEY, REQUEST, taken, answer, JournalEntry("{}", "fallback")) == answer
    assert await opened(one.records) == answer
    assert dead_letters(valkey) == ["it raised", "fallback"]
    assert one.records.cached_answer(key(2)) is None


async def test_a_release_is_not_taken_for_an_answer(one: Worker) -> None:
    await one.records.release(KEY, REQUEST, await claim(one.records), JournalEntry("{}", "it raised"))
    assert await opened(one.records) == RELEASED
    assert one.records.cached_answer(KEY) is None


async def test_notes_come_to_the_message_and_to_the_dead_letters(one: Worker, valkey: redis.Redis) -> None:
    await committed(one, saying("", Outcome.LATE))
    await one.records.annotate(KEY, "late", "the text", "too late")
    assert fields(valkey)[b"late"] == b"the text"
    assert dead_letters(valkey) == ["too late"]


async def test_text_that_is_not_unicode_is_kept_as_far_as_it_goes(one: Worker, valkey: redis.Redis) -> None:
    """What a handler raises may quote bytes that it could not decode."""
    await committed(one, saying("sorry", Outcome.FAILED), JournalEntry("{}", "no file \udcff"))
    await one.records.annotate(KEY, "late", "\ud83d", "half an emoji \ud83d")
    assert dead_letters(valkey) == ["no file \\udcff", "half an emoji \\ud83d"]


# --- without Redis ---


async def test_without_redis_every_message_is_answered_from_memory(alone: Worker) -> None:
    for number in range(50):
        of = key(number)
        claimed = await claim(alone.records, of)
        assert not claimed.stored
        answer = saying(str(number))
        assert await alone.records.commit(of, REQUEST, claimed, answer, STORY) == answer
        assert alone.records.cached_answer(of) == answer
    await alone.records.annotate(KEY, "late", "text", "too late")
    await alone.records.release(key(99), REQUEST, UNSTORED, JournalEntry("{}", "it raised"))
    assert alone.spool.size == 52


async def test_what_was_answered_without_redis_is_there_when_it_returns(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with worker(private_valkey.url, tmp_path) as one:
        await one.records.commit(
            KEY, REQUEST, UNSTORED, saying("hello", Outcome.FAILED), JournalEntry("{}", "it raised")
        )
        await asyncio.to_thread(private_valkey.start)
        async with worker(private_valkey.url, tmp_path) as other, asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
            assert await opened(other.records) == saying("hello", Outcome.FAILED)
    with private_valkey.client() as client:
        assert dead_letters(client) == ["it raised"]
        assert fields(client)[b"request"] == REQUEST


async def test_what_failed_without_redis_is_a_dead_letter_when_it_returns(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with worker(private_valkey.url, tmp_path) as one:
        await one.records.release(KEY, REQUEST, UNSTORED, JournalEntry("{}", "it raised"))
        await asyncio.to_thread(private_valkey.start)
        async with asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
    with private_valkey.client() as client:
        assert dead_letters(client) == ["it raised"]


@pytest.mark.parametrize("spent", [0.0, 10.0])
async def test_a_commit_that_takes_too_long_is_spooled_and_the_answer_goes_out(
    private_valkey: PrivateValkey, tmp_path: Path, spent: float
) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        await claim(one.records)
        private_valkey.freeze()
        claimed = Claimed(1, spent, stored=True)
        async with asyncio.timeout(LONG):
            assert await one.records.commit(KEY, REQUEST, claimed, saying("hello"), STORY) == saying("hello")
        assert one.spool.size == 1
        private_valkey.thaw()
        async with worker(private_valkey.url, tmp_path) as other, asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
            assert await opened(other.records) == saying("hello")


async def test_an_opening_of_a_frozen_redis_counts_against_the_messages_budget(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with worker(private_valkey.url, tmp_path) as one, asyncio.timeout(LONG):
        private_valkey.freeze()
        claimed = await claim(one.records)
        assert not claimed.stored
        assert claimed.spent > 0
        private_valkey.thaw()


async def test_a_full_redis_costs_nobody_an_answer(private_valkey: PrivateValkey, tmp_path: Path) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        with private_valkey.client() as admin:
            admin.config_set("maxmemory", "1mb")
            answer = await committed(one, saying("hello"))
            assert answer == one.records.cached_answer(KEY) == saying("hello")
            admin.config_set("maxmemory", 0)


async def test_a_record_that_was_lost_under_a_handler_is_whole_again_with_its_answer(
    one: Worker, valkey: redis.Redis
) -> None:
    claimed = await claim(one.records)
    valkey.flushall()
    answer = Answer(b"<Response>1</Response>", Outcome.REPLY)
    assert await one.records.commit(KEY, REQUEST, claimed, answer, STORY) == answer
    bucket = bucket_of(KEY.contact)
    assert valkey.hget(bucket.message(KEY.reference), "request") == REQUEST
    assert valkey.xlen(bucket.journal) == 1


async def test_without_redis_a_released_message_stays_released_until_the_fallback(alone: Worker) -> None:
    await alone.records.release(KEY, REQUEST, UNSTORED, STORY)
    assert await opened(alone.records) == RELEASED
    assert isinstance(await opened(alone.records, fallback=True), Claimed)
