"""Sends what is due in the outbox: this worker's own entries at once, those of lost workers soon after."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from sms_router.delivery.entry import EVENT, TIMER, MessagePart, OutboxEntry
from sms_router.delivery.message import (
    FINAL_STATES,
    OPTED_OUT,
    Accepted,
    Cancelled,
    NotProcessed,
    OutboundSms,
    PutOff,
    Rejected,
    SendLease,
    SendResult,
    Unknown,
)
from sms_router.delivery.outbox import SENDING_TIMEOUT, Outbox
from sms_router.logs import current_message_sid
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of
from sms_router.tasks import cancel_and_wait, start_task, wait_for_event, wait_or_cancel

log = logging.getLogger("sms_router.delivery")

POLL_INTERVAL = 1.0
"""Seconds between two polls of each bucket."""

POLL_SLICES = 16
"""Parts of a poll: to poll all buckets at once would delay the incoming messages of that moment."""

MAX_CONCURRENT_ENTRIES = 64
"""Messages that one worker has leased, and handlers that it runs again, each."""

MIN_BATCH = 2
"""Entries leased from a bucket, also with little room; after a full batch the bucket is polled again."""

MAX_CONCURRENT_CALLS = 8
"""Calls of one worker to Twilio's API; Twilio limits them for the whole account (error 20429)."""

DRAIN_TIMEOUT = 10.0
"""Seconds that a stop waits for calls in progress; without their responses the result is unknown."""

MIN_RETRY_DELAY = 1.0
MAX_RETRY_DELAY = 60.0
"""Seconds until Twilio is called again after a 429; the delay doubles from the first to the last."""

RETRY_JITTER = 0.2
"""Share of a retry delay by which it is randomly longer or shorter."""


class OutboxHandler(Protocol):
    """Decides what to send for an entry; implemented in `routing.pipeline.outbox_replies`.

    After a `StoreUnavailableError` a method is called again, when the entry is due again.
    """

    async def resume(self, entry: OutboxEntry) -> None:
        """Run the handler of an entry without a message: again, or for an event."""

    async def build_message(
        self, entry: OutboxEntry, part: MessagePart, lease: SendLease
    ) -> OutboundSms | Cancelled | PutOff:
        """Return the message of an entry, or why it is not sent, or not now."""

    async def on_refused(self, entry: OutboxEntry, part: MessagePart) -> None:
        """Record that a message is not sent, because the contact has opted out."""

    async def on_result(
        self, entry: OutboxEntry, part: MessagePart, message: OutboundSms, result: SendResult
    ) -> bool:
        """Record the result of a message; True requests another attempt from another sender."""


class LateReplySender(Protocol):
    """Sends late replies, or has them sent (`OutboxWorker`)."""

    @property
    def has_room(self) -> bool: ...

    def send(self, entries: Sequence[OutboxEntry]) -> None: ...

    def wake(self, contact: str) -> None: ...


Report = Callable[[str, str], None]
"""Called with the kind of each message and its result."""


class OutboxWorker:
    """Leases due entries and sends them; one in each worker process.

    The messages of one reply are sent in their order. A message that Twilio has not processed (429, no
    connection) is sent again after a growing delay.

    ``clock`` returns seconds since the epoch. ``max_events`` are handled at once; 0 where no handler takes
    any.
    """

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[OutboundSms], Awaitable[SendResult]],
        report: Report,
        clock: Callable[[], float] = time.time,
        max_events: int = 0,
    ) -> None:
        self._outbox = outbox
        self._send = send
        self._report = report
        self._clock = clock
        self._max_events = max_events
        self.poll_interval = POLL_INTERVAL
        self._handler: OutboxHandler
        self._call_slots = asyncio.Semaphore(MAX_CONCURRENT_CALLS)
        self._woken_buckets: set[Bucket] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._resuming: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._leased: set[OutboxEntry] = set()
        self._is_finishing = False
        self._is_stopping = False

    def start(self, handler: OutboxHandler) -> None:
        """Start to poll the outbox; ``handler`` decides about the entries."""
        self._handler = handler
        self._loop = asyncio.create_task(self._poll_forever(), name="outbox-worker")

    def wake(self, contact: str) -> None:
        """Poll the contact's bucket now, because an entry was just added."""
        self._woken_buckets.add(bucket_of(contact))
        self._wake.set()

    def wake_all(self) -> None:
        self._woken_buckets.update(ALL_BUCKETS)
        self._wake.set()

    @property
    def has_room(self) -> bool:
        """Whether it can send another reply now; many messages that are no replies leave room for some."""
        return not self._is_stopping and len(self._sending) < 2 * MAX_CONCURRENT_ENTRIES

    def send(self, entries: Sequence[OutboxEntry]) -> None:
        """Send the messages of a reply that were leased when this worker enqueued them."""
        self._leased.update(entries)
        start_task(self._send_in_order([*entries]), f"outbox {entries[0].reference}", self._sending)

    def finish(self) -> None:
        """From now on send only entries that this worker adds, and run no handler again."""
        self._is_finishing = True

    async def aclose(self) -> bool:
        """Stop polling and wait for the calls in progress, for a limited time; no other call begins.

        Returns whether everything has ended: a handler may ignore its cancellation.
        """
        self._is_finishing = self._is_stopping = True
        await cancel_and_wait(self._loop)
        return await wait_or_cancel(self._sending | self._resuming | self._handling, DRAIN_TIMEOUT)

    async def _poll_forever(self) -> None:
        polled_at, slice_number = 0.0, 0
        while True:
            buckets: Sequence[Bucket] = tuple(self._woken_buckets)
            if time.monotonic() - polled_at >= self.poll_interval / POLL_SLICES:
                polled_at, slice_number = time.monotonic(), (slice_number + 1) % POLL_SLICES
                if not self._is_finishing:
                    buckets = tuple({*buckets, *ALL_BUCKETS[slice_number::POLL_SLICES]})
            self._woken_buckets.clear()
            self._wake.clear()
            try:
                await self._poll(buckets)
            except Exception:
                log.exception("the outbox could not be polled; trying again")
            pause = max(0.01, polled_at + self.poll_interval / POLL_SLICES - time.monotonic())
            await wait_for_event(self._wake, pause)

    async def _poll(self, buckets: Sequence[Bucket]) -> None:
        """Lease what is due in some buckets; the messages of one reply are sent in one task."""
        free = MAX_CONCURRENT_ENTRIES - len(self._sending)
        if free <= 0 or not buckets:
            return
        batch = max(free // len(buckets), MIN_BATCH)
        room = 0 if self._is_finishing else self._max_events - len(self._handling)
        events = max(1, room // len(buckets)) if room > 0 else 0
        leased = await asyncio.gather(*(self._lease(bucket, batch, events) for bucket in buckets))
        by_reply: defaultdict[str, list[OutboxEntry]] = defaultdict(list)
        for bucket, entries in zip(buckets, leased, strict=True):
            if len(entries) >= batch:
                self._woken_buckets.add(bucket)
                self._wake.set()
            for entry in entries:
                if entry.name in (EVENT, TIMER):
                    start_task(self._resume(entry), f"{entry.name} {entry.reference}", self._handling)
                elif entry.part is None:
                    if not self._is_finishing and len(self._resuming) < MAX_CONCURRENT_ENTRIES:
                        # In a task of its own, because a handler may take long.
                        start_task(self._resume(entry), f"outbox {entry.reference}", self._resuming)
                elif entry not in self._leased:  # a leased entry that waits here may be due again
                    by_reply[entry.reference].append(entry)
        for reference, entries in by_reply.items():
            self._leased.update(entries)
            start_task(self._send_in_order(sorted(entries)), f"outbox {reference}", self._sending)

    async def _lease(self, bucket: Bucket, count: int, events: int) -> list[OutboxEntry]:
        try:
            return await self._outbox.lease_due(bucket, count, events)
        except StoreUnavailableError:
            return []  # a bucket that is unavailable does not stop the others; it is polled again

    async def _resume(self, entry: OutboxEntry) -> None:
        current_message_sid.set(entry.message_sid)
        try:
            await self._handler.resume(entry)
        except StoreUnavailableError as error:
            log.warning("an entry of the outbox waits for Redis: %s", error)
        except Exception:
            log.exception("an entry of the outbox failed; it is processed again")

    async def _send_in_order(self, entries: list[OutboxEntry]) -> None:
        current_message_sid.set(entries[0].message_sid)
        try:
            for index, entry in enumerate(entries):
                async with self._call_slots:
                    if self._is_stopping:
                        return  # another worker sends it
                    retry_delay = await self._process(entry)
                if retry_delay is not None:
                    for later in entries[index + 1 :]:
                        assert later.part is not None
                        await self._outbox.postpone(later, later.part, retry_delay)
                    return
        except StoreUnavailableError as error:
            log.warning("an entry of the outbox waits for Redis: %s", error)
        except Exception:
            log.exception("an entry of the outbox failed; it is processed again")
        finally:
            self._leased.difference_update(entries)

    async def _process(self, entry: OutboxEntry) -> float | None:
        """Send one message; return the seconds until it is sent again, when Twilio has not processed it."""
        part = entry.part
        assert part is not None, "an entry without a message is resumed"
        if (lease := await self._outbox.mark_sending(entry, part)) is None:
            return None
        if isinstance(lease, Cancelled):
            log.warning("%s of %s is not sent: %s", part.name, entry.message_sid, lease.reason)
            self._report(part.kind, "withdrawn")
            if lease.reason == OPTED_OUT:
                await self._handler.on_refused(entry, part)
            return None
        try:
            message = await self._build_message(entry, part, lease)
        except StoreUnavailableError as error:
            return await self._retry_later(entry, part, lease, str(error))
        if isinstance(message, PutOff):
            log.info("%s of %s waits for the end of quiet hours", part.name, entry.message_sid)
            self._report(part.kind, "postponed")
            await self._outbox.postpone(entry, part, 0.0, lease.mark, int(message.until * 1000))
        elif isinstance(message, Cancelled):
            await self._record(entry, part, None, message, lease)
        else:
            result = await self._call_twilio(message)
            if isinstance(result, NotProcessed):
                reason = f"Twilio has not processed it: {result.sentence}"
                return await self._retry_later(entry, part, lease, reason)
            resend = None
            if await self._notify_handler(entry, part, message, result):
                resend = entry._replace(name=part.repeated().name)
            await self._record(entry, part, message, result, lease, resend)
        return None

    async def _build_message(
        self, entry: OutboxEntry, part: MessagePart, lease: SendLease
    ) -> OutboundSms | Cancelled | PutOff:
        try:
            return await self._handler.build_message(entry, part, lease)
        except StoreUnavailableError:
            raise
        except Exception as error:
            log.exception("a message could not be composed")
            return Cancelled(f"it could not be composed: {type(error).__name__}", dead_letter=True)

    async def _call_twilio(self, message: OutboundSms) -> SendResult:
        try:
            async with asyncio.timeout(SENDING_TIMEOUT / 2):
                return await self._send(message)
        except TimeoutError:
            return Unknown("Twilio's API did not respond in time")
        except Exception as error:
            log.exception("a message could not be sent to Twilio")
            return Unknown(f"sending it to Twilio failed: {type(error).__name__}")

    async def _notify_handler(
        self, entry: OutboxEntry, part: MessagePart, message: OutboundSms, result: SendResult
    ) -> bool:
        try:
            return await self._handler.on_result(entry, part, message, result)
        except Exception:
            log.exception("the result of a message could not be processed completely")
            return False

    async def _retry_later(
        self, entry: OutboxEntry, part: MessagePart, lease: SendLease, reason: str
    ) -> float:
        retries = lease.state.get("tries")
        delay = backoff(retries if isinstance(retries, int) else 0)
        log.warning("a message waits (%s); trying again in %.0f s", reason, delay)
        self._report(part.kind, "postponed")
        await self._outbox.postpone(entry, part, delay, lease.mark)
        return delay

    async def _record(
        self,
        entry: OutboxEntry,
        part: MessagePart,
        message: OutboundSms | None,
        result: Accepted | Rejected | Unknown | Cancelled,
        lease: SendLease,
        resend: OutboxEntry | None = None,
    ) -> None:
        await self._outbox.record_result(
            entry, part, message, result, lease=lease, now=int(self._clock() * 1000), resend=resend
        )
        self._report(part.kind, FINAL_STATES[type(result)])
        if resend is not None:
            self.wake(entry.contact)


def backoff(retries: int) -> float:
    """Return the seconds until the next attempt, after so many retries; with jitter."""
    delay = min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2.0 ** min(retries, 8))
    return delay * random.uniform(1 - RETRY_JITTER, 1 + RETRY_JITTER)  # noqa: S311 - spreads the load
