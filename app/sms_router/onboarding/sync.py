"""The numbers on their way in a worker's memory, kept like those in Redis."""

from __future__ import annotations

import logging

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import redis_errors
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.keys import CHECKLISTS, TEXTED, VERSION
from sms_router.onboarding.serialization import load_all, load_times
from sms_router.senders.pending import PendingNumber, PendingNumbers, live_notice

log = logging.getLogger("sms_router.onboarding")

_RESTORE = """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
for index = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1]) end
redis.call('SET', KEYS[2], ARGV[1])
return 1
"""
"""Puts back what a Redis without persistence has lost, unless an operator was there before."""

_TEXTED = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 1 then redis.call('INCR', KEYS[3]) end
return 1
"""
"""Keeps that a number on its way was texted; workers that hear of it later change nothing."""


class OnboardingSync:
    """Tells `Pending` what is stored, and Redis what was texted here."""

    def __init__(self, redis: Redis, pending: PendingNumbers, time_limit: float = 1.0) -> None:
        """``time_limit`` is in seconds, for each command."""
        self._redis = redis
        self._pending = pending
        self._time_limit = time_limit
        self._version = 0
        self._stored: dict[bytes, bytes] = {}
        self._told: set[str] = set()

    async def follow(self) -> None:
        """Take over what is stored, where it has changed; a single small read while it has not.

        Raises:
            SharedError: when Redis does not serve; what was known stays.

        """
        async with redis_errors(self._time_limit):
            version = await self._redis.get(VERSION)
        if version is None and self._version:
            await self._restore()
        elif int(version or 0) != self._version:
            await self._take_over()
        await self._tell()

    async def _take_over(self) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.get(VERSION)
            pipeline.hgetall(CHECKLISTS)
            pipeline.hgetall(TEXTED)
            async with redis_errors(self._time_limit):
                version, stored, texted = await pipeline.execute()
        self._version, self._stored = int(version or 0), stored
        before = self._pending.numbers
        moments = load_times(texted)
        self._pending.install(map(pending_number, _unfinished(stored)), moments)
        self._told = set(moments)
        for address in self._pending.numbers.keys() - before.keys():
            log.info("%s is on its way: %s", address, self._pending.numbers[address].reason)
        for address in before.keys() - self._pending.numbers.keys():
            log.info("%s is not on its way any more", address)

    async def _tell(self) -> None:
        """Let everybody know that a number on its way was texted here."""
        for address, at in list(self._pending.first_texted.items()):
            if address in self._told:
                continue
            if not self._pending.numbers[address].gradual:
                log.warning("%s", live_notice(address))
            async with redis_errors(self._time_limit):
                await self._redis.execute_command(
                    "EVAL", _TEXTED, 3, CHECKLISTS, TEXTED, VERSION, address, at
                )
            self._told.add(address)

    async def _restore(self) -> None:
        told = [part for pair in self._stored.items() for part in pair]
        self._told.clear()
        async with redis_errors(self._time_limit):
            await self._redis.execute_command("EVAL", _RESTORE, 2, CHECKLISTS, VERSION, self._version, *told)


def pending_number(checklist: Checklist) -> PendingNumber:
    """Return what the choice of a sender has to know of a number on its way."""
    return PendingNumber(
        checklist.number, checklist.country, checklist.pending_reason(), gradual=checklist.process.gradual
    )


def _unfinished(stored: dict[bytes, bytes]) -> list[Checklist]:
    return [each for each in load_all(stored) if not each.is_finished]
