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
from sms_router.routing.history.record import parse_record
from sms_router.routing.history.timeline import build_timeline
from sms_router.routing.inbox import inbox
from sms_router.routing.inbox.answer import RELEASED, Answer, JournalEntry, MessageKey, Outcome
from sms_router.routing.inbox.inbox import (
    Claimed,
    ClaimResult,
    Continuation,
    Inbox,
    InProgress,
    is_second_answer,
)
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
ENTRY = JournalEntry('{"rule": "HOURS"}')
UNSTORED = Claimed(1, 0.0, stored=False)


def answer_of(text: str, outcome: Outcome = Outcome.REPLY) -> Answer:
    return Answer(f"<Response><Message>{text}</Message></Response>".encode(), outcome)


def key(number: int) -> MessageKey:
    return MessageKey(f"AC1/SM{number}", f"+1415555{number:04}")


async def claim(records: Inbox, of: MessageKey = KEY) -> Claimed:
    result = await records.claim(of, REQUEST, fallback=False)
    assert isinstance(result, Claimed)
    return result


async def try_claim(records: Inbox, fallback: bool = False) -> ClaimResult:
    return await records.claim(KEY, REQUEST, fallback)


async def committed(one: Worker, answer: Answer, entry: JournalEntry = ENTRY) -> Answer:
    stored = await one.inbox.commit(KEY, REQUEST, await claim(one.inbox), answer, entry)
    assert isinstance(stored, Answer)
    return stored


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
    """A worker without a Redis."""
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        yield alone


# --- one message, one answer ---


async def test_the_first_claim_holds_and_the_second_is_in_progress(one: Worker, other: Worker) -> None:
    claimed = await claim(one.inbox)
    assert (claimed.attempt, claimed.stored) == (1, True)
    busy = await try_claim(other.inbox)
    assert isinstance(busy, InProgress)
    assert 0 < busy.remaining <= 3.0


async def test_a_claim_on_an_answered_message_returns_its_answer(one: Worker, other: Worker) -> None:
    answer = await committed(one, answer_of("hello", Outcome.LATE))
    for fallback in (False, True):
        assert await try_claim(other.inbox, fallback) == answer == answer_of("hello", Outcome.LATE)


async def test_the_answer_of_a_newer_version_is_returned_as_it_is(
    one: Worker, other: Worker, valkey: redis.Redis
) -> None:
    claimed = await claim(one.inbox)
    valkey.hset(
        bucket_of(KEY.contact).message(KEY.reference),
        mapping={"answer": "<Response/>", "outcome": "translated"},
    )
    assert await try_claim(other.inbox) == Answer(b"<Response/>", Outcome.REPLY)
    stored = await one.inbox.commit(KEY, REQUEST, claimed, answer_of("ours"), ENTRY)
    assert stored == Answer(b"<Response/>", Outcome.REPLY)


async def test_the_first_commit_wins_and_the_other_returns_it(one: Worker, other: Worker) -> None:
    claimed = await claim(one.inbox)
    first = await other.inbox.commit(KEY, REQUEST, Claimed(0, 0.0, stored=True), answer_of("other"), ENTRY)
    second = await one.inbox.commit(KEY, REQUEST, claimed, answer_of("one"), ENTRY)
    assert first == second == answer_of("other")
    assert one.inbox.cached_answer(KEY) == other.inbox.cached_answer(KEY) == first


async def test_of_concurrent_requests_one_is_claimed_and_all_get_the_same_answer(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT", LONG)  # the speed of the machine is not tested here
    monkeypatch.setattr(inbox, "STORE_BUDGET", LONG)
    chance = random.Random(7)
    work: list[MessageKey] = []

    async def answer_for(records: Inbox, of: MessageKey, without_wait: bool) -> Answer:
        while not isinstance(result := await records.claim(of, REQUEST, without_wait), Answer):
            if isinstance(result, Claimed):
                work.append(of)
                for _ in range(chance.randrange(20)):
                    await asyncio.sleep(0)
            elif not without_wait:
                await records.wait_until_answered(of, LONG)
                continue
            mine = answer_of(str(chance.random()))
            stored = await records.commit(of, REQUEST, Claimed(1, 0.0, stored=True), mine, ENTRY)
            assert isinstance(stored, Answer)
            return stored
        return result

    async with contextlib.AsyncExitStack() as running, asyncio.timeout(LONG):
        workers = [await running.enter_async_context(worker(valkey_url, tmp_path)) for _ in range(4)]
        await running.enter_async_context(listening(valkey_url, *workers))
        keys = [key(number) for number in range(100)]
        claims = [(one.inbox, of, chance.random() < 0.2) for of in keys for one in workers for _ in "ab"]
        chance.shuffle(claims)
        answers = await asyncio.gather(*(answer_for(*call) for call in claims))
    given = {
        of: {answer for call, answer in zip(claims, answers, strict=True) if call[1] == of} for of in keys
    }
    assert all(len(found) == 1 for found in given.values())
    assert sorted(work, key=keys.index) == keys


# --- leases ---


async def test_a_lease_is_renewed(valkey_url: str, tmp_path: Path, other: Worker) -> None:
    async with worker(valkey_url, tmp_path, lease=0.3) as one, asyncio.timeout(LONG):
        await claim(one.inbox)
        remaining, renewals = 0.3, 0
        while renewals < 4:  # longer than the lease lasts
            busy = await try_claim(other.inbox)
            assert isinstance(busy, InProgress)
            renewals += busy.remaining > remaining
            remaining = busy.remaining


async def test_a_late_reply_does_not_overtake_its_message_in_the_spool(
    one: Worker, valkey: redis.Redis
) -> None:
    """Redis was away when the text came, and is back when its handler ends, but not all of the spool is."""
    work = OutboxEntry(KEY.reference, "late", "MG1", KEY.contact)
    silence = Answer(EMPTY, Outcome.LATE)
    await one.inbox.commit(
        KEY, REQUEST, UNSTORED, silence, ENTRY, continuation=Continuation(work.line, is_ours=True)
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


async def test_the_second_of_two_answers_is_recorded_once_and_its_late_reply_is_not_sent(
    one: Worker, other: Worker, valkey: redis.Redis
) -> None:
    """Two workers answered one message while Redis was away."""
    work = OutboxEntry(KEY.reference, "late", "MG1", KEY.contact)
    first = Answer(render([OutboundMessage("first")]), Outcome.REPLY)
    late = Answer(EMPTY, Outcome.LATE)
    await one.inbox.commit(KEY, REQUEST, UNSTORED, first, ENTRY)
    async with asyncio.timeout(LONG):
        while one.journal.has_backlog:
            await asyncio.sleep(0.01)
    for _ in range(2):
        await other.inbox.commit(
            KEY, REQUEST, UNSTORED, late, JournalEntry("SLOW"), Continuation(work.line, is_ours=True)
        )
    outbox = Outbox(other.store, other.journal, DAYS, 60)
    document = render([OutboundMessage("done")])
    await outbox.enqueue(
        work, ReplyKind.LATE, document, "SLOW", 1, "SLOW, after the deadline", request=REQUEST
    )
    async with asyncio.timeout(LONG):
        while other.journal.has_backlog:
            await asyncio.sleep(0.01)
    record = parse_record(KEY.reference, fields(valkey), {}, ())
    assert (record.outcome, record.texts) == ("reply", ("first",))
    assert record.second_answer is not None
    assert record.second_answer.rule == "SLOW"
    assert "answered twice" in [event.type for event in build_timeline(record, reveal=True)]
    assert dead_letters(valkey) == ["answered after another worker did, not sent"]
    assert valkey.zcard(bucket_of(KEY.contact).outbox) == 0


def test_a_second_answer_is_distinguished_from_other_results_of_the_spool() -> None:
    assert is_second_answer("commit_in_conversation", [4, b"", b""])
    assert not is_second_answer("commit", [0, b"", b""])
    assert not is_second_answer("annotate", 4)


async def test_a_lease_is_renewed_while_its_claim_is_in_the_spool(
    valkey_url: str, tmp_path: Path, valkey: redis.Redis
) -> None:
    """Redis returns during a late handler, and the lease is renewed before the message is stored."""
    scripts_run: list[str] = []
    record_key = bucket_of(KEY.contact).message(KEY.reference)
    async with worker(valkey_url, tmp_path, 0.3, lambda name, _: scripts_run.append(name)) as one:
        one.inbox.keep_renewing(KEY)
        async with asyncio.timeout(LONG):
            while scripts_run.count("renew_lease") < 2:
                await asyncio.sleep(0.01)
            known = {"request": REQUEST, "owner": one.inbox.owner, "lease_until": 1}
            valkey.hset(record_key, mapping=cast("Any", known))
            while valkey.hget(record_key, "lease_until") == b"1":
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["stopped", "let go"])
async def test_a_lease_expires_with_its_worker_and_a_waiting_request_claims(
    valkey_url: str, tmp_path: Path, other: Worker, how: str
) -> None:
    async with worker(valkey_url, tmp_path, lease=0.1) as one, asyncio.timeout(LONG):
        claimed = await claim(one.inbox)
        if how == "stopped":
            await one.inbox.aclose()
        else:
            one.inbox.let_go(claimed)
        while isinstance(result := await try_claim(other.inbox), InProgress):
            await other.inbox.wait_until_answered(KEY, result.remaining)
    assert isinstance(result, Claimed)
    assert result.attempt == 2


async def test_a_worker_that_lost_its_lease_may_still_answer_first(
    valkey_url: str, tmp_path: Path, other: Worker
) -> None:
    async with worker(valkey_url, tmp_path, lease=0.001) as one, asyncio.timeout(LONG):
        claimed = await claim(one.inbox)
        await one.inbox.aclose()
        while isinstance(taken := await try_claim(other.inbox), InProgress):
            pass
        assert isinstance(taken, Claimed)
        first = await one.inbox.commit(KEY, REQUEST, claimed, answer_of("one"), ENTRY)
        assert await other.inbox.commit(KEY, REQUEST, taken, answer_of("other"), ENTRY) == first


# --- waiting ---


async def test_a_waiting_request_is_woken_by_the_answer(valkey_url: str, one: Worker, other: Worker) -> None:
    async with listening(valkey_url, one, other), asyncio.timeout(LONG):
        claimed = await claim(one.inbox)
        assert isinstance(await try_claim(other.inbox), InProgress)
        waiting = asyncio.create_task(other.inbox.wait_until_answered(KEY, 10 * LONG))
        answer = await one.inbox.commit(KEY, REQUEST, claimed, answer_of("hello"), ENTRY)
        await waiting
        assert await try_claim(other.inbox) == answer


async def test_a_waiting_request_is_woken_by_a_release(valkey_url: str, one: Worker, other: Worker) -> None:
    async with listening(valkey_url, one, other), asyncio.timeout(LONG):
        claimed = await claim(one.inbox)
        assert isinstance(await try_claim(other.inbox, fallback=True), InProgress)
        waiting = asyncio.create_task(other.inbox.wait_until_answered(KEY, 10 * LONG))
        await one.inbox.release(KEY, REQUEST, claimed, JournalEntry("{}", "it raised"))
        await waiting
        assert isinstance(await try_claim(other.inbox, fallback=True), Claimed)


# --- failures ---


async def test_a_released_message_is_claimed_by_the_fallback_only(
    one: Worker, other: Worker, valkey: redis.Redis
) -> None:
    await one.inbox.release(KEY, REQUEST, await claim(one.inbox), JournalEntry("{}", "it raised"))
    assert await try_claim(other.inbox) == RELEASED
    taken = await try_claim(other.inbox, fallback=True)
    assert isinstance(taken, Claimed)
    answer = answer_of("later", Outcome.FALLBACK)
    assert await other.inbox.commit(KEY, REQUEST, taken, answer, JournalEntry("{}", "fallback")) == answer
    assert await try_claim(one.inbox) == answer
    assert dead_letters(valkey) == ["it raised", "fallback"]
    assert one.inbox.cached_answer(key(2)) is None


async def test_a_release_is_no_answer(one: Worker) -> None:
    await one.inbox.release(KEY, REQUEST, await claim(one.inbox), JournalEntry("{}", "it raised"))
    assert await try_claim(one.inbox) == RELEASED
    assert one.inbox.cached_answer(KEY) is None


async def test_an_annotation_is_stored_with_the_message_and_as_a_dead_letter(
    one: Worker, valkey: redis.Redis
) -> None:
    await committed(one, answer_of("", Outcome.LATE))
    await one.inbox.annotate(KEY, "late", "the text", "too late")
    assert fields(valkey)[b"late"] == b"the text"
    assert dead_letters(valkey) == ["too late"]


async def test_characters_that_utf_8_cannot_encode_are_escaped(one: Worker, valkey: redis.Redis) -> None:
    """What a handler raises may quote bytes that it could not decode."""
    await committed(one, answer_of("sorry", Outcome.FAILED), JournalEntry("{}", "no file \udcff"))
    await one.inbox.annotate(KEY, "late", "\ud83d", "half an emoji \ud83d")
    assert dead_letters(valkey) == ["no file \\udcff", "half an emoji \\ud83d"]


# --- without Redis ---


async def test_without_redis_messages_are_answered_from_memory(alone: Worker) -> None:
    for number in range(50):
        of = key(number)
        claimed = await claim(alone.inbox, of)
        assert not claimed.stored
        answer = answer_of(str(number))
        assert await alone.inbox.commit(of, REQUEST, claimed, answer, ENTRY) == answer
        assert alone.inbox.cached_answer(of) == answer
    await alone.inbox.annotate(KEY, "late", "text", "too late")
    await alone.inbox.release(key(99), REQUEST, UNSTORED, JournalEntry("{}", "it raised"))
    assert alone.spool.size == 52


async def test_an_answer_without_redis_is_stored_when_redis_returns(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with worker(private_valkey.url, tmp_path) as one:
        await one.inbox.commit(
            KEY, REQUEST, UNSTORED, answer_of("hello", Outcome.FAILED), JournalEntry("{}", "it raised")
        )
        await asyncio.to_thread(private_valkey.start)
        async with worker(private_valkey.url, tmp_path) as other, asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
            assert await try_claim(other.inbox) == answer_of("hello", Outcome.FAILED)
    with private_valkey.client() as client:
        assert dead_letters(client) == ["it raised"]
        assert fields(client)[b"request"] == REQUEST


async def test_a_failure_without_redis_is_a_dead_letter_when_redis_returns(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    private_valkey.kill()
    async with worker(private_valkey.url, tmp_path) as one:
        await one.inbox.release(KEY, REQUEST, UNSTORED, JournalEntry("{}", "it raised"))
        await asyncio.to_thread(private_valkey.start)
        async with asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
    with private_valkey.client() as client:
        assert dead_letters(client) == ["it raised"]


@pytest.mark.parametrize("spent", [0.0, 10.0])
async def test_a_commit_that_takes_too_long_is_spooled_and_the_answer_sent(
    private_valkey: PrivateValkey, tmp_path: Path, spent: float
) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        await claim(one.inbox)
        private_valkey.freeze()
        claimed = Claimed(1, spent, stored=True)
        async with asyncio.timeout(LONG):
            assert await one.inbox.commit(KEY, REQUEST, claimed, answer_of("hello"), ENTRY) == answer_of(
                "hello"
            )
        assert one.spool.size == 1
        private_valkey.thaw()
        async with worker(private_valkey.url, tmp_path) as other, asyncio.timeout(LONG):
            while one.spool.size:
                await asyncio.sleep(0.01)
            assert await try_claim(other.inbox) == answer_of("hello")


async def test_a_claim_in_a_frozen_redis_counts_against_the_budget(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with worker(private_valkey.url, tmp_path) as one, asyncio.timeout(LONG):
        private_valkey.freeze()
        claimed = await claim(one.inbox)
        assert not claimed.stored
        assert claimed.spent > 0
        private_valkey.thaw()


async def test_a_message_is_answered_while_redis_is_full(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        with private_valkey.client() as admin:
            admin.config_set("maxmemory", "1mb")
            answer = await committed(one, answer_of("hello"))
            assert answer == one.inbox.cached_answer(KEY) == answer_of("hello")
            admin.config_set("maxmemory", 0)


async def test_a_record_that_redis_lost_is_complete_again_with_its_answer(
    one: Worker, valkey: redis.Redis
) -> None:
    claimed = await claim(one.inbox)
    valkey.flushall()
    answer = Answer(b"<Response>1</Response>", Outcome.REPLY)
    assert await one.inbox.commit(KEY, REQUEST, claimed, answer, ENTRY) == answer
    bucket = bucket_of(KEY.contact)
    assert valkey.hget(bucket.message(KEY.reference), "request") == REQUEST
    assert valkey.xlen(bucket.journal) == 1


async def test_without_redis_a_released_message_stays_released_until_the_fallback(alone: Worker) -> None:
    await alone.inbox.release(KEY, REQUEST, UNSTORED, ENTRY)
    assert await try_claim(alone.inbox) == RELEASED
    assert isinstance(await try_claim(alone.inbox, fallback=True), Claimed)
