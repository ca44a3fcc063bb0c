"""Copies the pending numbers from Redis into a worker, and reports which of them were texted."""

from __future__ import annotations

import logging

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import redis_errors
from sms_router.membership.sync.versioned_hash import HashStatus, VersionedHash
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.repository import load_all, load_times
from sms_router.senders.pending import PendingNumber, PendingNumbers, live_notice
from sms_router.store.keys import CHECKLISTS, CHECKLISTS_VERSION, TEXTED
from sms_router.store.redis_py import run_script
from sms_router.store.scripts import mark_texted

log = logging.getLogger("sms_router.onboarding")


class OnboardingSync:
    """Updates `PendingNumbers` from Redis, and Redis with the numbers that were texted here."""

    def __init__(self, redis: Redis, pending: PendingNumbers) -> None:
        self._redis = redis
        self._pending = pending
        self._checklists = VersionedHash(redis, CHECKLISTS, CHECKLISTS_VERSION, TEXTED)
        self._marked: set[str] = set()
        """Numbers that Redis knows were texted."""

    async def sync(self) -> None:
        """Install the pending numbers if they have changed; otherwise it is a single small read.

        Raises:
            SharedStateError: when Redis is unavailable; the installed numbers stay.

        """
        status = await self._checklists.sync()
        if status is HashStatus.CHANGED:
            self._install()
        elif status is HashStatus.RESTORED:
            self._marked.clear()
        await self._mark_texted()

    def _install(self) -> None:
        texted = load_times(self._checklists.companion_fields)
        checklists = load_all(self._checklists.fields)
        unfinished = [checklist for checklist in checklists if not checklist.is_finished]
        before = self._pending.numbers
        self._pending.install(map(pending_number, unfinished), texted)
        self._marked = set(texted)
        for address in self._pending.numbers.keys() - before.keys():
            log.info("%s is pending: %s", address, self._pending.numbers[address].reason)
        for address in before.keys() - self._pending.numbers.keys():
            log.info("%s is no longer pending", address)

    async def _mark_texted(self) -> None:
        """Store which pending numbers were texted here, for all workers."""
        for address, at in list(self._pending.first_texted.items()):
            if address in self._marked:
                continue
            if not self._pending.numbers[address].gradual:
                log.warning("%s", live_notice(address))
            async with redis_errors():
                await run_script(self._redis, mark_texted(number=address, texted_at=at))
            self._marked.add(address)


def pending_number(checklist: Checklist) -> PendingNumber:
    """Return what sender selection needs of a checklist."""
    return PendingNumber(
        checklist.number, checklist.country, checklist.pending_reason(), gradual=checklist.process.gradual
    )
