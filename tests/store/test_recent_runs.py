"""Tests for the runs that a new server may have lost: which of them are still there to run again."""

from __future__ import annotations

import asyncio
import time

import pytest

from sms_router.store.connection import RedisReply, pack
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.recent_runs import RecentRuns
from sms_router.store.scripts import SCRIPTS, Call

SCRIPT = SCRIPTS["annotate"]


def append(recent: RecentRuns, number: int, ended: float, *, bucket: int = 0, size: int = 2) -> None:
    """Record a run on a message of a bucket; its first argument has ``size`` bytes."""
    arguments = (b"x" * size, *(b"y" for _ in SCRIPT.arguments[1:]))
    keys = (ALL_BUCKETS[bucket].message(str(number)), *(b"k" for _ in range(int(SCRIPT.by_digest[2]) - 1)))
    recent.latest.append((ended, pack(SCRIPT.by_digest + keys + arguments), 1))
    if len(recent.latest) == 64:
        recent.pack()


def numbers(recent: RecentRuns) -> list[int]:
    """Return the numbers of the runs that are run again."""
    again = []

    async def run(call: Call) -> RedisReply:
        script, keys, _ = call
        if script.name == "get_time":
            return [1_800_000_000, 0]
        again.append(int(keys[0].rpartition(b":")[2]))
        return 1

    asyncio.run(recent.restore(run))
    return again


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_runs_are_run_again_in_their_order(count: int) -> None:
    recent = RecentRuns()
    for number in range(count):
        append(recent, number, time.monotonic())
    assert numbers(recent) == list(range(count))
    assert numbers(recent) == list(range(count)), "they are kept for the next server"


def test_the_oldest_are_dropped_above_ten_thousand() -> None:
    recent = RecentRuns()
    for number in range(10_050):
        append(recent, number, 1000.0)
    assert numbers(recent) == list(range(64, 10_050))


def test_the_oldest_are_dropped_above_eight_megabytes() -> None:
    recent = RecentRuns()
    for number in range(400):
        append(recent, number, 1000.0, size=65_536)
    assert numbers(recent) == list(range(320, 400)), "64 in a chunk are 4 MB"


def test_runs_are_dropped_thirty_seconds_before_the_last_one() -> None:
    recent = RecentRuns()
    for number, ended in enumerate((1000.0, 1005.0, 1030.0, 1035.1)):
        append(recent, number, ended)
        asyncio.run(recent.trim())
    assert numbers(recent) == [2, 3]


def test_nothing_becomes_too_old_while_nothing_runs() -> None:
    recent = RecentRuns()
    append(recent, 7, time.monotonic() - 3600)
    asyncio.run(recent.trim())
    assert numbers(recent) == [7]


def test_the_runs_of_a_bucket_are_forgotten() -> None:
    recent = RecentRuns()
    for number in range(150):
        append(recent, number, 1000.0, bucket=number % 3)
    recent.forget(ALL_BUCKETS[1].tag)
    assert numbers(recent) == [number for number in range(150) if number % 3 != 1]
