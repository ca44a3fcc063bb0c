"""Empties the outbox: what this worker has put there at once, what lost workers held soon after."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from app.delivery.entries import Entry, Piece
from app.delivery.letter import Letter, Marked, Refused, Result, Sent, Unknown, Unseen, Withdrawn
from app.delivery.outbox import HOLD, Outbox
from app.log_context import MESSAGE
from app.store.errors import ScriptFailedError, StoreUnavailableError
from app.store.keys import ALL_BUCKETS, Bucket, bucket_of

log = logging.getLogger("sms_router.delivery")

SWEEP = 1.0
"""Seconds between two looks at every bucket."""

MOST_AT_ONCE = 64
"""Entries of one worker in hand."""

MOST_CALLS = 8
"""Calls of one worker under way: Twilio counts them for the whole account (20429)."""

DRAIN = 10.0
"""Seconds that a stop waits for the calls under way; what they meet is unknown otherwise."""

LONGEST_DELAY = 60.0
"""Seconds between two attempts while Twilio answers 429; the first comes a second after the first answer."""


class Clerk(Protocol):
    """What is decided about entries, above this package."""

    async def work(self, entry: Entry) -> None:
        """Do the work that an entry stands for."""

    def letter(self, entry: Entry, piece: Piece, marked: Marked) -> Letter | Withdrawn:
        """Write the message that an entry stands for, or say why there is none."""

    async def sent(self, entry: Entry, piece: Piece, letter: Letter, result: Result) -> bool:
        """Hear what became of it; True asks for another attempt from another sender."""


Report = Callable[[str, str], None]
"""Told the kind of each message and how it ended."""


class Courier:
    """Carries what is due; one in each worker."""

    def __init__(self, outbox: Outbox, send: Callable[[Letter], Awaitable[Result]], report: Report) -> None:
        """Take the outbox, how a message is sent, and who counts; nothing is started."""
        self._outbox = outbox
        self._send = send
        self._report = report
        self._clerk: Clerk
        self._hands = asyncio.Semaphore(MOST_CALLS)
        self._nudged: set[Bucket] = set()
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    def start(self, clerk: Clerk) -> None:
        """Begin to look for what is due; ``clerk`` decides about it."""
        self._clerk = clerk
        self._loop = asyncio.create_task(self._run(), name="courier")

    def nudge(self, person: str) -> None:
        """Tell that something for this person has been put into the outbox just now."""
        self._nudged.add(bucket_of(person))
        self._wake.set()

    async def aclose(self) -> None:
        """Take nothing more, and let what is in hand end, within bounds."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if self._carrying:
            _, pending = await asyncio.wait(self._carrying, timeout=DRAIN)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _run(self) -> None:
        swept = 0.0
        while True:
            if time.monotonic() - swept >= SWEEP:
                swept = time.monotonic()
                buckets: Iterable[Bucket] = ALL_BUCKETS
            else:
                buckets = tuple(self._nudged)
            self._nudged.clear()
            self._wake.clear()
            try:
                await self._look(buckets)
            except Exception:
                log.exception("the outbox could not be looked through; trying again")
            with contextlib.suppress(TimeoutError):  # not wait_for: it loses a cancellation when it is woken
                async with asyncio.timeout(max(0.05, swept + SWEEP - time.monotonic())):
                    await self._wake.wait()

    async def _look(self, buckets: Iterable[Bucket]) -> None:
        """Take what is due in these buckets; what belongs to one message is done in its order."""
        free = MOST_AT_ONCE - len(self._carrying)
        if free <= 0:
            return
        found = await asyncio.gather(*(self._taken(bucket, free) for bucket in buckets))
        together: defaultdict[str, list[Entry]] = defaultdict(list)
        for entries in found:
            for entry in entries:
                together[entry.reference].append(entry)
        for reference, entries in together.items():
            task = asyncio.create_task(self._carry(sorted(entries)), name=f"outbox {reference}")
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _taken(self, bucket: Bucket, count: int) -> list[Entry]:
        """Take what is due in one bucket; a bucket that Redis does not serve holds up no other."""
        try:
            return await self._outbox.take(bucket, count)
        except StoreUnavailableError:
            return []  # the next sweep may find it back

    async def _carry(self, entries: list[Entry]) -> None:
        MESSAGE.set(entries[0].message_sid)
        for at, entry in enumerate(entries):
            try:
                piece = entry.piece
                if piece is None:
                    await self._clerk.work(entry)
                    continue
                async with self._hands:
                    delay = await self._deliver(entry, piece)
                if delay is not None:
                    await self._postpone(entries[at:], delay)
                    return
            except (StoreUnavailableError, ScriptFailedError) as error:
                log.warning("an entry of the outbox waits for Redis: %s", error)
            except Exception:
                log.exception("an entry of the outbox could not be worked on; it is looked at again")

    async def _deliver(self, entry: Entry, piece: Piece) -> float | None:
        """Send one message; return seconds when Twilio has not seen it and it is to be tried again."""
        marked = await self._outbox.mark(entry, piece)
        if marked is None:
            return None
        if isinstance(marked, Withdrawn):
            log.warning("%s of %s does not leave: %s", piece.name, entry.message_sid, marked.why)
            self._report(piece.kind, "withdrawn")
            return None
        letter = self._clerk.letter(entry, piece, marked)
        if isinstance(letter, Withdrawn):
            await self._settle(entry, piece, None, letter, marked)
            return None
        result = await self._bounded(letter)
        if isinstance(result, Unseen):
            delay = _delay(marked.state.get("tries"))
            log.warning("Twilio has not taken a message (%s); trying again in %.0f s", result.sentence, delay)
            self._report(piece.kind, "postponed")
            return delay
        again = None
        if await self._clerk.sent(entry, piece, letter, result):
            again = entry._replace(name=piece.repeated().name)
        await self._settle(entry, piece, letter, result, marked, again)
        return None

    async def _postpone(self, entries: list[Entry], delay: float) -> None:
        """Try again later; what follows in the same answer waits too."""
        for entry in entries:
            if entry.piece is not None:
                await self._outbox.postpone(entry, entry.piece, delay)

    async def _bounded(self, letter: Letter) -> Result:
        try:
            async with asyncio.timeout(HOLD / 2):
                return await self._send(letter)
        except TimeoutError:
            return Unknown("Twilio's API did not answer in time")
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("a message could not be handed to Twilio")
            return Unknown(f"handing it to Twilio failed: {type(error).__name__}")

    async def _settle(
        self,
        entry: Entry,
        piece: Piece,
        letter: Letter | None,
        result: Sent | Refused | Unknown | Withdrawn,
        marked: Marked,
        again: Entry | None = None,
    ) -> None:
        await self._outbox.settle(
            entry, piece, letter, result, before=marked, now=int(time.time() * 1000), again=again
        )
        self._report(piece.kind, _WORDS[type(result)])
        if again is not None:
            self.nudge(entry.person)


def _delay(tries: object) -> float:
    """Return how long to wait after so many attempts, not quite the same for every message."""
    doubled = 2.0 ** min(tries if isinstance(tries, int) else 0, 8)
    return min(LONGEST_DELAY, doubled) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing


_WORDS: dict[type, str] = {Sent: "sent", Refused: "refused", Unknown: "unknown", Withdrawn: "withdrawn"}
