"""The lifespan of one worker: starts its parts in order, and stops them in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator

from redis.asyncio import Redis

from sms_router.config.settings import Settings
from sms_router.delivery.outbox_worker import OutboxWorker
from sms_router.delivery.twilio_sender import TwilioSender
from sms_router.membership.membership import Membership
from sms_router.membership.sync.failure_sync import FailureSync
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.onboarding.port_watch import PortWatch
from sms_router.routing.dispatch.published_sync import PublishedRulesSync
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.history.abandoned import AbandonedMessages
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.history.erasure_receipts import ErasureTask
from sms_router.routing.history.reconcile_task import ReconcileTask
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.server.signals import WorkerSignals
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.schema import SchemaError
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask
from sms_router.web import metrics
from sms_router.web.health import UPDATE_INTERVAL, HealthMonitor
from sms_router.web.tracing import Tracing

log = logging.getLogger("sms_router")

FORCED_EXIT_TIMEOUT = 5.0
"""Seconds from the end of a shutdown to the forced exit, when a handler does not end after cancellation."""

GC_THRESHOLDS = (20_000, 20, 100)
"""Of the cyclic garbage collector: messages leave hardly any cycles, and with Python's 700 each costs 4 %."""

THREAD_SWITCH_INTERVAL = 0.0005
"""Seconds that a thread keeps the interpreter while the event loop waits for it. Python's 5 ms, several times
in each message, are noticeable when a console page is rendered or a handler computes."""

FIRST_READ_TIMEOUT = 3.0
"""Seconds that the start waits for the Sender Pools and the opt-out list; it continues without them."""


class WorkerLifespan:
    """Starts and stops the parts of one worker, which a subclass builds."""

    settings: Settings
    store: Store
    durable_writer: DurableWriter
    inbox: Inbox
    subscriber: Subscriber
    membership: Membership
    port_watch: PortWatch
    rate_sync: RateSync
    failure_sync: FailureSync
    sticky_senders: StickySenders
    forwarder: Forwarder
    pipeline: Pipeline
    outbox_worker: OutboxWorker
    outbox_handler: ReplyOutboxHandler
    twilio_sender: TwilioSender
    opt_out_disk_cache: OptOutDiskCache
    opt_out_sync: OptOutSync
    abandoned_messages: AbandonedMessages
    body_retention: BodyRetention | None
    reconcile_task: ReconcileTask | None
    erasure_task: ErasureTask
    reloader: Reloader
    published_rules: PublishedRulesSync
    handlers: HandlerEnvironment
    redis: Redis
    health: HealthMonitor
    tracing: Tracing | None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """Start all parts, serve, finish the messages in progress, stop all parts."""
        has_ended = True
        try:
            async with self._running_parts():
                try:
                    yield
                finally:
                    has_ended = await self._finish_messages()
        finally:
            if not has_ended:
                log.error(
                    "a handler does not stop; the process exits without it in %g s", FORCED_EXIT_TIMEOUT
                )
                _exit_after(FORCED_EXIT_TIMEOUT)

    @contextlib.asynccontextmanager
    async def _running_parts(self) -> AsyncIterator[None]:
        """Start the parts in order and stop them in reverse: all of them, even if one fails to."""
        async with contextlib.AsyncExitStack() as parts:
            stop = parts.push_async_callback
            signals = WorkerSignals(os.environ, self.reloader.request_reload)
            parts.callback(metrics.flush)
            parts.callback(signals.close)
            signals.start()
            if self.tracing is not None:
                stop(asyncio.to_thread, self.tracing.close)
            stop(self.handlers.aclose)
            stop(self.redis.aclose)
            stop(self.durable_writer.aclose)
            stop(self.opt_out_disk_cache.aclose)
            await self.opt_out_disk_cache.start()
            stop(self.store.aclose)
            self.store.restorers.append(self.opt_out_sync.restore)
            await self.store.start(on_reconnect=self._on_reconnect)
            with contextlib.suppress(StoreUnavailableError):  # then it is checked when Redis serves
                await self.store.check_schema()
            stop(self.inbox.aclose)
            self.inbox.start()
            stop(self.opt_out_sync.aclose)
            self.opt_out_sync.start()
            health_updates = PeriodicTask("health-monitor", UPDATE_INTERVAL, self.health.update)
            stop(health_updates.aclose)
            health_updates.start()
            stop(self.subscriber.aclose)
            self.subscriber.start()
            stop(self.membership.aclose)
            await self.membership.start()
            await self.membership.wait_until_read(FIRST_READ_TIMEOUT)
            for part in (self.port_watch, self.rate_sync, self.failure_sync):
                stop(part.aclose)
                part.start()
            stop(self.sticky_senders.aclose)
            stop(self.forwarder.aclose)
            if self._forwards():
                await self.forwarder.start()
            await self.opt_out_sync.wait_until_merged(FIRST_READ_TIMEOUT)
            parts.callback(self.twilio_sender.close)
            for periodic in (
                self.health.store_monitor,
                self.abandoned_messages,
                self.body_retention,
                self.reconcile_task,
                self.erasure_task,
            ):
                if periodic is not None:
                    stop(periodic.aclose)
                    periodic.start()
            await self.handlers.start(parts)
            stop(self.published_rules.aclose)
            await self.published_rules.start()
            stop(self.reloader.aclose)
            await self.reloader.start()
            self.outbox_worker.start(self.outbox_handler)
            _tune_interpreter()
            yield

    async def _on_reconnect(self) -> None:
        try:
            await self.store.check_schema()
        except SchemaError as error:
            raise StoreUnavailableError(str(error)) from error  # the store checks again soon
        await self.durable_writer.replay()

    async def _finish_messages(self) -> bool:
        """Wait for the messages in progress; return False when a handler does not end."""
        self.outbox_worker.finish()
        has_ended = await self.pipeline.aclose()
        return await self.outbox_worker.aclose() and has_ended

    def _forwards(self) -> bool:
        """Tell whether messages may be forwarded: by a rule, or to a number's own URL."""
        services = (service.sid for service in self.settings.services)
        return self.reloader.dispatcher.forwards or any(map(self.settings.number_urls, services))


def _tune_interpreter() -> None:
    gc.collect()
    gc.freeze()  # what is loaded now lives as long as the worker: no collection has to visit it
    gc.set_threshold(*GC_THRESHOLDS)
    sys.setswitchinterval(THREAD_SWITCH_INTERVAL)


def _exit_after(seconds: float) -> None:
    """End the process from a thread: the event loop would wait for its tasks without limit."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
