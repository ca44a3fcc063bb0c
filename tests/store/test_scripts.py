"""What each script does in each state of a message, on a real server."""

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

from sms_router.store.keys import ANSWERED_CHANNEL, Bucket, bucket_of
from sms_router.store.scripts import ALL, BY_NAME, COMMIT, NOTE, OPEN, RECEIPT, RELEASE, RENEW
from sms_router.store.store import Store
from sms_router.twilio.status import MessageStatus

LEASE = 3000
DAY = 86_400_000
NEVER = ("", "")
SCOPE, PERSON = "MG1", "+14155550100"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and the steps that may be taken with it."""

    store: Store
    bucket: Bucket
    reference: str = "AC1/SM1"

    @property
    def record(self) -> bytes:
        return self.bucket.message(self.reference)

    @property
    def facts(self) -> tuple[bytes, bytes]:
        return self.bucket.person(SCOPE, PERSON), self.bucket.last_delivery(SCOPE, PERSON)

    async def open(self, owner: str = "a", *, lease: int = LEASE, fallback: bool = False) -> Any:
        arguments = (owner, lease, DAY, self.reference, f"From={owner}", str(int(fallback)))
        keys = (self.record, self.bucket.journal, self.facts[0])
        return await self.store.run(OPEN, keys, arguments)

    async def commit(
        self,
        answer: str = "<Response/>",
        *,
        outcome: str = "reply",
        cause: str = "",
        restored: tuple[str, str] = NEVER,
        going_on: tuple[str, str] = NEVER,
    ) -> Any:
        keys = (self.record, self.bucket.journal, self.bucket.dead_letters, self.bucket.outbox)
        said = (self.reference, answer, outcome, "{}", DAY, cause, ANSWERED_CHANNEL, *going_on, LEASE)
        found = await self.store.run(COMMIT, keys, (*said, *restored))
        if found == [2]:  # as `Records.commit` does, when the record is not there
            found = await self.store.run(COMMIT, keys, (*said, "From=a", 1))
        return found

    async def release(self, cause: str = "it raised") -> Any:
        keys = (self.record, self.bucket.journal, self.bucket.dead_letters)
        said = (self.reference, "{}", DAY, cause, ANSWERED_CHANNEL, "From=a", 1)
        return await self.store.run(RELEASE, keys, said)

    async def renew(self, owner: str = "a", lease: int = LEASE) -> Any:
        return await self.store.run(RENEW, (self.record,), (owner, lease))

    async def note(self, text: str, cause: str = "") -> Any:
        keys = (self.record, self.bucket.dead_letters)
        return await self.store.run(NOTE, keys, (self.reference, "late", text, DAY, cause))

    async def receipt(self, status: MessageStatus, *, sid: str = "SM9", code: str = "") -> Any:
        outbox = (self.bucket.outbox, self.bucket.dead_letters)
        keys = (self.bucket.receipt(sid), self.record, *self.facts, *outbox)
        told = (status.value, status.rank, code, "12345", "SM1.0", DAY, sid, "", 0, DAY, 5, "")
        said = (*told, "", "", "", 1, 0, self.reference, "")
        return await self.store.run(RECEIPT, keys, said)


@pytest.fixture
async def message(valkey_url: str, valkey: redis.Redis) -> AsyncIterator[Message]:
    store = Store(valkey_url)
    await store.start()
    yield Message(store, bucket_of(PERSON))
    await store.aclose()
    lasting = [key for key in valkey.scan_iter() if int(str(valkey.pttl(key))) < 0]
    assert lasting == [], "everything that is written expires"


def entries(valkey: redis.Redis, stream: bytes) -> list[dict[bytes, bytes]]:
    return [entry for _, entry in cast("list[tuple[bytes, dict[bytes, bytes]]]", valkey.xrange(stream))]


def journal(message: Message, valkey: redis.Redis) -> list[bytes]:
    return [entry[b"message"] for entry in entries(valkey, message.bucket.journal)]


def dead_letters(message: Message, valkey: redis.Redis) -> list[bytes]:
    return [entry[b"cause"] for entry in entries(valkey, message.bucket.dead_letters)]


def fields(message: Message, valkey: redis.Redis) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", valkey.hgetall(message.record))


# --- open ---


async def nothing(message: Message) -> None:
    """Leave the message unheard of."""


async def held(message: Message) -> None:
    await message.open("other")


async def held_by_the_dead(message: Message) -> None:
    await message.open("other", lease=0)


async def answered(message: Message) -> None:
    await message.open("other")
    await message.commit("<Response>1</Response>")


async def answered_and_long_gone(message: Message) -> None:
    await message.open("other", lease=0)
    await message.commit("<Response>1</Response>", outcome="late")


async def released(message: Message) -> None:
    await message.open("other")
    await message.release()


async def taken_by_the_fallback(message: Message) -> None:
    await released(message)
    await message.open("fallback", fallback=True)


async def lost_by_the_fallback(message: Message) -> None:
    await released(message)
    await message.open("fallback", fallback=True, lease=0)


async def known_from_a_receipt(message: Message) -> None:
    await message.receipt(MessageStatus.SENT)


async def committed_after_the_record_was_lost(message: Message) -> None:
    await message.commit("<Response>1</Response>")


async def released_after_the_record_was_lost(message: Message) -> None:
    await message.release()


FOUND = [b"answered", b"<Response>1</Response>", b"reply"]
LATE = [b"answered", b"<Response>1</Response>", b"late"]

OPENINGS = [
    (nothing, [b"claimed", 1], [b"claimed", 1]),
    (held, [b"busy"], [b"busy"]),
    (held_by_the_dead, [b"claimed", 2], [b"claimed", 2]),
    (answered, FOUND, FOUND),
    (answered_and_long_gone, LATE, LATE),
    (released, [b"released"], [b"claimed", 2]),
    (taken_by_the_fallback, [b"released"], [b"busy"]),
    (lost_by_the_fallback, [b"released"], [b"claimed", 3]),
    (known_from_a_receipt, [b"claimed", 1], [b"claimed", 1]),
    (committed_after_the_record_was_lost, FOUND, FOUND),
    (released_after_the_record_was_lost, [b"released"], [b"claimed", 2]),
]


@pytest.mark.parametrize("fallback", [False, True], ids=["inbound", "fallback"])
@pytest.mark.parametrize(("state", "inbound_gets", "fallback_gets"), OPENINGS)
async def test_an_opening_is_told_what_it_may_do(
    message: Message, state: Any, inbound_gets: list[Any], fallback_gets: list[Any], fallback: bool
) -> None:
    await state(message)
    found = await message.open(fallback=fallback)
    if found[0] == b"busy":
        assert 0 < found.pop() <= LEASE
    assert found == (fallback_gets if fallback else inbound_gets)


async def test_of_many_openings_exactly_one_is_told_to_work(message: Message) -> None:
    found = await asyncio.gather(*(message.open(f"owner{number}") for number in range(100)))
    assert sorted(answer[0] for answer in found) == [b"busy"] * 99 + [b"claimed"]


async def test_a_message_is_journaled_with_its_claim_and_only_once(
    message: Message, valkey: redis.Redis
) -> None:
    await message.open(lease=0)
    await message.open(lease=0)
    await message.commit()
    await message.open()
    assert journal(message, valkey) == [b"AC1/SM1"]
    assert fields(message, valkey)[b"request"] == b"From=a"


async def test_the_journal_is_trimmed_by_age(message: Message, valkey: redis.Redis) -> None:
    for number in range(1, 1001):
        valkey.xadd(message.bucket.journal, {"message": "old"}, id=f"{number}-1")
        valkey.xadd(message.bucket.dead_letters, {"message": "old", "cause": "old"}, id=f"{number}-1")
    await message.open()
    await message.commit(cause="it raised")
    for stream in (message.bucket.journal, message.bucket.dead_letters):
        assert 1 <= valkey.xlen(stream) <= 101, "all but the last node of the stream"


# --- commit ---


async def test_the_first_commit_wins(message: Message, valkey: redis.Redis) -> None:
    await message.open()
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
    assert await message.open() == [b"answered", b"1", b"reply"]


async def test_an_answer_ends_the_lease(message: Message, valkey: redis.Redis) -> None:
    await message.open("a")
    await message.commit()
    assert not {b"owner", b"lease"} & fields(message, valkey).keys()
    assert await message.renew("a") == 0


async def test_a_failure_is_a_dead_letter_with_its_cause(message: Message, valkey: redis.Redis) -> None:
    await message.open()
    await message.commit(outcome="failed", cause="KeyError: 'x'")
    assert dead_letters(message, valkey) == [b"KeyError: 'x'"]


async def test_a_message_restored_from_the_spool_is_whole(message: Message, valkey: redis.Redis) -> None:
    assert await message.commit("1", cause="raised", restored=("From=a", "1700000000000")) == [1]
    assert await message.commit("1", cause="raised", restored=("From=a", "1700000000000")) == [
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


async def test_restoring_keeps_what_redis_knew_already(message: Message, valkey: redis.Redis) -> None:
    await message.open("first")
    received = fields(message, valkey)[b"received"]
    await message.commit("1", restored=("From=spool", "1"))
    stored = fields(message, valkey)
    assert (stored[b"request"], stored[b"received"]) == (b"From=first", received)
    assert journal(message, valkey) == [b"AC1/SM1"]


@pytest.mark.parametrize("ending", ["commit", "release"])
async def test_the_word_goes_out_only_when_somebody_waits(
    message: Message, valkey: redis.Redis, ending: str
) -> None:
    with valkey.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(ANSWERED_CHANNEL)
        for number, waits in enumerate((False, True)):
            one = Message(message.store, message.bucket, f"AC1/SM{number}")
            await one.open("a")
            if waits:
                await one.open("b")
            await getattr(one, ending)()
        heard = [channel.get_message(timeout=5) for _ in range(2)]  # the first is the subscription
        assert [word["data"] for word in heard if word] == [b"AC1/SM1"]


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


async def test_a_release_run_again_after_the_fallback_took_over_does_not_disturb_it(message: Message) -> None:
    await taken_by_the_fallback(message)
    assert await message.release() == 0
    assert (await message.open(fallback=True))[0] == b"busy"


# --- renew ---


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
async def test_only_the_owner_renews(message: Message, state: Any, owner: str, renewed: int) -> None:
    await state(message)
    assert await message.renew(owner) == renewed


async def test_a_renewed_lease_keeps_others_out(message: Message) -> None:
    await message.open("a", lease=0)
    await message.renew("a", LEASE)
    assert (await message.open("b"))[0] == b"busy"


# --- note ---


async def test_a_note_is_kept_with_the_message_once(message: Message, valkey: redis.Redis) -> None:
    await answered(message)
    assert [await message.note("text", "too late") for _ in range(2)] == [1, 0]
    assert fields(message, valkey)[b"late"] == b"text"
    assert dead_letters(message, valkey) == [b"too late"]


async def test_a_note_of_a_lost_message_is_a_dead_letter_only(message: Message, valkey: redis.Redis) -> None:
    await message.note("text", "too late")
    assert fields(message, valkey) == {}
    assert dead_letters(message, valkey) == [b"too late"]


async def test_a_note_without_a_cause_is_no_dead_letter(message: Message, valkey: redis.Redis) -> None:
    await answered(message)
    await message.note("text")
    assert dead_letters(message, valkey) == []


# --- receipt ---


async def test_receipts_end_the_same_in_every_order(message: Message, valkey: redis.Redis) -> None:
    statuses = (MessageStatus.QUEUED, MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ)
    for number, order in enumerate(permutations(statuses)):
        for status in order:
            await message.receipt(status, sid=f"SM{number}")
        assert valkey.hget(message.bucket.receipt(f"SM{number}"), "status") == b"read"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(MessageStatus), min_size=1, max_size=8))
async def test_the_server_ranks_receipts_as_the_protocol_does(
    message: Message, valkey: redis.Redis, statuses: list[MessageStatus]
) -> None:
    valkey.flushdb()

    def follow(current: MessageStatus | None, new: MessageStatus) -> MessageStatus | None:
        return new if current is None or new.rank > current.rank else current

    expected = reduce(follow, statuses, None)
    news = [await message.receipt(status) for status in statuses]
    assert valkey.hget(message.bucket.receipt("SM9"), "status") == str(expected).encode()
    assert news[0] == 1


async def test_a_receipt_before_the_answer_is_committed_takes_nothing_from_it(
    message: Message, valkey: redis.Redis
) -> None:
    await message.receipt(MessageStatus.DELIVERED)
    assert await message.open() == [b"claimed", 1]
    assert await message.commit("1") == [1]
    stored = fields(message, valkey)
    assert (stored[b"sent:SM9"], stored[b"answer"]) == (b"SM1.0", b"1")


async def test_a_receipt_of_somebody_elses_text_stands_alone(message: Message, valkey: redis.Redis) -> None:
    key = message.bucket.receipt("SM9")
    said = ("sent", 4, "", "", "", DAY, "SM9", "", 0, DAY, 5, "", "", "", "", 1, 0, "", "")
    outbox = (message.bucket.outbox, message.bucket.dead_letters)
    assert await message.store.run(RECEIPT, (key, key, *message.facts, *outbox), said) == 1
    assert list(valkey.scan_iter()) != []
    kept = {b"status", b"rank", b"error_code", b"sender", b"reply", b"at:sent"}
    assert valkey.hgetall(key).keys() == kept


# --- all of them ---


def test_every_script_is_known_by_its_name() -> None:
    assert [BY_NAME[script.name] for script in ALL] == list(ALL)


# --- Redis' clock was set back ---


@pytest.mark.parametrize("back", [3_600_000, 86_400_000])
async def test_a_claim_from_before_the_clock_was_set_back_lasts_one_lease_more(
    message: Message, valkey: redis.Redis, back: int
) -> None:
    await message.open("other", lease=LEASE + back)
    said, left = (await message.open("a"))[:2]
    assert (said, left) == (b"busy", LEASE)
    assert 0 < int(fields(message, valkey)[b"lease"]) - valkey.time()[0] * 1000 <= LEASE + 1000
    assert (await message.open("a"))[0] == b"busy", "it may be alive"
    assert (await message.renew("other")) == 1
