"""What is known of a person: opting out and in, in any order, with and without Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import permutations
from pathlib import Path

import pytest
import redis

from sms_router.routing.contacts.contact import Contact, ContactFields, OptOutState, parse_contact
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import NO_FACTS, Capability, RecipientFacts, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.reachability import Failure
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import BUCKETS, CONSENTS_CHANNEL, bucket_of
from sms_router.store.redis_py import async_client, subscribed
from tests.routing.workers import Worker, worker
from tests.store.private_valkey import PrivateValkey

MG = "MG" + "1" * 32
PERSON = "+14155550123"
BUCKET = bucket_of(PERSON)
TABLE = load_error_table()
NOW = 1_700_000_000
POOL = Pool(MG, 1, (Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", Capability.SMS),))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = float(NOW)

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pool_for(service: str | None, number: str) -> Pool | None:
    return POOL if service == MG or number == "12345" else None


def people_of(one: Worker, clock: Clock) -> Contacts:
    return Contacts(one.store, one.journal, pool_for, TABLE, clock)


@pytest.fixture
def people(one: Worker, clock: Clock) -> Contacts:
    return people_of(one, clock)


async def opened(one: Worker, number: int = 1) -> ContactFields:
    key = MessageKey(f"AC1/SM{number}", PERSON)
    opening = await one.records.claim(key, b"", fallback=False, scope=MG)
    assert isinstance(opening, Claimed)
    return opening.contact


def test_the_scope_is_the_service_else_the_one_that_holds_the_number_else_the_number(
    people: Contacts,
) -> None:
    assert people.scope_of("MG9", "12345") == "MG9"
    assert people.scope_of(None, "12345") == MG
    assert people.scope_of(None, "54321") == "54321"


async def test_of_a_stranger_nothing_is_known_and_nothing_comes_along(one: Worker, people: Contacts) -> None:
    known = await opened(one)
    assert known is None
    assert people.facts(MG, PERSON, known, stored=True) is NO_FACTS


async def test_whoever_opted_out_is_known_when_their_next_message_is_opened(
    one: Worker, people: Contacts
) -> None:
    await people.opt_out(MG, PERSON, "STOP")
    known = await opened(one)
    assert known is not None
    assert parse_contact(known) == Contact(opted_out=OptOutState(NOW * 1000, "STOP"))
    assert people.facts(MG, PERSON, known, stored=True).opted_out
    await people.opt_in(MG, PERSON, "START")
    assert people.facts(MG, PERSON, await opened(one, 2), stored=True) is NO_FACTS


async def test_another_service_is_another_list(people: Contacts) -> None:
    await people.opt_out("MG9", PERSON, "STOP")
    assert (await people.get(MG, PERSON)).opted_out is None
    assert (await people.get("MG9", PERSON)).opted_out is not None


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_latest_wish_holds_in_whatever_order_they_come(
    people: Contacts, clock: Clock, valkey: redis.Redis, order: tuple[int, ...]
) -> None:
    wishes = [(people.opt_out, "STOP", 0), (people.opt_in, "START", 10), (people.opt_out, "21610", 5)]
    for number in (*order, *order):
        wish, source, after = wishes[number]
        clock.seconds = NOW + after
        await wish(MG, PERSON, source)
    assert (await people.get(MG, PERSON)).opted_out is None
    assert valkey.zcard(BUCKET.opt_outs) == 0
    for after, source in ((20, "STOP"), (25, "import")):
        clock.seconds = NOW + after
        await people.opt_out(MG, PERSON, source)
    assert (await people.get(MG, PERSON)).opted_out == OptOutState((NOW + 20) * 1000, "STOP")


async def test_an_opt_out_never_expires_and_everything_else_does(
    people: Contacts, valkey: redis.Redis, clock: Clock
) -> None:
    await people.opt_out(MG, PERSON, "STOP")
    key = BUCKET.contact(MG, PERSON)
    assert valkey.pttl(key) == -1
    valkey.hset(key, "12345", "30006@1700000000000")
    clock.seconds += 1
    await people.opt_in(MG, PERSON, "START")
    assert all(int(str(valkey.pttl(each))) > 0 for each in valkey.scan_iter())
    assert (await people.get(MG, PERSON)).failures == {"12345": (Failure(30006, 1_700_000_000_000),)}


async def test_without_redis_the_opt_outs_seen_lately_are_remembered(tmp_path: Path, clock: Clock) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        people = people_of(alone, clock)
        assert people.facts(MG, PERSON, None, stored=False) is NO_FACTS
        await people.opt_out(MG, PERSON, "STOP")
        assert people.facts(MG, PERSON, None, stored=False) == RecipientFacts(opted_out=True)
        assert people.is_opted_out_cached(MG, PERSON)
        await people.opt_in(MG, PERSON, "START")
        assert people.facts(MG, PERSON, None, stored=False) is NO_FACTS
        with pytest.raises(StoreUnavailableError):
            await people.get(MG, PERSON)


async def test_other_workers_hear_of_opt_outs_and_of_who_comes_back(
    valkey_url: str, people: Contacts, clock: Clock
) -> None:
    copy = OptOutCache()
    async with (
        async_client(valkey_url, connect_within=2) as redis,
        subscribed(redis, CONSENTS_CHANNEL) as channel,
    ):
        words = channel.listen()
        wishes: list[tuple[Callable[[str, str, str], Awaitable[None]], bool]] = [
            (people.opt_out, True),
            (people.opt_in, False),
            (people.opt_out, True),
        ]
        for wish, opted_out in wishes:
            clock.seconds += 1
            await wish(MG, PERSON, "said so")
            copy.apply((await anext(words))["data"].decode())
            assert ((MG, PERSON) in copy) is opted_out


async def test_who_begins_to_listen_reads_the_newest_opt_outs(
    valkey_url: str, people: Contacts, clock: Clock
) -> None:
    everybody = [f"+1415555{number:04}" for number in range(300)]
    for person in everybody:
        clock.seconds += 1
        await people.opt_out(MG, person, "STOP")
    await people.opt_in(MG, everybody[0], "START")
    whole, short = OptOutCache(), OptOutCache(most=BUCKETS)
    async with async_client(valkey_url, connect_within=2) as redis:
        await whole.read(redis)
        await short.read(redis)
    assert [(MG, person) in whole for person in everybody] == [False] + [True] * 299
    remembered = [person for person in everybody if (MG, person) in short]
    assert 0 < len(remembered) <= BUCKETS


def test_of_too_many_opt_outs_the_newest_are_remembered() -> None:
    copy = OptOutCache(most=2)
    for person in ("+1", "+2", "+3", "+2"):
        copy.remember(MG, person)
    assert [(MG, person) in copy for person in ("+1", "+2", "+3")] == [False, True, True]
    copy.forget(MG, "+2")
    copy.forget(MG, "+9")
    assert copy
    copy.forget(MG, "+3")
    assert not copy


async def test_an_opt_out_taken_without_redis_reaches_it_later(
    private_valkey: PrivateValkey, tmp_path: Path, clock: Clock
) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        people = people_of(one, clock)
        await one.store.aclose()
        await people.opt_out(MG, PERSON, "STOP")
        assert one.journal.has_backlog
        assert people.facts(MG, PERSON, None, stored=True).opted_out, "Redis does not know yet"
        await one.store.start()
        await one.journal.replay()
        assert not one.journal.has_backlog
        assert (await people.get(MG, PERSON)).opted_out is not None


async def test_who_came_back_by_another_worker_is_not_held_to_be_opted_out(
    valkey_url: str, tmp_path: Path, one: Worker, people: Contacts, clock: Clock
) -> None:
    await people.opt_out(MG, PERSON, "STOP")
    async with worker(valkey_url, tmp_path / "other") as other:
        clock.seconds += 1
        await people_of(other, clock).opt_in(MG, PERSON, "START")
    assert people.facts(MG, PERSON, await opened(one), stored=True) is NO_FACTS
    assert not people.is_opted_out_cached(MG, PERSON)


async def test_the_time_of_a_wish_is_that_of_its_message(
    one: Worker, people: Contacts, valkey: redis.Redis
) -> None:
    await opened(one)
    await people.opt_out(MG, PERSON, "STOP", "AC1/SM1")
    received = valkey.hget(BUCKET.message("AC1/SM1"), "received")
    found = (await people.get(MG, PERSON)).opted_out
    assert found is not None
    assert str(found.since).encode() == received


async def test_what_redis_dates_counts_though_this_clock_is_behind(
    one: Worker, people: Contacts, clock: Clock
) -> None:
    """Redis' clock says when a message came; a worker's may be seconds behind it, or years here."""
    await opened(one)
    await people.opt_out(MG, PERSON, "STOP", "AC1/SM1")
    assert people.facts(MG, PERSON, await opened(one, 2), stored=True).opted_out
    assert (await people.facts_now(MG, PERSON)).opted_out
    later = int(clock.seconds + 3600) * 1000
    facts = people.facts(MG, "+14155550124", [b"12345", b"30006@%d" % later], stored=True)
    assert facts.unreachable == {"12345"}


def test_what_cannot_be_read_is_left_out() -> None:
    person = parse_contact([b":opt-out", b"5 x STOP", b":sticky-sender", b"", b"12345", b"\xff 30006@5"])
    assert person == Contact(OptOutState(0, "STOP"), {"12345": (Failure(30006, 5),)}, None)


# --- clocks that were wrong ---


def ahead(valkey: redis.Redis, seconds: float) -> int:
    """Return a time by Redis' clock, in milliseconds."""
    return int((valkey.time()[0] + seconds) * 1000)


@pytest.mark.parametrize("wrong", [-86_400, -3600, 3600, 86_400])
async def test_whoever_opted_out_is_out_whatever_a_workers_clock_says(
    one: Worker, people: Contacts, clock: Clock, valkey: redis.Redis, wrong: float
) -> None:
    clock.seconds = ahead(valkey, 0) / 1000
    await people.opt_out(MG, PERSON, "STOP")
    clock.seconds += wrong
    assert people.facts(MG, PERSON, await opened(one), stored=True).opted_out


@pytest.mark.parametrize("wrong", [3600, 86_400])
@pytest.mark.parametrize(
    ("wishes", "listed"),
    [(("stop", "start"), False), (("start", "stop"), True), (("stop", "start", "stop"), True)],
    ids=["back", "out", "back and out"],
)
async def test_a_wish_from_a_machine_ahead_holds_no_longer_than_the_next_one(
    people: Contacts, clock: Clock, valkey: redis.Redis, wrong: float, wishes: tuple[str, ...], listed: bool
) -> None:
    say = {"stop": people.opt_out, "start": people.opt_in}
    clock.seconds = ahead(valkey, wrong) / 1000
    for wish in wishes:
        await say[wish](MG, PERSON, wish)
        await asyncio.sleep(0.002)
    assert ((await people.get(MG, PERSON)).opted_out is not None) is listed


@pytest.mark.parametrize("left", [3600, 86_400])
async def test_a_stop_is_heard_after_a_start_from_before_the_clock_was_set_back(
    people: Contacts, clock: Clock, valkey: redis.Redis, left: float
) -> None:
    valkey.hset(BUCKET.last_delivery(MG, PERSON), ":opt-in", ahead(valkey, left))
    clock.seconds = ahead(valkey, -1) / 1000
    await people.opt_out(MG, PERSON, "STOP")
    assert (await people.get(MG, PERSON)).opted_out == OptOutState(int(clock.seconds * 1000), "STOP")
    valkey.delete(BUCKET.last_delivery(MG, PERSON))


@pytest.mark.parametrize(("ago", "listed"), [(1, False), (55, False), (120, True), (3600, True)])
async def test_a_start_is_heard_after_a_stop_from_before_the_clock_was_set_back_if_it_comes_now(
    people: Contacts, clock: Clock, valkey: redis.Redis, ago: float, listed: bool
) -> None:
    await people.opt_out(MG, PERSON, "STOP")
    later = ahead(valkey, 3600)
    valkey.hset(BUCKET.contact(MG, PERSON), ":opt-out", f"{later} {later} STOP")
    clock.seconds = ahead(valkey, -ago) / 1000
    await people.opt_in(MG, PERSON, "START")
    assert ((await people.get(MG, PERSON)).opted_out is not None) is listed
    assert valkey.zcard(BUCKET.opt_outs) == listed
    clock.seconds = ahead(valkey, 0) / 1000
    await people.opt_in(MG, PERSON, "START")
    assert (await people.get(MG, PERSON)).opted_out is None
