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
from functools import partial
from typing import TYPE_CHECKING

from sms_router.server.signals import worker_signals
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.schema import SchemaError
from sms_router.tasks import PeriodicTask
from sms_router.web import metrics
from sms_router.web.health import UPDATE_INTERVAL

if TYPE_CHECKING:
    from sms_router.application import Worker

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


@contextlib.asynccontextmanager
async def lifespan_of(worker: Worker) -> AsyncIterator[None]:
    """Start all parts, serve, finish the messages in progress, stop all parts."""
    has_ended = True
    try:
        async with worker.running_parts():
            try:
                yield
            finally:
                has_ended = await _finish_messages(worker)
    finally:
        if not has_ended:
            log.error("a handler does not stop; the process exits without it in %g s", FORCED_EXIT_TIMEOUT)
            _exit_after(FORCED_EXIT_TIMEOUT)


@contextlib.asynccontextmanager
async def running_parts(worker: Worker) -> AsyncIterator[None]:
    """Start the parts in order and stop them in reverse: all of them, even if one fails to."""
    async with contextlib.AsyncExitStack() as parts:
        stop = parts.push_async_callback
        parts.callback(metrics.flush)
        await parts.enter_async_context(worker_signals(os.environ, worker.reloader.request_reload))
        if worker.tracing is not None:
            stop(asyncio.to_thread, worker.tracing.close)
        stop(worker.handlers.aclose)
        stop(worker.redis.aclose)
        stop(worker.durable_writer.aclose)
        stop(worker.opt_out_disk_cache.aclose)
        await worker.opt_out_disk_cache.start()
        stop(worker.store.aclose)
        worker.store.restorers.append(worker.opt_out_sync.restore)
        await worker.store.start(on_reconnect=partial(_on_reconnect, worker))
        with contextlib.suppress(StoreUnavailableError):  # then it is checked when Redis serves
            await worker.store.check_schema()
        health_updates = PeriodicTask("health-monitor", UPDATE_INTERVAL, worker.health.update)
        for part in (worker.inbox, worker.opt_out_sync, health_updates, worker.subscriber):
            stop(part.aclose)
            part.start()
        stop(worker.membership.aclose)
        await worker.membership.start()
        await worker.membership.wait_until_read(FIRST_READ_TIMEOUT)
        for shared in (worker.port_watch, worker.rate_sync, worker.failure_sync):
            stop(shared.aclose)
            shared.start()
        stop(worker.sticky_senders.aclose)
        stop(worker.forwarder.aclose)
        if _forwards(worker):
            await worker.forwarder.start()
        await worker.opt_out_sync.wait_until_merged(FIRST_READ_TIMEOUT)
        parts.callback(worker.twilio_sender.close)
        for periodic in (
            worker.health.store_monitor,
            worker.abandoned_messages,
            worker.body_retention,
            worker.reconcile_task,
            worker.erasure_task,
        ):
            if periodic is not None:
                stop(periodic.aclose)
                periodic.start()
        await worker.handlers.start(parts)
        stop(worker.published_rules.aclose)
        await worker.published_rules.start()
        stop(worker.reloader.aclose)
        await worker.reloader.start()
        worker.outbox_worker.start(worker.outbox_handler)
        _tune_interpreter()
        yield


async def _on_reconnect(worker: Worker) -> None:
    try:
        await worker.store.check_schema()
    except SchemaError as error:
        raise StoreUnavailableError(str(error)) from error  # the store checks again soon
    await worker.durable_writer.replay()


async def _finish_messages(worker: Worker) -> bool:
    """Wait for the messages in progress; return False when a handler does not end."""
    worker.outbox_worker.finish()
    has_ended = await worker.pipeline.aclose()
    return await worker.outbox_worker.aclose() and has_ended


def _forwards(worker: Worker) -> bool:
    """Return whether messages may be forwarded: by a rule, or to a number's own URL."""
    services = (service.sid for service in worker.settings.services)
    return worker.reloader.dispatcher.forwards or any(map(worker.settings.number_urls, services))


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
