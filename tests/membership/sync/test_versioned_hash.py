"""A worker's copy of a hash: read when its version changes, stored again when Redis loses it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from sms_router.membership.snapshot_store import SharedStateError
from sms_router.membership.sync.versioned_hash import HashStatus, VersionedHash

KEY, VERSION, COMPANION = b"test:{hash}", b"test:{hash}:version", b"test:{hash}:companion"


@pytest.fixture
async def shared(redis: Redis) -> AsyncIterator[Redis]:
    await redis.delete(KEY, VERSION, COMPANION)
    yield redis
    await redis.delete(KEY, VERSION, COMPANION)


def copy_of(redis: Redis) -> VersionedHash:
    return VersionedHash(redis, KEY, VERSION, COMPANION)


async def change(redis: Redis, field: str, value: str) -> None:
    await redis.hset(KEY, field, value)
    await redis.incr(VERSION)


async def test_a_copy_changes_with_the_version(shared: Redis) -> None:
    copy = copy_of(shared)
    assert await copy.sync() is HashStatus.UNCHANGED
    assert copy.fields == {}
    await change(shared, "a", "1")
    await shared.hset(COMPANION, "b", "2")
    assert await copy.sync() is HashStatus.CHANGED
    assert (copy.fields, copy.companion_fields) == ({b"a": b"1"}, {b"b": b"2"})
    await shared.hset(KEY, "a", "without a new version")
    assert await copy.sync() is HashStatus.UNCHANGED
    assert copy.fields == {b"a": b"1"}


async def test_a_lost_hash_is_stored_again_with_its_version(shared: Redis) -> None:
    copy, other = copy_of(shared), copy_of(shared)
    await change(shared, "a", "1")
    await copy.sync()
    await shared.delete(KEY, VERSION)
    assert await copy.sync() is HashStatus.RESTORED
    assert await shared.hgetall(KEY) == {b"a": b"1"}
    assert await shared.get(VERSION) == b"1"
    assert await copy.sync() is HashStatus.UNCHANGED
    assert await other.sync() is HashStatus.CHANGED
    assert other.fields == {b"a": b"1"}


async def test_a_change_after_the_loss_is_not_overwritten(shared: Redis) -> None:
    copy = copy_of(shared)
    await change(shared, "a", "1")
    await change(shared, "a", "2")
    await copy.sync()
    await shared.delete(KEY, VERSION)
    await change(shared, "b", "3")
    assert await copy.sync() is HashStatus.CHANGED
    assert copy.fields == {b"b": b"3"}


async def test_an_unavailable_redis_is_an_error(no_redis: Redis) -> None:
    copy = copy_of(no_redis)
    with pytest.raises(SharedStateError):
        await copy.sync()
    assert copy.fields == {}
