"""Keeps a worker's rules at the published version, and reports which one it uses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from redis.asyncio import Redis

from sms_router.routing.dispatch.published import (
    PublishedRules,
    PublishedRulesFile,
    WorkerRules,
    decode_workers,
    describe_differences,
    describe_other_names,
    encode_worker,
    fetch_current,
)
from sms_router.routing.dispatch.reloader import MAX_REPORTED, Reloader
from sms_router.store.keys import RULES_CHANNEL, RULES_CURRENT, RULES_WORKERS
from sms_router.store.redis_py import CLIENT_ERRORS, subscribed
from sms_router.tasks import PeriodicTask, wait_for_event

log = logging.getLogger("sms_router.reload")

POLL_INTERVAL = 1.0
"""Seconds between two looks at the current version; an announcement is faster."""

REPORT_INTERVAL = 5.0
"""Seconds between two reports of the version in use; a change is reported at once."""

COMMAND_TIMEOUT = 2.0
"""Seconds for each exchange with Redis."""


class PublishedRulesSync:
    """Loads each version that is published, within a second.

    ``worker`` is the name of this worker for people: host, port and process. ``clock`` returns seconds since
    the epoch, by the clock of Redis.
    """

    def __init__(
        self,
        redis: Redis,
        reloader: Reloader,
        file: PublishedRulesFile,
        worker: str,
        clock: Callable[[], float],
    ) -> None:
        self._redis = redis
        self._reloader = reloader
        self._file = file
        self._worker = worker
        self._clock = clock
        self._refused = ""
        """The identity of the version that has mistakes here."""
        self._mistakes: Sequence[str] = ()
        self._is_lost = False
        """Whether Redis has no version although one is in use."""
        self._workers: list[WorkerRules] = []
        self._reported_at = 0.0
        self._reported: WorkerRules | None = None
        self._announced = asyncio.Event()
        self._poll = PeriodicTask(
            "published-rules", POLL_INTERVAL, self._sync, wait_first=True, sleep=self._pause
        )
        self._listener = PeriodicTask("published-rules-listener", POLL_INTERVAL, self._listen)

    async def start(self) -> None:
        """Load the current version before the first message, if Redis responds in time."""
        await self._sync()
        self._poll.start()
        self._listener.start()

    async def aclose(self) -> None:
        """Stop, and delete this worker's report."""
        await self._listener.aclose()
        await self._poll.aclose()
        with contextlib.suppress(*CLIENT_ERRORS, OSError, TimeoutError):
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await cast("Any", self._redis.hdel(RULES_WORKERS, self._worker))

    def errors(self) -> list[str]:
        """Return one sentence where the current version is not used here, or nothing."""
        if not self._mistakes:
            return []
        mistakes = "; ".join(self._mistakes[:MAX_REPORTED])
        return [f"version {self._refused.split()[0]} of the published rules is refused here: {mistakes}"]

    def notices(self) -> list[str]:
        """Return which published version is in use, and which workers use other rules."""
        version = self._reloader.published
        notices = [f"the rules are {version}"] if version is not None else []
        if self._is_lost and version is not None:
            notices.append(
                f"Redis has lost the published rules; this worker keeps {version.label}. Publish them again:"
                " sms-router keywords publish, or use the files: sms-router keywords rollback --to-files"
            )
        return [*notices, *self._differences()]

    def _differences(self) -> list[str]:
        differences = describe_differences(self._workers, self._identity)
        return differences + describe_other_names(self._workers, self._rules())

    @property
    def _identity(self) -> str:
        version = self._reloader.published
        return version.identity if version is not None else ""

    async def _pause(self, seconds: float) -> None:
        await wait_for_event(self._announced, seconds)
        self._announced.clear()

    async def _listen(self) -> None:
        """Wake the poll at each announcement, until the connection is lost."""
        with contextlib.suppress(*CLIENT_ERRORS, OSError):
            async with subscribed(self._redis, RULES_CHANNEL) as channel:
                self._announced.set()
                async for _ in channel.listen():
                    self._announced.set()

    async def _sync(self) -> None:
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                identity: bytes | None = await cast("Any", self._redis.get(RULES_CURRENT))
                known = {self._identity, self._refused} - {""}
                version = None
                if identity is not None and identity.decode() not in known:
                    version = await fetch_current(self._redis, identity)
        except (*CLIENT_ERRORS, OSError, TimeoutError):
            return  # the rules in use stay; the readiness page reports that Redis is away
        self._is_lost = identity is None
        if version is not None:
            await self._use(version)
        elif identity is not None and identity.decode() == self._identity:
            self._refused, self._mistakes = "", ()
        await self._report()

    async def _use(self, version: PublishedRules) -> None:
        mistakes = await self._reloader.use_published(version)
        if mistakes:
            self._refused, self._mistakes = version.identity, mistakes
            lines = "".join(f"\n  {mistake}" for mistake in mistakes)
            log.error("version %d of the published rules is refused:%s", version.number, lines)
            return
        self._refused, self._mistakes = "", ()
        log.info("the rules are now %s", version)
        await asyncio.to_thread(self._file.write, version)

    def _rules(self) -> WorkerRules:
        failure, known = "; ".join(self._mistakes[:1]), self._reloader.rules.names
        return WorkerRules(self._worker, self._identity, 0.0, failure, known.digest, known.steps, known.files)

    async def _report(self) -> None:
        """Store what this worker uses, and read what the others use."""
        now = self._clock()
        rules = self._rules()
        if (
            rules == self._reported
            and not self._differences()  # they may be about to follow
            and abs(now - self._reported_at) < REPORT_INTERVAL
        ):
            return
        report = encode_worker(replace(rules, at=now))
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await cast("Any", self._redis.hset(RULES_WORKERS, self._worker, report))
                fields = await cast("Any", self._redis.hgetall(RULES_WORKERS))
                workers = decode_workers(fields, now)
                running = {worker.worker.encode() for worker in workers}
                if ended := [name for name in fields if name not in running]:
                    await cast("Any", self._redis.hdel(RULES_WORKERS, *ended))
        except (*CLIENT_ERRORS, OSError, TimeoutError):
            return
        self._workers, self._reported, self._reported_at = workers, rules, now
