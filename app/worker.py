"""One worker's life: its parts are started and stopped in their order, and watched in between."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.asyncio import Redis

from app.delivery.courier import Courier
from app.delivery.post_office import PostOffice
from app.membership.cache import Membership
from app.membership.shared_failures import SharedFailures
from app.membership.shared_rates import SharedRates
from app.routing.body_retention import BodyRetention
from app.routing.last_senders import LastSenders
from app.routing.opt_out_copy import OptOutCopy
from app.routing.opt_outs_on_disk import OptOutsOnDisk
from app.routing.outgoing import Outgoing
from app.routing.pipeline import Pipeline
from app.routing.record import Records
from app.routing.reloading import Reloader
from app.routing.threads import Threads
from app.routing.upstream.breaker import State
from app.routing.upstream.upstreams import Upstreams
from app.senders.failures import Failures
from app.senders.pending import Pending
from app.settings import Settings
from app.store.clients import CLIENT_ERRORS, subscribed
from app.store.clock import Clock
from app.store.journal import Journal
from app.store.keys import ANSWERED_CHANNEL, CONSENTS_CHANNEL
from app.store.spool import Spool
from app.store.store import Store
from app.tasks import end
from app.web import metrics
from app.web.supervised import Supervised
from app.web.traces import Traces

log = logging.getLogger("sms_router")

LAST_WAIT = 5.0
"""Seconds that a stop waits for a handler that refuses to be cancelled, before the process ends."""

OBSERVE_EVERY = 1.0
"""Seconds between two looks at the gauges: any worker's /metrics tells what all of them last saw."""

COLLECT = (20_000, 20, 100)
"""When Python looks for cycles: messages leave hardly any, and the usual 700 cost each of them 4 %."""

FIRST_LOOK = 3.0
"""Seconds that a start waits for the senders to be known; it goes on without."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of one worker that are started and stopped."""

    settings: Settings
    store: Store
    clock: Clock
    spool: Spool
    journal: Journal
    records: Records
    membership: Membership
    pending: Pending
    shared_rates: SharedRates
    last_senders: LastSenders
    failures: Failures
    shared_failures: SharedFailures
    failure_figures: metrics.FailureFigures
    pool_figures: metrics.PoolFigures
    upstreams: Upstreams
    upstream_figures: metrics.UpstreamFigures
    pipeline: Pipeline
    courier: Courier
    outgoing: Outgoing
    post_office: PostOffice
    opt_outs: OptOutCopy
    opt_outs_on_disk: OptOutsOnDisk
    bodies: BodyRetention | None
    reloader: Reloader
    threads: Threads
    redis: Redis
    traces: Traces | None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Start everything, serve, stop everything: what is in flight finishes first."""
        supervised = Supervised(os.environ, self.reloader.ask)
        supervised.start()
        await self.store.start(on_return=self.journal.replay)
        observing = asyncio.create_task(self._keep_observing(), name="observer")
        await self.records.start()
        listening = asyncio.create_task(self._listen(), name="listener")
        if self.forwards:
            await self.upstreams.start()
        await self.membership.start()
        await self.membership.settle(FIRST_LOOK)
        self.shared_rates.start()
        self.shared_failures.start()
        await self._learn_opt_outs()
        gc.collect()
        gc.freeze()  # what was loaded lives as long as the worker: no collection needs to look at it again
        gc.set_threshold(*COLLECT)
        self.courier.start(self.outgoing)
        if self.bodies is not None:
            self.bodies.start()
        self.reloader.start()
        try:
            yield
        finally:
            await self.reloader.aclose()
            self.courier.finish()
            ended = await self.pipeline.aclose()
            ended = await self.courier.aclose() and ended
            if self.bodies is not None:
                await self.bodies.aclose()
            self.post_office.close()
            await end(listening, observing)
            await self.opt_outs_on_disk.aclose()
            await self.upstreams.aclose()
            await self.last_senders.aclose()
            await self.shared_failures.aclose()
            await self.shared_rates.aclose()
            await self.membership.aclose()
            await self.records.aclose()
            await self.store.aclose()
            await self.journal.aclose()
            await self.redis.aclose()
            self.threads.close()
            if self.traces is not None:
                await asyncio.to_thread(self.traces.close)
            supervised.close()
            if not ended:
                log.error("a handler refuses to be stopped; leaving without it in %g s", LAST_WAIT)
                _leave_in(LAST_WAIT)

    async def _learn_opt_outs(self) -> None:
        """Know before the first text who is not answered."""
        if self.store.trouble is None:
            await self.opt_outs.settle(FIRST_LOOK)
        await self.opt_outs_on_disk.start()

    @property
    def forwards(self) -> bool:
        """Whether texts may go to other applications: by a rule, or by a number's own URL."""
        services = (service.sid for service in self.settings.services)
        return self.reloader.dispatcher.forwards or any(map(self.settings.number_urls, services))

    def reasons(self) -> list[str]:
        """Say why the worker is degraded; empty while it is well."""
        reasons = self.reloader.reasons()
        if self.store.trouble is not None:
            reasons.append(f"Redis does not serve: {self.store.trouble}")
        if self.spool.kept:
            reasons.append(f"{self.spool.kept} journal entries wait in the spool")
        if self.spool.dropped:
            reasons.append(f"{self.spool.dropped} journal entries were lost")
        for status in self.membership.statuses():
            if status.age is None:
                why = status.failure or "Twilio was not read yet"
                reasons.append(f"the senders of {status.service_sid} are not known: {why}")
            elif status.stale:
                why = status.failure or "another worker reads them, and fails"
                reasons.append(f"the senders of {status.service_sid} are {status.age:.0f} s old: {why}")
        reasons += [
            f"{line.name} is not called, since it keeps failing ({line.trouble})"
            for line in self.upstreams.statuses()
            if line.state is not State.CLOSED
        ]
        return reasons

    def notices(self) -> list[str]:
        """Say what an operator should know of, though the router is well."""
        return [
            *self.clock.notices(),
            *self.membership.cordons.notices(),
            *self.pending.notices(),
            *map(str, self.failures.failing()),
        ]

    def observe(self) -> None:
        """Bring the gauges up to date."""
        metrics.CONFIGURATION_REFUSED.set(bool(self.reloader.reasons()))
        metrics.STORE_UP.set(self.store.trouble is None)
        metrics.SPOOLED.set(self.spool.kept)
        metrics.SPOOL_LOST.set(self.spool.dropped)
        metrics.CORDONED.set(len(self.membership.cordons.holding))
        metrics.PENDING.set(len(self.pending.numbers))
        self.failure_figures.update(self.failures)
        self.pool_figures.update(self.membership.statuses())
        self.upstream_figures.update(self.upstreams.statuses())

    async def _keep_observing(self) -> None:
        while True:
            try:
                await self.clock.ask()
                self.observe()
            except Exception:
                log.exception("the gauges could not be brought up to date; trying again")
            await asyncio.sleep(OBSERVE_EVERY)

    async def _listen(self) -> None:
        """Hear from other workers: which messages are answered, and who has opted out or come back."""
        while True:
            try:
                async with subscribed(self.redis, ANSWERED_CHANNEL, CONSENTS_CHANNEL) as channel:
                    reading = asyncio.create_task(self._read_opt_outs(), name="opt-outs-reader")
                    try:
                        async for message in channel.listen():
                            self._hear(message["channel"], message["data"].decode())
                    finally:
                        await end(reading)
            except (*CLIENT_ERRORS, OSError):
                await asyncio.sleep(1)  # waiters look for themselves meanwhile

    async def _read_opt_outs(self) -> None:
        """Read the list beside what is heard, again while a part of Redis is away."""
        while True:
            try:
                return await self.opt_outs.read(self.redis)
            except (*CLIENT_ERRORS, OSError):
                await asyncio.sleep(1)

    def _hear(self, channel: bytes, word: str) -> None:
        if channel == ANSWERED_CHANNEL.encode():
            self.records.wake(word)
        else:
            self.opt_outs.hear(word)


def _leave_in(seconds: float) -> None:
    """End the process from outside the loop, which would wait for its tasks for ever."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
