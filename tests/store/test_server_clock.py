"""One clock for all workers: it follows Redis, and no worker's own clock changes it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from sms_router.store.server_clock import ServerClock
from sms_router.store.store import Store
from tests.end_to_end.adjustable_clock import AdjustableClock
from tests.store.private_valkey import PrivateValkey
from tests.store.slow_proxy import SlowProxy
from tests.store.valkey_clock import HAS_COMPILER, preload

HOUR, DAY = 3600.0, 86_400.0


@dataclass(slots=True)
class Machine:
    """The clocks of a machine: the wall clock, which can be set, and the monotonic one."""

    wall: float = 1_700_000_000.0
    steady: float = 50.0

    def read_wall(self) -> float:
        return self.wall

    def measure(self) -> float:
        return self.steady

    def clock(self, store: Store) -> ServerClock:
        return ServerClock(store, wall=self.read_wall, steady=self.measure)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def now_of(valkey: redis.Redis) -> float:
    seconds, micros = valkey.time()
    return float(seconds) + micros / 1e6


async def test_until_redis_answers_the_wall_clock_counts(tmp_path: Path, machine: Machine) -> None:
    store = Store(f"unix://{tmp_path / 'nobody'}")
    clock = machine.clock(store)
    machine.wall += DAY
    machine.steady += 3
    await clock.sync()
    assert clock() == 1_700_000_003


@pytest.mark.parametrize("wrong", [-DAY, -HOUR, -0.2, 0.2, HOUR, DAY])
async def test_redis_time_counts_whatever_the_wall_clock(
    store: Store, valkey: redis.Redis, machine: Machine, wrong: float
) -> None:
    machine.wall = now_of(valkey) + wrong
    clock = machine.clock(store)
    before = now_of(valkey)
    await clock.sync()
    assert before <= clock() <= now_of(valkey)
    machine.wall += 5 * wrong
    machine.steady += 7
    assert before + 7 <= clock() <= now_of(valkey) + 7
    assert clock.time_of(machine.steady - 100) == pytest.approx(clock() - 100)


async def test_a_slow_response_does_not_adjust_a_right_clock(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    proxy = SlowProxy(private_valkey.url.removeprefix("unix://"), tmp_path / "slow", 0.0)
    async with proxy.running():
        store = Store(f"unix://{tmp_path / 'slow'}")
        await store.start()
        clock = ServerClock(store)
        await clock.sync()
        right = clock.time_of(0)
        proxy.delay = 0.1
        for _ in range(2):
            await clock.sync()
        await store.aclose()
    assert clock.time_of(0) == pytest.approx(right, abs=0.02)


@pytest.mark.parametrize(
    ("wrong", "notices"),
    [
        (0.0, []),
        (2.0, []),
        (-2.0, []),
        (HOUR, ["this machine's clock is 1:00:00 ahead of Redis'"]),
        (-DAY - HOUR, ["this machine's clock is 1 day, 1:00:00 behind Redis'"]),
    ],
)
async def test_a_wrong_clock_is_reported(
    store: Store,
    valkey: redis.Redis,
    machine: Machine,
    caplog: pytest.LogCaptureFixture,
    wrong: float,
    notices: list[str],
) -> None:
    caplog.set_level(logging.INFO, "sms_router.clock")
    machine.wall = now_of(valkey) + wrong
    clock = machine.clock(store)
    for _ in range(3):
        await clock.sync()
    assert clock.notices() == notices
    machine.wall = now_of(valkey)
    for _ in range(2):
        await clock.sync()
    assert clock.notices() == []
    assert len(caplog.messages) == (2 if notices else 0), "logged once, and once when they agree again"


@pytest.mark.skipif(not HAS_COMPILER, reason="needs a C compiler, to stand between Valkey and its clock")
async def test_the_clock_follows_when_redis_clock_is_set(tmp_path: Path, machine: Machine) -> None:
    clock_file = AdjustableClock(tmp_path / "clock")
    with PrivateValkey(tmp_path / "v", {**clock_file.environment, **preload(tmp_path)}) as valkey:
        store = Store(valkey.url)
        await store.start()
        clock = machine.clock(store)
        await clock.sync()
        began = clock()
        for ahead in (HOUR, DAY, -HOUR, 0.0):
            clock_file.set_offset(ahead)
            async with asyncio.timeout(10):
                while clock() - began != pytest.approx(ahead, abs=60):  # Valkey looks ten times a second
                    await clock.sync()
                    await asyncio.sleep(0.01)
        await store.aclose()
