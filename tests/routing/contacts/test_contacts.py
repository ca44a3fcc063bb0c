"""Contacts: opting out and in, in any order, with and without Redis, and with wrong clocks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import redis

from sms_router.routing.contacts.contact import Contact, ContactFields, OptOutState, parse_contact
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.inbox.answer import MessageKey
from sms_router.routing.inbox.inbox import Claimed
from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache
from sms_router.routing.opt_outs.evidence import Evidence, read_ledger
from sms_router.routing.opt_outs.opt_out_list import OptOut, OptOutList
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import NO_FACTS, Capability, RecipientFacts, Sender, SenderKind, Tenancy
from sms_router.senders.pool import Pool
from sms_router.senders.reachability import FailedDelivery
from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import CONSENTS_CHANNEL, bucket_of
from sms_router.store.redis_py import async_client, subscribed
from tests.routing.workers import START, STOP, Worker, worker
from tests.store.private_valkey import PrivateValkey

MG = "MG" + "1" * 32
CONTACT = "+14155550123"
BUCKET = bucket_of(CONTACT)
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


def pool_for(service: str | None, number: str, _account: str) -> Pool | None:
    return POOL if service == MG or number == "12345" else None


def contacts_of(one: Worker, clock: Clock) -> Contacts:
    return Contacts(one.store, one.journal, pool_for, TABLE, clock)


@pytest.fixture
def contacts(one: Worker, clock: Clock) -> Contacts:
    return contacts_of(one, clock)


async def claim(one: Worker, number: int = 1) -> ContactFields:
    key = MessageKey(f"AC1/SM{number}", CONTACT)
    claimed = await one.inbox.claim(key, b"", fallback=False, scope=MG)
    assert isinstance(claimed, Claimed)
    return claimed.contact


def test_the_scope_is_the_service_else_that_of_the_pool_else_the_number(
    contacts: Contacts,
) -> None:
    assert contacts.scope_of("MG9", "12345", "AC1") == "MG9"
    assert contacts.scope_of(None, "12345", "AC1") == MG
    assert contacts.scope_of(None, "54321", "AC1") == "54321"


def test_the_scope_of_what_belongs_to_another_account_is_one_of_the_message_alone(
    one: Worker, clock: Clock
) -> None:
    tenancy = Tenancy({MG: "AC1", "MG2": "AC2"}, {"12345": "AC1", "+14155550199": "AC1", "67890": "AC2"})
    contacts = Contacts(one.store, one.journal, pool_for, TABLE, clock, tenancy=tenancy)
    for service, number, account, scope in (
        (MG, "12345", "AC1", MG),
        (None, "12345", "AC1", MG),
        (MG, "12345", "AC2", "AC2/12345"),
        (None, "12345", "AC2", "AC2/12345"),
        (None, "+14155550199", "AC1", "+14155550199"),
        (None, "+14155550199", "AC2", "AC2/+14155550199"),
        ("MG2", "12345", "AC2", "AC2/12345"),
        (MG, "67890", "AC1", "AC1/67890"),
        ("MG9", "55555", "AC2", "MG9"),
    ):
        assert contacts.scope_of(service, number, account) == scope, (service, number, account)


async def test_a_claim_returns_no_fields_of_an_unknown_contact(one: Worker, contacts: Contacts) -> None:
    fields = await claim(one)
    assert fields is None
    assert contacts.facts(MG, CONTACT, fields, stored=True) is NO_FACTS


async def test_a_claim_returns_the_opt_out_of_the_contact(one: Worker, contacts: Contacts) -> None:
    await contacts.change_consent(MG, CONTACT, STOP)
    fields = await claim(one)
    assert fields is not None
    assert parse_contact(fields) == Contact(opted_out=OptOutState(NOW * 1000, "STOP"))
    assert contacts.facts(MG, CONTACT, fields, stored=True).opted_out
    await contacts.change_consent(MG, CONTACT, START)
    assert contacts.facts(MG, CONTACT, await claim(one, 2), stored=True) is NO_FACTS


async def test_each_service_has_its_own_opt_out_list(contacts: Contacts) -> None:
    await contacts.change_consent("MG9", CONTACT, STOP)
    assert (await contacts.get(MG, CONTACT)).opted_out is None
    assert (await contacts.get("MG9", CONTACT)).opted_out is not None


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_latest_change_wins_in_whatever_order_they_arrive(
    contacts: Contacts, clock: Clock, valkey: redis.Redis, order: tuple[int, ...]
) -> None:
    changes = [(STOP, 0), (START, 10), (replace(STOP, source="21610"), 5)]
    clock.seconds = NOW + 10
    for number in (*order, *order):
        evidence, after = changes[number]
        await contacts.change_consent(MG, CONTACT, evidence, at=(NOW + after) * 1000)
    assert (await contacts.get(MG, CONTACT)).opted_out is None
    assert valkey.zcard(BUCKET.opt_outs) == 0
    for after, source in ((20, "STOP"), (25, "import")):
        clock.seconds = NOW + after
        await contacts.change_consent(MG, CONTACT, replace(STOP, source=source))
    assert (await contacts.get(MG, CONTACT)).opted_out == OptOutState((NOW + 20) * 1000, "STOP")


async def test_an_opt_out_never_expires_and_everything_else_does(
    contacts: Contacts, valkey: redis.Redis, clock: Clock
) -> None:
    await contacts.change_consent(MG, CONTACT, STOP)
    key = BUCKET.contact(MG, CONTACT)
    assert valkey.pttl(key) == -1
    valkey.hset(key, "12345", "30006@1700000000000")
    clock.seconds += 1
    await contacts.change_consent(MG, CONTACT, START)
    others = {*valkey.scan_iter()} - {BUCKET.consents}  # without the index of all ledgers
    assert all(int(str(valkey.pttl(other))) > 0 for other in others)
    assert (await contacts.get(MG, CONTACT)).failures == {
        "12345": (FailedDelivery(30006, 1_700_000_000_000),)
    }


async def test_without_redis_the_workers_own_opt_outs_are_applied(tmp_path: Path, clock: Clock) -> None:
    async with worker(f"unix://{tmp_path / 'nobody'}", tmp_path) as alone:
        contacts = contacts_of(alone, clock)
        assert contacts.facts(MG, CONTACT, None, stored=False) is NO_FACTS
        await contacts.change_consent(MG, CONTACT, STOP)
        assert contacts.facts(MG, CONTACT, None, stored=False) == RecipientFacts(opted_out=True)
        assert contacts.is_opted_out_cached(MG, CONTACT)
        await contacts.change_consent(MG, CONTACT, START)
        assert contacts.facts(MG, CONTACT, None, stored=False) is NO_FACTS
        with pytest.raises(StoreUnavailableError):
            await contacts.get(MG, CONTACT)


async def test_opt_outs_and_opt_ins_are_published_to_other_workers(
    valkey_url: str, contacts: Contacts, clock: Clock
) -> None:
    cache = OptOutCache()
    async with (
        async_client(valkey_url, connect_within=2) as redis,
        subscribed(redis, CONSENTS_CHANNEL) as channel,
    ):
        notifications = channel.listen()
        for evidence, opted_out in ((STOP, True), (START, False), (STOP, True)):
            clock.seconds += 1
            await contacts.change_consent(MG, CONTACT, evidence)
            cache.apply_published((await anext(notifications))["data"].decode())
            assert ((MG, CONTACT) in cache) is opted_out


async def test_a_starting_worker_reads_all_opt_outs_page_by_page(
    one: Worker, contacts: Contacts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.routing.opt_outs.sync.PAGE_SIZE", 3)
    monkeypatch.setattr("sms_router.routing.opt_outs.sync.PAGE_OVERLAP", 1)
    everybody = [f"+1415555{number:04}" for number in range(300)]
    for contact in everybody:
        clock.seconds += 1
        await contacts.change_consent(MG, contact, STOP)
    await contacts.change_consent(MG, everybody[0], START)
    cache = OptOutCache()
    sync = OptOutSync(one.store, cache, clock, lambda: TABLE.max_ttl_ms, 1461)
    sync.start()
    sync.request()
    await sync.wait_until_merged(5)
    await sync.aclose()
    assert cache.is_complete
    assert [(MG, contact) in cache for contact in everybody] == [False] + [True] * 299


async def test_suspected_texts_wait_until_an_operator_or_the_contact_decides(
    contacts: Contacts, valkey: redis.Redis, one: Worker, clock: Clock
) -> None:
    opt_outs, others = OptOutList(valkey, 1000, 1), [f"+1415555{number:04}" for number in range(4)]
    for place, contact in enumerate(others):
        clock.seconds += 1
        await contacts.suspect(MG, contact, f"AC1/SM{place}")
    await contacts.count_suspected()
    assert (contacts.suspected, [text.number for text in opt_outs.suspected()]) == (4, others[::-1])
    await contacts.change_consent(MG, others[0], STOP)
    assert contacts.suspected == 3
    assert opt_outs.add([OptOut(others[1], MG, NOW, "operator")]) == 1
    assert [opt_outs.dismiss([OptOut(others[2], MG, 0, "")]) for _ in range(2)] == [1, 0]
    (entry,) = read_ledger(valkey, others[2])
    assert (entry.event, entry.how, entry.message) == ("dismissed", "operator", "SM2")
    assert [text.reference for text in opt_outs.suspected()] == ["AC1/SM3"]
    full = scripts.change_suspected(suspect=f"{MG} {others[0]}", entry="9999999999999 AC1/SM9", max_size=1)
    assert await one.store.run(full) == 1
    assert [text.reference for text in opt_outs.suspected()] == ["AC1/SM9"], "the oldest is dropped"


def test_the_newest_starts_stay_in_memory_and_all_opt_outs() -> None:
    cache = OptOutCache(max_starts=2)
    for at, contact in enumerate(("+1", "+2", "+3", "+2"), start=1):
        cache.apply((MG, contact), ConsentChange(is_opted_out=False, at=at))
        cache.apply(("12345", contact), ConsentChange(is_opted_out=True, at=at))
    assert set(cache.starts) == {(MG, "+3"), (MG, "+2")}
    assert all(("12345", contact) in cache for contact in ("+1", "+2", "+3"))


def test_the_newest_change_counts_in_every_order_and_of_two_at_once_the_start() -> None:
    for changes in permutations([(True, 1), (False, 2), (True, 2), (True, 3), (False, 3)]):
        cache = OptOutCache()
        for is_opted_out, at in changes:
            cache.apply((MG, CONTACT), ConsentChange(is_opted_out, at))
        assert not cache
        assert cache.unsaved == {(MG, CONTACT): ConsentChange(is_opted_out=False, at=3)}


async def test_an_opt_out_without_redis_is_stored_later(
    private_valkey: PrivateValkey, tmp_path: Path, clock: Clock
) -> None:
    async with worker(private_valkey.url, tmp_path) as one:
        contacts = contacts_of(one, clock)
        await one.store.aclose()
        await contacts.change_consent(MG, CONTACT, STOP)
        assert one.journal.has_backlog
        assert contacts.facts(MG, CONTACT, None, stored=True).opted_out, "Redis does not have it yet"
        await one.store.start()
        await one.journal.replay()
        assert not one.journal.has_backlog
        assert (await contacts.get(MG, CONTACT)).opted_out is not None


async def test_an_opt_in_by_another_worker_ends_a_cached_opt_out(
    valkey_url: str, tmp_path: Path, one: Worker, contacts: Contacts, clock: Clock
) -> None:
    await contacts.change_consent(MG, CONTACT, STOP)
    async with worker(valkey_url, tmp_path / "other") as other:
        clock.seconds += 1
        await contacts_of(other, clock).change_consent(MG, CONTACT, START)
    facts = contacts.facts(MG, CONTACT, await claim(one), stored=True)
    assert facts.opted_out, "absence from Redis is no proof"
    assert await contacts.prove(facts, MG, CONTACT) is NO_FACTS
    assert not contacts.is_opted_out_cached(MG, CONTACT)


async def test_the_time_of_an_opt_out_is_that_of_its_message(
    one: Worker, contacts: Contacts, valkey: redis.Redis
) -> None:
    await claim(one)
    await contacts.change_consent(MG, CONTACT, STOP, "AC1/SM1")
    received = valkey.hget(BUCKET.message("AC1/SM1"), "received")
    opted_out = (await contacts.get(MG, CONTACT)).opted_out
    assert opted_out is not None
    assert str(opted_out.since).encode() == received


async def test_a_start_that_was_held_back_does_not_end_a_stop_that_was_texted_after_it(
    one: Worker, contacts: Contacts, valkey: redis.Redis
) -> None:
    """A connection to Redis froze for five seconds between the START and its claim."""
    await claim(one, 2)
    await contacts.change_consent(MG, CONTACT, STOP, "AC1/SM2")
    key = MessageKey("AC1/SM1", CONTACT)
    await one.inbox.claim(key, b"", fallback=False, waiting_since=time.monotonic() - 5)
    await contacts.change_consent(MG, CONTACT, START, "AC1/SM1")
    assert (await contacts.get(MG, CONTACT)).opted_out is not None
    first, second = (valkey.hget(BUCKET.message(f"AC1/SM{number}"), "received") for number in (1, 2))
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert 4000 < int(second) - int(first) < 7000


@pytest.mark.parametrize("wrong", [-3600, 3600])
async def test_an_arrival_by_a_clock_that_is_wrong_is_now(
    valkey_url: str, tmp_path: Path, valkey: redis.Redis, wrong: float
) -> None:
    async with worker(valkey_url, tmp_path) as one:
        waiting_since = time.monotonic() - wrong
        await one.inbox.claim(
            MessageKey("AC1/SM1", CONTACT), b"", fallback=False, waiting_since=waiting_since
        )
    received = valkey.hget(BUCKET.message("AC1/SM1"), "received")
    assert isinstance(received, bytes)
    assert abs(ahead(valkey, 0) - int(received)) < 60_000


async def test_times_set_by_redis_apply_though_this_clock_is_behind(
    one: Worker, contacts: Contacts, clock: Clock
) -> None:
    """A message has Redis' time; a worker's clock may be seconds behind it, and years in this test."""
    await claim(one)
    await contacts.change_consent(MG, CONTACT, STOP, "AC1/SM1")
    assert contacts.facts(MG, CONTACT, await claim(one, 2), stored=True).opted_out
    assert (await contacts.facts_now(MG, CONTACT)).opted_out
    later = int(clock.seconds + 3600) * 1000
    facts = contacts.facts(MG, "+14155550124", [b"12345", b"30006@%d" % later], stored=True)
    assert facts.unreachable == {"12345"}


def test_values_that_cannot_be_parsed_are_left_out() -> None:
    contact = parse_contact([b":opt-out", b"5 x 5 STOP", b":sticky-sender", b"", b"12345", b"\xff 30006@5"])
    assert contact == Contact(OptOutState(0, "STOP"), {"12345": (FailedDelivery(30006, 5),)}, None)


# --- wrong clocks ---


def ahead(valkey: redis.Redis, seconds: float) -> int:
    """Return a time by Redis' clock, in milliseconds."""
    return int((valkey.time()[0] + seconds) * 1000)


@pytest.mark.parametrize("wrong", [-86_400, -3600, 3600, 86_400])
async def test_an_opt_out_applies_whatever_the_clock_of_the_worker_is(
    one: Worker, contacts: Contacts, clock: Clock, valkey: redis.Redis, wrong: float
) -> None:
    clock.seconds = ahead(valkey, 0) / 1000
    await contacts.change_consent(MG, CONTACT, STOP)
    clock.seconds += wrong
    assert contacts.facts(MG, CONTACT, await claim(one), stored=True).opted_out


@pytest.mark.parametrize("wrong", [3600, 86_400])
@pytest.mark.parametrize(
    ("changes", "listed"),
    [((STOP, START), False), ((START, STOP), True), ((STOP, START, STOP), True)],
    ids=["back", "out", "back and out"],
)
async def test_a_change_by_a_clock_that_is_ahead_ends_with_the_next_change(
    contacts: Contacts,
    clock: Clock,
    valkey: redis.Redis,
    wrong: float,
    changes: tuple[Evidence, ...],
    listed: bool,
) -> None:
    clock.seconds = ahead(valkey, wrong) / 1000
    for change in changes:
        await contacts.change_consent(MG, CONTACT, change)
        await asyncio.sleep(0.002)
    assert ((await contacts.get(MG, CONTACT)).opted_out is not None) is listed


@pytest.mark.parametrize("left", [3600, 86_400])
async def test_a_stop_applies_after_a_start_with_a_time_in_the_future(
    contacts: Contacts, clock: Clock, valkey: redis.Redis, left: float
) -> None:
    later = ahead(valkey, left)
    valkey.hset(BUCKET.consent(MG, CONTACT), "opt-in", f"{later} {later}")
    clock.seconds = ahead(valkey, -1) / 1000
    await contacts.change_consent(MG, CONTACT, STOP)
    assert (await contacts.get(MG, CONTACT)).opted_out == OptOutState(int(clock.seconds * 1000), "STOP")
    valkey.delete(BUCKET.consent(MG, CONTACT))


@pytest.mark.parametrize(("ago", "listed"), [(1, False), (55, False), (120, True), (3600, True)])
async def test_a_current_start_applies_after_a_stop_with_a_time_in_the_future(
    contacts: Contacts, clock: Clock, valkey: redis.Redis, ago: float, listed: bool
) -> None:
    await contacts.change_consent(MG, CONTACT, STOP)
    later = ahead(valkey, 3600)
    valkey.hset(BUCKET.contact(MG, CONTACT), ":opt-out", f"{later} {later} {later} STOP")
    clock.seconds = ahead(valkey, -ago) / 1000
    await contacts.change_consent(MG, CONTACT, START)
    assert ((await contacts.get(MG, CONTACT)).opted_out is not None) is listed
    assert valkey.zcard(BUCKET.opt_outs) == listed
    clock.seconds = ahead(valkey, 0) / 1000
    await contacts.change_consent(MG, CONTACT, START)
    assert (await contacts.get(MG, CONTACT)).opted_out is None
