"""What scripts do one after the other with a message; `scripts/` has what each does alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import reduce
from itertools import permutations
from typing import Any, cast

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router.store import scripts
from sms_router.store.keys import ANSWERED_CHANNEL, Bucket, bucket_of
from sms_router.store.store import Store
from sms_router.twilio.status import MessageStatus
from tests.store.private_valkey import assert_everything_expires

LEASE = 3000
DAY = 86_400_000
SCOPE, CONTACT = "MG1", "+14155550100"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and the steps that may be taken with it."""

    store: Store
    bucket: Bucket
    reference: str = "AC1/SM1"

    @property
    def record(self) -> bytes:
        return self.bucket.message(self.reference)

    async def claim(self, owner: str = "a", *, lease: int = LEASE, fallback: bool = False) -> Any:
        call = scripts.claim(
            scope=SCOPE,
            contact=CONTACT,
            owner=owner.encode(),
            lease_ms=lease,
            retention_ms=DAY,
            reference=self.reference,
            request=f"From={owner}".encode(),
            is_fallback=b"1" if fallback else b"0",
        )
        return await self.store.run(call)

    async def commit(
        self,
        answer: str = "<Response/>",
        *,
        outcome: str = "reply",
        cause: str = "",
        restored: tuple[bytes, int] | None = None,
    ) -> Any:
        call = scripts.commit(
            contact=CONTACT,
            reference=self.reference,
            answer=answer.encode(),
            outcome=outcome,
            trail=b"{}",
            retention_ms=DAY,
            cause=cause.encode(),
            work=b"",
            owner=b"",
            lease_ms=LEASE,
            counter=None,
        )
        if restored is not None:
            call = scripts.with_request(call, request=restored[0], received=restored[1])
        result = await self.store.run(call)
        if result == [2]:  # as `Inbox.commit` does, when the message is not there
            call = scripts.with_request(call, request=b"From=a", received=1)
            result = await self.store.run(call)
        return result

    async def release(self, cause: str = "it raised") -> Any:
        call = scripts.release(
            contact=CONTACT,
            reference=self.reference,
            trail=b"{}",
            retention_ms=DAY,
            cause=cause.encode(),
            request=b"From=a",
            received=1,
        )
        return await self.store.run(call)

    async def renew(self, owner: str = "a", lease: int = LEASE) -> Any:
        return await self.store.run(
            scripts.renew_lease(message=self.record, owner=owner.encode(), lease_ms=lease)
        )

    async def receipt(
        self, status: MessageStatus, *, sid: str = "SM9", code: str = "", alone: bool = False
    ) -> Any:
        call = scripts.record_receipt(
            scope=SCOPE,
            contact=CONTACT,
            receipt=sid,
            message=None if alone else self.reference,
            status=status.value,
            rank=status.rank,
            error_code=code,
            sender="" if alone else "12345",
            reply="" if alone else "SM1.0",
            retention_ms=DAY,
            sid=sid,
            evidence="",
            received_at=0,
            contact_ttl_ms=DAY,
            max_failures=5,
            has_alternatives="",
            resend_part="",
            resend_entry=b"",
            reason="",
            failure_threshold=1,
            max_failure_age_ms=0,
            cause="",
        )
        return await self.store.run(call)


@pytest.fixture
async def message(store: Store, valkey: redis.Redis) -> AsyncIterator[Message]:
    yield Message(store, bucket_of(CONTACT))
    assert_everything_expires(valkey)


def entries(valkey: redis.Redis, stream: bytes) -> list[dict[bytes, bytes]]:
    return [entry for _, entry in cast("list[tuple[bytes, dict[bytes, bytes]]]", valkey.xrange(stream))]


def journal(message: Message, valkey: redis.Redis) -> list[bytes]:
    return [entry[b"message"] for entry in entries(valkey, message.bucket.journal)]


def dead_letters(message: Message, valkey: redis.Redis) -> list[bytes]:
    return [entry[b"cause"] for entry in entries(valkey, message.bucket.dead_letters)]


def fields(message: Message, valkey: redis.Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(message.record))


# --- claim ---


async def nothing(message: Message) -> None:
    """Leave the message unknown."""


async def held(message: Message) -> None:
    await message.claim("other")


async def held_by_the_dead(message: Message) -> None:
    await message.claim("other", lease=0)


async def answered(message: Message) -> None:
    await message.claim("other")
    await message.commit("<Response>1</Response>")


async def answered_and_long_gone(message: Message) -> None:
    await message.claim("other", lease=0)
    await message.commit("<Response>1</Response>", outcome="late")


async def released(message: Message) -> None:
    await message.claim("other")
    await message.release()


async def taken_by_the_fallback(message: Message) -> None:
    await released(message)
    await message.claim("fallback", fallback=True)


async def lost_by_the_fallback(message: Message) -> None:
    await released(message)
    await message.claim("fallback", fallback=True, lease=0)


async def known_from_a_receipt(message: Message) -> None:
    await message.receipt(MessageStatus.SENT)


async def committed_after_the_record_was_lost(message: Message) -> None:
    await message.commit("<Response>1</Response>")


async def released_after_the_record_was_lost(message: Message) -> None:
    await message.release()


FOUND = [b"answered", b"<Response>1</Response>", b"reply"]
LATE = [b"answered", b"<Response>1</Response>", b"late"]

CLAIMS = [
    (nothing, [b"claimed", 1], [b"claimed", 1]),
    (held, [b"in_progress"], [b"in_progress"]),
    (held_by_the_dead, [b"claimed", 2], [b"claimed", 2]),
    (answered, FOUND, FOUND),
    (answered_and_long_gone, LATE, LATE),
    (released, [b"released"], [b"claimed", 2]),
    (taken_by_the_fallback, [b"released"], [b"in_progress"]),
    (lost_by_the_fallback, [b"released"], [b"claimed", 3]),
    (known_from_a_receipt, [b"claimed", 1], [b"claimed", 1]),
    (committed_after_the_record_was_lost, FOUND, FOUND),
    (released_after_the_record_was_lost, [b"released"], [b"claimed", 2]),
]


@pytest.mark.parametrize("fallback", [False, True], ids=["inbound", "fallback"])
@pytest.mark.parametrize(("state", "inbound_gets", "fallback_gets"), CLAIMS)
async def test_a_claim_in_every_state(
    message: Message, state: Any, inbound_gets: list[Any], fallback_gets: list[Any], fallback: bool
) -> None:
    await state(message)
    found = await message.claim(fallback=fallback)
    if found[0] == b"in_progress":
        assert 0 < found.pop() <= LEASE
    assert found == (fallback_gets if fallback else inbound_gets)


async def test_of_many_claims_exactly_one_succeeds(message: Message) -> None:
    found = await asyncio.gather(*(message.claim(f"owner{number}") for number in range(100)))
    assert sorted(answer[0] for answer in found) == [b"claimed"] + [b"in_progress"] * 99


async def test_a_message_is_journaled_with_its_claim_and_only_once(
    message: Message, valkey: redis.Redis
) -> None:
    await message.claim(lease=0)
    await message.claim(lease=0)
    await message.commit()
    await message.claim()
    assert journal(message, valkey) == [b"AC1/SM1"]
    assert fields(message, valkey)[b"request"] == b"From=a"


async def test_the_journal_is_trimmed_by_age(message: Message, valkey: redis.Redis) -> None:
    for number in range(1, 1001):
        valkey.xadd(message.bucket.journal, {"message": "old"}, id=f"{number}-1")
        valkey.xadd(message.bucket.dead_letters, {"message": "old", "cause": "old"}, id=f"{number}-1")
    await message.claim()
    await message.commit(cause="it raised")
    for stream in (message.bucket.journal, message.bucket.dead_letters):
        assert 1 <= valkey.xlen(stream) <= 101, "all but the last node of the stream"


# --- commit ---


async def test_the_first_commit_wins(message: Message, valkey: redis.Redis) -> None:
    await message.claim()
    assert await message.commit("1", outcome="late") == [1]
    assert await message.commit("2", outcome="reply", cause="raised") == [0, b"1", b"late"]
    assert fields(message, valkey)[b"answer"] == b"1"
    assert dead_letters(message, valkey) == []


@pytest.mark.parametrize(
    "state", [nothing, held, held_by_the_dead, released, taken_by_the_fallback, known_from_a_receipt]
)
async def test_a_commit_answers_a_message_in_any_state(message: Message, state: Any) -> None:
    await state(message)
    assert await message.commit("1") == [1]
    assert await message.claim() == [b"answered", b"1", b"reply"]


async def test_a_message_restored_from_the_spool_is_whole(message: Message, valkey: redis.Redis) -> None:
    assert await message.commit("1", cause="raised", restored=(b"From=a", 1_700_000_000_000)) == [1]
    assert await message.commit("1", cause="raised", restored=(b"From=a", 1_700_000_000_000)) == [
        0,
        b"1",
        b"reply",
    ]
    assert journal(message, valkey) == [b"AC1/SM1"]
    assert dead_letters(message, valkey) == [b"raised"]
    stored = fields(message, valkey)
    assert (stored[b"request"], stored[b"received"], stored[b"attempts"]) == (
        b"From=a",
        b"1700000000000",
        b"1",
    )


async def test_a_restored_message_overwrites_nothing_in_redis(message: Message, valkey: redis.Redis) -> None:
    await message.claim("first")
    received = fields(message, valkey)[b"received"]
    await message.commit("1", restored=(b"From=spool", 1))
    stored = fields(message, valkey)
    assert (stored[b"request"], stored[b"received"]) == (b"From=first", received)
    assert journal(message, valkey) == [b"AC1/SM1"]


@pytest.mark.parametrize("ending", ["commit", "release"])
async def test_an_answer_is_published_only_for_waiting_requests(
    message: Message, valkey: redis.Redis, ending: str
) -> None:
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(ANSWERED_CHANNEL)
        for number, waits in enumerate((False, True)):
            one = Message(message.store, message.bucket, f"AC1/SM{number}")
            await one.claim("a")
            if waits:
                await one.claim("b")
            await getattr(one, ending)()
        received = [channel.get_message(timeout=5) for _ in range(2)]  # the first is the subscription
        assert [word["data"] for word in received if word] == [b"AC1/SM1"]


# --- release ---


@pytest.mark.parametrize(
    ("state", "result", "letters"),
    [
        (held, 1, [b"it raised"]),
        (held_by_the_dead, 1, [b"it raised"]),
        (nothing, 1, [b"it raised"]),
        (known_from_a_receipt, 1, [b"it raised"]),
        (answered, 0, []),
        (released, 0, [b"it raised"]),
    ],
)
async def test_a_release_in_every_state(
    message: Message, valkey: redis.Redis, state: Any, result: int, letters: list[bytes]
) -> None:
    await state(message)
    assert await message.release() == result
    assert dead_letters(message, valkey) == letters


async def test_a_repeated_release_does_not_affect_the_fallbacks_claim(message: Message) -> None:
    await taken_by_the_fallback(message)
    assert await message.release() == 0
    assert (await message.claim(fallback=True))[0] == b"in_progress"


# --- renew_lease ---


@pytest.mark.parametrize(
    ("state", "owner", "renewed"),
    [
        (nothing, "other", -1),
        (held, "other", 1),
        (held, "a", 0),
        (held_by_the_dead, "other", 1),
        (answered, "other", 0),
        (taken_by_the_fallback, "other", 0),
        (taken_by_the_fallback, "fallback", 1),
    ],
)
async def test_only_the_owner_renews_a_lease(message: Message, state: Any, owner: str, renewed: int) -> None:
    await state(message)
    assert await message.renew(owner) == renewed


async def test_a_renewed_lease_excludes_other_owners(message: Message) -> None:
    await message.claim("a", lease=0)
    await message.renew("a", LEASE)
    assert (await message.claim("b"))[0] == b"in_progress"


# --- record_receipt ---


async def test_receipts_have_the_same_result_in_every_order(message: Message, valkey: redis.Redis) -> None:
    statuses = (MessageStatus.QUEUED, MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ)
    for number, order in enumerate(permutations(statuses)):
        for status in order:
            await message.receipt(status, sid=f"SM{number}")
        assert valkey.hget(message.bucket.receipt(f"SM{number}"), "status") == b"read"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(MessageStatus), min_size=1, max_size=8))
async def test_receipts_are_ranked_as_in_the_protocol(
    message: Message, valkey: redis.Redis, statuses: list[MessageStatus]
) -> None:
    valkey.flushdb()

    def follow(current: MessageStatus | None, new: MessageStatus) -> MessageStatus | None:
        return new if current is None or new.rank > current.rank else current

    expected = reduce(follow, statuses, None)
    news = [await message.receipt(status) for status in statuses]
    assert valkey.hget(message.bucket.receipt("SM9"), "status") == str(expected).encode()
    assert news[0] == 1


async def test_a_receipt_before_the_commit_does_not_affect_the_answer(
    message: Message, valkey: redis.Redis
) -> None:
    await message.receipt(MessageStatus.DELIVERED)
    assert await message.claim() == [b"claimed", 1]
    assert await message.commit("1") == [1]
    stored = fields(message, valkey)
    assert (stored[b"sent:SM9"], stored[b"answer"]) == (b"SM1.0", b"1")


async def test_a_receipt_of_an_unknown_message_is_stored_alone(message: Message, valkey: redis.Redis) -> None:
    key = message.bucket.receipt("SM9")
    assert await message.receipt(MessageStatus.SENT, alone=True) == 1
    assert list(valkey.scan_iter()) != []
    remaining = {b"status", b"rank", b"error_code", b"sender", b"reply", b"at:sent"}
    assert valkey.hgetall(key).keys() == remaining


# --- Redis' clock was set back ---


@pytest.mark.parametrize("back", [3_600_000, 86_400_000])
async def test_a_claim_from_before_the_clock_was_set_back_lasts_one_lease_more(
    message: Message, valkey: redis.Redis, back: int
) -> None:
    await message.claim("other", lease=LEASE + back)
    result, left = (await message.claim("a"))[:2]
    assert (result, left) == (b"in_progress", LEASE)
    assert 0 < int(fields(message, valkey)[b"lease_until"]) - valkey.time()[0] * 1000 <= LEASE + 1000
    assert (await message.claim("a"))[0] == b"in_progress", "its worker may be running"
    assert (await message.renew("other")) == 1
