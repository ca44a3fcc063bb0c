"""Checklists in Redis: on every worker, after faults of Redis, and changed by several operators."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
import redis as synchronous
from redis.asyncio import Redis

from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.process_choice import choose_path
from sms_router.onboarding.repository import (
    ConflictError,
    compare_and_set,
    delete_finished,
    dump,
    load_state,
)
from sms_router.onboarding.steps import LIVE, OnboardingKind
from sms_router.onboarding.sync import OnboardingSync
from sms_router.senders.pending import PendingNumber, PendingNumbers
from sms_router.store.keys import CHECKLISTS, CHECKLISTS_VERSION, POOLS_CHANNEL, TEXTED
from sms_router.store.redis_py import async_client, sync_client
from tests.membership.recorded import RecordedTwilio
from tests.membership.timing import Clock, ControlledSleep, running
from tests.store.private_valkey import PrivateValkey
from tests.store.shared_stores import everywhere
from tests.waiting import wait_until

NUMBER, CODE = "+14155550001", "12345"


def begun(twilio: RecordedTwilio, at: float) -> Checklist:
    return Checklist.start(choose_path(NUMBER, None, None), twilio.service_sid, at, "bob")


def added(twilio: RecordedTwilio, number: str = NUMBER, kind: OnboardingKind | None = None) -> Checklist:
    return Checklist.start(choose_path(number, kind, None), twilio.service_sid, 1.0, "ada")


def worker(
    source: ServiceSource, redis: Redis, clock: Clock, sleep: ControlledSleep | None = None
) -> tuple[Membership, PendingNumbers]:
    pending = PendingNumbers(lambda: membership.pools, clock)
    extra_sync = OnboardingSync(redis, pending).sync
    membership = Membership([source], redis, clock=clock, sleep=sleep or asyncio.sleep, extra_sync=extra_sync)
    return membership, pending


async def test_a_pending_number_and_its_end_reach_every_worker_at_once(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    sleep = ControlledSleep()  # the poll does not run: only the announcement can cause a sync
    workers = [worker(source, redis, clock, sleep) for _ in range(2)]
    async with running(workers[0][0]), running(workers[1][0]):
        await wait_until(lambda: _listeners(redis, 2))
        checklist = added(twilio)
        compare_and_set(operator, NUMBER, lambda _: checklist)
        for membership, pending in workers:
            await wait_until(lambda pending=pending: NUMBER in pending.numbers)
            await wait_until(lambda membership=membership: membership.pools)
            (words,) = pending.reasons().values()
            assert words.startswith("being ported in; see ")
        compare_and_set(operator, NUMBER, lambda before: before and before.complete_step(LIVE, 2.0, "ada"))
        for _, pending in workers:
            await wait_until(lambda pending=pending: not pending.numbers)
            assert pending.reasons() == {}


async def test_a_message_to_a_pending_number_reaches_all_workers_and_is_logged_once(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    compare_and_set(operator, NUMBER, lambda _: added(twilio))
    compare_and_set(operator, CODE, lambda _: added(twilio, CODE, OnboardingKind.SHORT_CODE_MIGRATION))
    (here, pending), (there, other) = worker(source, redis, clock), worker(source, redis, clock)
    await here.watch()
    await there.watch()
    pending.reasons(NUMBER)
    pending.reasons(CODE)
    await here.watch()
    await there.watch()
    assert other.first_texted == {NUMBER: clock.now, CODE: clock.now}
    assert [notice.split()[0] for notice in other.notices()] == [NUMBER]
    clock.now += 60
    other.reasons(NUMBER)
    await there.watch()
    assert load_state(operator).texted[NUMBER] == clock.now - 60
    compare_and_set(operator, NUMBER, lambda before: before and before.complete_step(LIVE, 2.0, "ada"))
    await there.watch()
    assert other.notices() == []
    assert set(load_state(operator).texted) == {CODE}


async def test_checklists_are_stored_again_after_redis_lost_its_data(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    here, pending = worker(source, redis, clock)
    compare_and_set(operator, NUMBER, lambda _: added(twilio))
    await here.watch()
    pending.reasons(NUMBER)
    operator.delete(CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
    await here.watch()
    assert [each.number for each in load_state(operator).pending] == [NUMBER]
    assert load_state(operator).texted == {NUMBER: clock.now}


async def test_without_redis_the_pending_numbers_stay_as_last_read(
    source: ServiceSource, no_redis: Redis, clock: Clock
) -> None:
    here, pending = worker(source, no_redis, clock)
    pending.install([PendingNumber(NUMBER, "US", "being ported in")])
    await here.refresh(source.service_sid)
    await here.watch()
    assert here.redis_error is not None
    assert list(pending.reasons(NUMBER).values()) == ["being ported in"]
    await here.watch()
    assert pending.first_texted == {NUMBER: clock.now}


async def test_checklists_survive_a_killed_redis(
    twilio: RecordedTwilio, source: ServiceSource, private_valkey: PrivateValkey, clock: Clock
) -> None:
    async with async_client(private_valkey.url, connect_within=2) as redis:
        here, pending = worker(source, redis, clock)
        with sync_client(private_valkey.url) as client:
            compare_and_set(client, NUMBER, lambda _: added(twilio))
        await here.watch()
        private_valkey.kill()
        await here.watch()
        assert here.redis_error is not None
        assert set(pending.numbers) == {NUMBER}
        pending.reasons(NUMBER)
        private_valkey.start()
        with sync_client(private_valkey.url) as client:
            client.flushall()
        await wait_until(lambda: _well(here))
        await here.watch()
        with sync_client(private_valkey.url) as client:
            assert [each.number for each in load_state(client).pending] == [NUMBER]
            assert load_state(client).texted == {NUMBER: clock.now}


async def test_concurrent_changes_of_two_operators_are_both_stored(
    twilio: RecordedTwilio, redis: Redis, operator: synchronous.Redis
) -> None:
    compare_and_set(operator, NUMBER, lambda _: added(twilio))
    calls = []

    def slow(before: Checklist | None) -> Checklist | None:
        calls.append(before)
        if len(calls) == 1:
            compare_and_set(operator, NUMBER, lambda now: now and now.add_note("first", 2.0, "ben"))
        return before and before.add_note("second", 3.0, "ada")

    stored = compare_and_set(operator, NUMBER, slow)
    assert stored is not None
    assert [entry.detail for entry in stored.history[1:]] == ["first", "second"]
    assert load_state(operator).checklists == (stored,)


async def test_finished_checklists_are_deleted_after_ninety_days(
    twilio: RecordedTwilio, redis: Redis, operator: synchronous.Redis
) -> None:
    compare_and_set(operator, NUMBER, lambda _: added(twilio).complete_step(LIVE, 1.0, "ada"))
    compare_and_set(operator, CODE, lambda _: added(twilio, CODE, OnboardingKind.SHORT_CODE_LEASE))
    delete_finished(operator, 90 * 86_400)
    assert len(load_state(operator).checklists) == 2
    delete_finished(operator, 90 * 86_400 + 2)
    assert [each.number for each in load_state(operator).checklists] == [CODE]


async def test_a_finished_checklist_is_stored_until_the_renewal_of_its_lease(
    twilio: RecordedTwilio, redis: Redis, operator: synchronous.Redis
) -> None:
    code = added(twilio, CODE, OnboardingKind.SHORT_CODE_LEASE).complete_step(LIVE, 1.0, "ada")
    compare_and_set(operator, CODE, lambda _: code.renew(date(1970, 6, 30), 2.0, "ada"))
    for day, numbers in ((180, [CODE]), (181, [])):
        delete_finished(operator, day * 86_400.0)
        assert [each.number for each in load_state(operator).checklists] == numbers


async def test_a_malformed_checklist_is_left_out_and_can_be_replaced(
    twilio: RecordedTwilio, source: ServiceSource, redis: Redis, operator: synchronous.Redis, clock: Clock
) -> None:
    compare_and_set(operator, CODE, lambda _: added(twilio, CODE, OnboardingKind.SHORT_CODE_LEASE))
    operator.hset(CHECKLISTS, NUMBER, "{")
    operator.hset(TEXTED, CODE, "soon")
    here, pending = worker(source, redis, clock)
    await here.watch()
    assert set(pending.numbers) == {CODE}
    compare_and_set(operator, NUMBER, lambda before: before or added(twilio))
    await here.watch()
    assert set(pending.numbers) == {CODE, NUMBER}


async def _listeners(redis: Redis, count: int) -> bool:
    counts = await everywhere(redis, "PUBSUB", "NUMSUB", POOLS_CHANNEL)
    return bool(sum(subscribed for _, subscribed in counts) >= count)


async def _well(membership: Membership) -> bool:
    await membership.watch()
    return membership.redis_error is None


async def test_a_change_that_always_conflicts_is_an_error(
    twilio: RecordedTwilio, redis: Redis, operator: synchronous.Redis
) -> None:
    again = 0

    def overtaken(before: Checklist | None) -> Checklist | None:
        nonlocal again
        again += 1
        operator.hset(CHECKLISTS, NUMBER, dump(begun(twilio, float(again))))
        return added(twilio)

    with pytest.raises(ConflictError):
        compare_and_set(operator, NUMBER, overtaken)
    assert again > 1
