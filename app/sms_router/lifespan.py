"""One worker's life: its parts are started and stopped in their order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

from redis.asyncio import Redis

from sms_router.config.settings import Settings
from sms_router.delivery.outbox_worker import OutboxWorker
from sms_router.delivery.twilio_sender import TwilioSender
from sms_router.membership.membership import Membership
from sms_router.membership.sync.failure_sync import FailureSync
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.server.signals import WorkerSignals
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store
from sms_router.tasks import cancel_and_wait
from sms_router.web import metrics
from sms_router.web.health import HealthMonitor
from sms_router.web.tracing import Tracing

log = logging.getLogger("sms_router")

LAST_WAIT = 5.0
"""Seconds that a stop waits for a handler that refuses to be cancelled, before the process ends."""

GC_THRESHOLDS = (20_000, 20, 100)
"""When Python looks for cycles: messages leave hardly any, and the usual 700 cost each of them 4 %."""

THREAD_SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may hold the interpreter while the loop waits for it; Python's 5 ms, a few times in
each text, are what its sender would notice of a page of the console or of a handler that computes."""

FIRST_LOOK = 3.0
"""Seconds that a start waits for the senders to be known; it goes on without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLifespan:
    """The parts of one worker that are started and stopped."""

    settings: Settings
    store: Store
    journal: DurableWriter
    records: Inbox
    listener: Subscriber
    membership: Membership
    shared_rates: RateSync
    shared_failures: FailureSync
    last_senders: StickySenders
    upstreams: Forwarder
    pipeline: Pipeline
    courier: OutboxWorker
    outgoing: ReplyOutboxHandler
    post_office: TwilioSender
    opt_outs_on_disk: OptOutDiskCache
    bodies: BodyRetention | None
    reloader: Reloader
    threads: HandlerThreadPool
    handler_http: HandlerHttpClient
    redis: Redis
    condition: HealthMonitor
    traces: Tracing | None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Start everything, serve, stop everything: what is in flight finishes first."""
        ended = True
        try:
            async with self._started():
                try:
                    yield
                finally:
                    ended = await self._finish()
        finally:
            if not ended:
                log.error("a handler does not stop; exiting without it in %g s", LAST_WAIT)
                _leave_in(LAST_WAIT)

    @contextlib.asynccontextmanager
    async def _started(self) -> AsyncIterator[None]:
        """Start the parts and stop them in turn: all of them, though one fails to start or to stop."""
        async with contextlib.AsyncExitStack() as parts:
            stop = parts.push_async_callback
            supervised = WorkerSignals(os.environ, self.reloader.request_reload)
            parts.callback(metrics.flush)
            parts.callback(supervised.close)
            supervised.start()
            if self.traces is not None:
                stop(asyncio.to_thread, self.traces.close)
            parts.callback(self.threads.close)
            stop(self.handler_http.aclose)
            stop(self.redis.aclose)
            stop(self.journal.aclose)
            stop(self.store.aclose)
            await self.store.start(on_return=self.journal.replay)
            stop(self.records.aclose)
            self.records.start()
            stop(self.opt_outs_on_disk.aclose)
            stop(cancel_and_wait, asyncio.create_task(self.condition.keep_updating(), name="observer"))
            stop(cancel_and_wait, asyncio.create_task(self.listener.listen(), name="listener"))
            stop(self.membership.aclose)
            await self.membership.start()
            await self.membership.settle(FIRST_LOOK)
            stop(self.shared_rates.aclose)
            self.shared_rates.start()
            stop(self.shared_failures.aclose)
            self.shared_failures.start()
            stop(self.last_senders.aclose)
            stop(self.upstreams.aclose)
            if self.forwards:
                await self.upstreams.start()
            await self._learn_opt_outs()
            parts.callback(self.post_office.close)
            if self.bodies is not None:
                stop(self.bodies.aclose)
                self.bodies.start()
            stop(self.reloader.aclose)
            self.reloader.start()
            self.courier.start(self.outgoing)
            _tune_interpreter()
            yield

    async def _finish(self) -> bool:
        """Let what is in flight finish; return False when a handler refuses to end."""
        self.courier.finish()
        ended = await self.pipeline.aclose()
        return await self.courier.aclose() and ended

    async def _learn_opt_outs(self) -> None:
        """Know before the first text who is not answered."""
        if self.store.error is None:
            await self.listener.opt_outs.wait_until_loaded(FIRST_LOOK)
        await self.opt_outs_on_disk.start()

    @property
    def forwards(self) -> bool:
        """Whether texts may go to other applications: by a rule, or by a number's own URL."""
        services = (service.sid for service in self.settings.services)
        return self.reloader.dispatcher.forwards or any(map(self.settings.number_urls, services))


def _tune_interpreter() -> None:
    """Have Python look for garbage, and change between threads, as fits a loop that people wait for."""
    gc.collect()
    gc.freeze()  # what was loaded lives as long as the worker: no collection needs to look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)


def _leave_in(seconds: float) -> None:
    """End the process from outside the loop, which would wait for its tasks for ever."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
