"""Empties the outbox: at once for this worker's own entries, soon after for those of lost workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Protocol

from sms_router.delivery.entry import MessagePart, OutboxEntry
from sms_router.delivery.message import (
    Cancelled,
    NotProcessed,
    OutboundSms,
    Rejected,
    Result,
    SendLease,
    Sent,
    Unknown,
)
from sms_router.delivery.outbox import SENDING_TIMEOUT, Outbox
from sms_router.logs import current_message_sid
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS, Bucket, bucket_of
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.delivery")

POLL_INTERVAL = 1.0
"""Seconds between two looks at every bucket."""

POLL_SLICES = 16
"""Parts that a sweep is divided into: all buckets at once would hold up the texts of that moment."""

MOST_AT_ONCE = 64
"""Answers that one worker sends at once, and handlers that it runs again at once."""

FEWEST_ASKED_FOR = 2
"""Entries that a bucket is always asked for, however little room there is; a full batch brings another."""

MOST_CALLS = 8
"""Calls that one worker makes at once: Twilio counts them for the whole account (20429)."""

DRAIN = 10.0
"""Seconds that a stop waits for calls under way; without their answers the outcome is unknown."""

LONGEST_DELAY = 60.0
"""Seconds between two attempts while Twilio answers 429; the first comes a second after the first answer."""


class OutboxHandler(Protocol):
    """Decides about entries; implemented above this package."""

    async def resume(self, entry: OutboxEntry) -> None:
        """Do the work that an entry stands for."""

    async def build_message(
        self, entry: OutboxEntry, piece: MessagePart, marked: SendLease
    ) -> OutboundSms | Cancelled:
        """Write the message that an entry stands for, or say why there is none.

        Raises:
            StoreUnavailableError: when that cannot be known now; it is asked again later.

        """

    async def on_result(
        self, entry: OutboxEntry, piece: MessagePart, letter: OutboundSms, result: Result
    ) -> bool:
        """Take the outcome; True asks for another attempt from another sender."""


Report = Callable[[str, str], None]
"""Is told the kind of each message and how it ended."""


class OutboxWorker:
    """Carries what is due; one in each worker."""

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[OutboundSms], Awaitable[Result]],
        report: Report,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the outbox, how a message is sent, and who counts; nothing is started.

        ``clock`` is in seconds since the epoch.
        """
        self._outbox = outbox
        self._clock = clock
        self._send = send
        self._report = report
        self._clerk: OutboxHandler
        self._call_slots = asyncio.Semaphore(MOST_CALLS)
        self._nudged: set[Bucket] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._in_hand: set[OutboxEntry] = set()
        self._finishing = False
        self._stopping = False

    def start(self, clerk: OutboxHandler) -> None:
        """Begin to look for what is due; ``clerk`` decides about it."""
        self._clerk = clerk
        self._loop = asyncio.create_task(self._run(), name="courier")

    def wake(self, person: str) -> None:
        """Tell the courier that something for this person has just been put into the outbox."""
        self._nudged.add(bucket_of(person))
        self._wake.set()

    def finish(self) -> None:
        """Send only what this worker puts in from now on, and begin no work: it would not end in time."""
        self._finishing = True

    async def aclose(self) -> bool:
        """Take nothing more, and let the calls under way end, within bounds; no other is begun.

        Returns whether all have ended: a handler that runs again may refuse to be cancelled.
        """
        self._finishing = self._stopping = True
        await cancel_and_wait(self._loop)
        pending = self._carrying | self._working
        if pending:
            _, pending = await asyncio.wait(pending, timeout=DRAIN)
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=DRAIN)
        return not pending

    async def _run(self) -> None:
        looked, turn = 0.0, 0
        while True:
            buckets: Sequence[Bucket] = tuple(self._nudged)
            if time.monotonic() - looked >= POLL_INTERVAL / POLL_SLICES:
                looked, turn = time.monotonic(), (turn + 1) % POLL_SLICES
                if not self._finishing:
                    buckets = tuple({*buckets, *ALL_BUCKETS[turn::POLL_SLICES]})
            self._nudged.clear()
            self._wake.clear()
            try:
                await self._look(buckets)
            except Exception:
                log.exception("the outbox could not be looked through; trying again")
            with contextlib.suppress(TimeoutError):  # not wait_for: it loses a cancellation when it is woken
                async with asyncio.timeout(
                    max(0.01, looked + POLL_INTERVAL / POLL_SLICES - time.monotonic())
                ):
                    await self._wake.wait()

    async def _look(self, buckets: Sequence[Bucket]) -> None:
        """Take what is due in these buckets; what belongs to one message is done in its order."""
        free = MOST_AT_ONCE - len(self._carrying)
        if free <= 0 or not buckets:
            return
        share = max(free // len(buckets), FEWEST_ASKED_FOR)
        found = await asyncio.gather(*(self._taken(bucket, share) for bucket in buckets))
        together: defaultdict[str, list[OutboxEntry]] = defaultdict(list)
        for bucket, entries in zip(buckets, found, strict=True):
            if len(entries) == share:
                self._nudged.add(bucket)
                self._wake.set()
            for entry in entries:
                if entry.piece is None:
                    self._work_on(entry)
                elif entry not in self._in_hand:  # else it stands in line here, and has fallen due again
                    together[entry.reference].append(entry)
        for reference, entries in together.items():
            self._in_hand.update(entries)
            self._begin(self._send_in_order(sorted(entries)), f"outbox {reference}", self._carrying)

    def _work_on(self, entry: OutboxEntry) -> None:
        """Run a handler again, separately from the sending, since it may take long."""
        if not self._finishing and len(self._working) < MOST_AT_ONCE:
            self._begin(self._work(entry), f"outbox {entry.reference}", self._working)

    def _begin(self, work: Coroutine[None, None, None], name: str, among: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work, name=name)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _work(self, entry: OutboxEntry) -> None:
        current_message_sid.set(entry.message_sid)
        try:
            await self._clerk.resume(entry)
        except StoreUnavailableError as error:
            log.warning("an entry of the outbox waits for Redis: %s", error)
        except Exception:
            log.exception("an entry of the outbox could not be worked on; it is looked at again")

    async def _taken(self, bucket: Bucket, count: int) -> list[OutboxEntry]:
        """Take what is due in one bucket; a bucket that Redis does not serve holds up no other."""
        try:
            return await self._outbox.lease_due(bucket, count)
        except StoreUnavailableError:
            return []  # the next sweep may find it back

    async def _send_in_order(self, entries: list[OutboxEntry]) -> None:
        current_message_sid.set(entries[0].message_sid)
        try:
            for at, entry in enumerate(entries):
                async with self._call_slots:
                    if self._stopping:
                        return  # another worker sends it
                    delay = await self._deliver(entry)
                if delay is not None:
                    await self._postpone(entries[at + 1 :], delay)
                    return
        except StoreUnavailableError as error:
            log.warning("an entry of the outbox waits for Redis: %s", error)
        except Exception:
            log.exception("an entry of the outbox could not be worked on; it is looked at again")
        finally:
            self._in_hand.difference_update(entries)

    async def _deliver(self, entry: OutboxEntry) -> float | None:
        """Send one message; return seconds when Twilio has not seen it and it is to be tried again."""
        piece = entry.piece
        assert piece is not None, "work is done elsewhere"
        marked = await self._outbox.mark_sending(entry, piece)
        if marked is None:
            return None
        if isinstance(marked, Cancelled):
            log.warning("%s of %s does not leave: %s", piece.name, entry.message_sid, marked.why)
            self._report(piece.kind, "withdrawn")
            return None
        try:
            letter = await self._written(entry, piece, marked)
        except StoreUnavailableError as error:
            return await self._try_again(entry, piece, marked, str(error))
        if isinstance(letter, Cancelled):
            await self._settle(entry, piece, None, letter, marked)
            return None
        result = await self._bounded(letter)
        if isinstance(result, NotProcessed):
            return await self._try_again(entry, piece, marked, f"Twilio has not taken it: {result.sentence}")
        again = None
        if await self._notify_handler(entry, piece, letter, result):
            again = entry._replace(name=piece.repeated().name)
        await self._settle(entry, piece, letter, result, marked, again)
        return None

    async def _written(
        self, entry: OutboxEntry, piece: MessagePart, marked: SendLease
    ) -> OutboundSms | Cancelled:
        try:
            return await self._clerk.build_message(entry, piece, marked)
        except StoreUnavailableError:
            raise
        except Exception as error:
            log.exception("a message could not be written")
            return Cancelled(f"it could not be written: {type(error).__name__}", dead_letter=True)

    async def _notify_handler(
        self, entry: OutboxEntry, piece: MessagePart, letter: OutboundSms, result: Result
    ) -> bool:
        try:
            return await self._clerk.on_result(entry, piece, letter, result)
        except Exception:
            log.exception("what became of a message was not noted in full")
            return False

    async def _try_again(self, entry: OutboxEntry, piece: MessagePart, marked: SendLease, why: str) -> float:
        delay = backoff(marked.state.get("tries"))
        log.warning("a message waits (%s); trying again in %.0f s", why, delay)
        self._report(piece.kind, "postponed")
        await self._outbox.postpone(entry, piece, delay, marked)
        return delay

    async def _postpone(self, entries: list[OutboxEntry], delay: float) -> None:
        """Let the later messages of the same answer wait as long."""
        for entry in entries:
            if entry.piece is not None:
                await self._outbox.postpone(entry, entry.piece, delay, None)

    async def _bounded(self, letter: OutboundSms) -> Result:
        try:
            async with asyncio.timeout(SENDING_TIMEOUT / 2):
                return await self._send(letter)
        except TimeoutError:
            return Unknown("Twilio's API did not answer in time")
        except Exception as error:
            log.exception("a message could not be handed to Twilio")
            return Unknown(f"handing it to Twilio failed: {type(error).__name__}")

    async def _settle(
        self,
        entry: OutboxEntry,
        piece: MessagePart,
        letter: OutboundSms | None,
        result: Sent | Rejected | Unknown | Cancelled,
        marked: SendLease,
        again: OutboxEntry | None = None,
    ) -> None:
        await self._outbox.record_result(
            entry, piece, letter, result, before=marked, now=int(self._clock() * 1000), again=again
        )
        self._report(piece.kind, _WORDS[type(result)])
        if again is not None:
            self.wake(entry.person)


def backoff(tries: object) -> float:
    """Return how long to wait after so many attempts, with some jitter for each message."""
    doubled = 2.0 ** min(tries if isinstance(tries, int) else 0, 8)
    return min(LONGEST_DELAY, doubled) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing


_WORDS: dict[type, str] = {Sent: "sent", Rejected: "refused", Unknown: "unknown", Cancelled: "withdrawn"}
