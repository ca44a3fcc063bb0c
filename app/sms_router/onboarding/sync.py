"""The numbers on their way in a worker's memory, kept like those in Redis."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from redis.asyncio import Redis

from sms_router.membership.snapshot_store import redis_errors
from sms_router.membership.sync.versioned_hash import HashStatus, VersionedHash
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.serialization import load_all, load_times
from sms_router.senders.pending import PendingNumber, PendingNumbers, live_notice
from sms_router.store.keys import CHECKLISTS, CHECKLISTS_VERSION, TEXTED
from sms_router.store.redis_py import run_script
from sms_router.store.scripts.senders import mark_texted

log = logging.getLogger("sms_router.onboarding")


class OnboardingSync:
    """Tells `Pending` what is stored, and Redis what was texted here."""

    def __init__(self, redis: Redis, pending: PendingNumbers, time_limit: float = 1.0) -> None:
        """``time_limit`` is in seconds, for each command."""
        self._redis = redis
        self._pending = pending
        self._time_limit = time_limit
        self._checklists = VersionedHash(redis, CHECKLISTS, CHECKLISTS_VERSION, time_limit, TEXTED)
        self._marked: set[str] = set()
        """Numbers that Redis knows were texted."""

    async def follow(self) -> None:
        """Install what is stored, where it has changed; a single small read where it has not.

        Raises:
            SharedStateError: when Redis does not serve; what is installed stays.

        """
        status = await self._checklists.sync()
        if status is HashStatus.CHANGED:
            self._install()
        elif status is HashStatus.RESTORED:
            self._marked.clear()
        await self._mark_texted()

    def _install(self) -> None:
        texted = load_times(self._checklists.companion_fields)
        before = self._pending.numbers
        self._pending.install(map(pending_number, _unfinished(self._checklists.fields)), texted)
        self._marked = set(texted)
        for address in self._pending.numbers.keys() - before.keys():
            log.info("%s is on its way: %s", address, self._pending.numbers[address].reason)
        for address in before.keys() - self._pending.numbers.keys():
            log.info("%s is not on its way any more", address)

    async def _mark_texted(self) -> None:
        """Store which pending numbers were texted here, for all workers."""
        for address, at in list(self._pending.first_texted.items()):
            if address in self._marked:
                continue
            if not self._pending.numbers[address].gradual:
                log.warning("%s", live_notice(address))
            async with redis_errors(self._time_limit):
                await run_script(self._redis, mark_texted(number=address, texted_at=at))
            self._marked.add(address)


def pending_number(checklist: Checklist) -> PendingNumber:
    """Return what the choice of a sender has to know of a number on its way."""
    return PendingNumber(
        checklist.number, checklist.country, checklist.pending_reason(), gradual=checklist.process.gradual
    )


def _unfinished(stored: Mapping[bytes, bytes]) -> list[Checklist]:
    return [each for each in load_all(stored) if not each.is_finished]
