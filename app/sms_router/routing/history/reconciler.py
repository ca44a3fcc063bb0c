"""Compares Twilio's message log with the journal, and has messages answered whose webhook never came.

A message that is missing from the journal, and for which Twilio has an error, was answered by nobody. One
without an error was answered: by another application, or by a router whose Redis has lost the journal.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain, repeat
from typing import NamedTuple, cast
from urllib.parse import urlencode

import redis
from redis.asyncio import Redis as AsyncRedis

from sms_router.delivery.entry import OutboxEntry, ReplyKind
from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.history.replay import RECONCILED, format_duration
from sms_router.routing.inbox.answer import Outcome
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.routing.opt_outs.keywords import Intent, OptOutMatch
from sms_router.senders.models import SenderKind
from sms_router.senders.pool import Pool
from sms_router.store import scripts
from sms_router.store.keys import RECONCILE_LOCK, RECONCILED_UNTIL, bucket_of
from sms_router.store.redis_py import CLIENT_ERRORS, run_script, sync_client
from sms_router.tasks import PeriodicTask
from sms_router.twilio.inbound import InboundMessage, InvalidWebhook, parse_inbound
from sms_router.twilio.message_log import LoggedMessage, MessageLog
from sms_router.twilio.rest import ApiError, ApiFailure, FailureKind
from sms_router.twilio.twiml import EMPTY

GRACE = 60_000
"""Milliseconds in which the webhook of a message may still come, or that of the fallback URL."""

MAX_MISSED = 50_000
"""Messages that are held at once; a later run finds the others."""


class MissedStatus(IntEnum):
    """What became of a missed message; the first values are those that journal_missed.lua returns."""

    ARRIVED = 0
    """Its webhook came meanwhile."""
    ANSWERED = 1
    """A router answers it now."""
    JOURNALED = 2
    """It is a dead letter from now on."""
    KNOWN = 3
    """It was a dead letter before."""
    FOUND = 4
    """Nothing was stored."""


class PoolNumber(NamedTuple):
    """One of our numbers that can be texted."""

    service_sid: str
    address: str


@dataclass(slots=True)
class MissedMessage:
    """A message of Twilio's log that is not in the journal, or recorded there as never received."""

    logged: LoggedMessage
    service_sid: str
    error: str = ""
    """Twilio's error; empty where it has none: another application has answered the message."""
    status: MissedStatus = MissedStatus.FOUND
    note: str = ""
    """Why it is not answered."""


@dataclass(slots=True)
class Comparison:
    """What a comparison has found."""

    read: int = 0
    """Inbound messages in Twilio's log."""
    missed: list[MissedMessage] = field(default_factory=list)
    """In the order in which they came."""
    without_error: int = 0
    """Those for which Twilio has no error: another application has answered them."""
    failures: list[str] = field(default_factory=list)
    """What could not be read, for people."""


@dataclass(frozen=True, slots=True, eq=False)
class Reconciler:
    """Finds and records missed messages; every method blocks."""

    client: redis.Redis
    """Returns bytes."""
    log_of: Callable[[str], MessageLog]
    """Returns Twilio's log for the account of a Service."""
    opt_out_of: Callable[[InboundMessage], OptOutMatch | None]
    """Returns the opt-out keyword that a message is."""
    contact_ttl_ms: int
    """How long the other facts about a contact are kept, in milliseconds."""
    consent_retention_days: float
    """How long a recorded START is kept."""
    retention_days: float
    """How long a message is kept."""
    late_limit: float
    """Seconds after which a message is not answered any more."""
    events: EventRecorder = field(default_factory=EventRecorder)
    """Makes those of the team's handlers."""

    def compare(
        self,
        numbers: Sequence[PoolNumber],
        since: int,
        now: int,
        progress: Callable[[int], None],
        *,
        keep_all: bool = False,
    ) -> Comparison:
        """Compare the log of some numbers; nothing is stored.

        Times are in milliseconds since the epoch; messages of the last `GRACE` are left out. ``progress``
        is called with how many numbers have been read. With ``keep_all`` messages are returned too for
        which Twilio has no error.
        """
        found = Comparison()
        errors: dict[str, Mapping[str, str]] = {}
        failed: set[str] = set()
        for done, (service_sid, address) in enumerate(numbers):
            progress(done)
            if service_sid in failed:
                continue
            log = self.log_of(service_sid)
            try:
                if service_sid not in errors:
                    errors[service_sid] = log.webhook_errors(since)
                for page in log.inbound(address, since):
                    # The sandbox's clock may be ahead by an hour.
                    settled = [logged for logged in page if abs(now - logged.received) >= GRACE]
                    self._compare_page(found, settled, service_sid, errors[service_sid], keep_all)
            except ApiError as error:
                is_of_number = error.failure.kind in {FailureKind.NOT_FOUND, FailureKind.REFUSED}
                unread = f"the messages to {address}{'' if is_of_number else ' and further numbers'}"
                found.failures.append(f"{unread} could not be read: {error}")
                failed.update(() if is_of_number else (service_sid,))
        progress(len(numbers))
        found.missed.reverse()  # those of one second stay in the order in which they came
        found.missed.sort(key=lambda missed: missed.logged.received)
        return found

    def _compare_page(
        self,
        found: Comparison,
        page: Sequence[LoggedMessage],
        service_sid: str,
        errors: Mapping[str, str],
        keep_all: bool,
    ) -> None:
        found.read += len(page)
        pipeline = self.client.pipeline(transaction=False)
        for logged in page:
            key = bucket_of(logged.contact).message(_reference(logged))
            pipeline.hmget(key, "request", "answer", "missed", "replay:requested")
        states = cast("list[list[bytes | None]]", pipeline.execute())
        for logged, (request, answer, missed, replayed) in zip(page, states, strict=True):
            if request is not None and (not missed or answer or replayed):
                continue
            error = errors.get(logged.sid, "")
            if not error:
                found.without_error += 1
            if error or keep_all:
                found.missed.append(MissedMessage(logged, service_sid, error))
        if len(found.missed) > MAX_MISSED:
            sentence = f"more than {MAX_MISSED} messages never arrived: run it again for the others"
            raise ApiError(ApiFailure(FailureKind.UNREADABLE, None, None, sentence))

    def record(self, missed: MissedMessage, now: int, *, answer: bool) -> None:
        """Journal a message as a dead letter, or have it answered; it gets its status.

        An opt-out keyword counts from when it was sent, and is not replied to: Twilio may have done so. With
        ``answer`` a running router answers a message that is not older than the limit; ``now`` is in
        milliseconds since the epoch.
        """
        logged = missed.logged
        try:
            media = self.log_of(missed.service_sid).media(logged)
        except ApiError as error:
            media, missed.note = [], f"its media could not be read: {error}"
        parameters = logged.parameters(missed.service_sid, media)
        message = parse_inbound(parameters)
        if isinstance(message, InvalidWebhook):
            missed.note = message.reason
            return
        scope = message.service_sid or missed.service_sid
        opt_out = self.opt_out_of(message)
        is_too_old = now - logged.received > self.late_limit * 1000
        cause = f"never arrived: {missed.error or 'Twilio has no error for it'}"
        work = b""
        if answer and opt_out is None and is_too_old:
            missed.note = f"it came {format_duration(now - logged.received)} ago, later than late_limit"
        elif answer and opt_out is None:
            work = OutboxEntry(_reference(logged), ReplyKind.LATE.value, scope, logged.contact).line
        is_answer = bool(work) or opt_out is not None
        rule = f"{RECONCILED}: {opt_out.word.upper()}" if opt_out is not None else RECONCILED
        call = scripts.journal_missed(
            contact=logged.contact,
            reference=_reference(logged),
            request=urlencode(parameters, errors="replace").encode(),
            received=logged.received,
            retention_ms=int(self.retention_days * 86_400_000),
            cause=cause,
            answer=EMPTY if is_answer else b"",
            outcome=Outcome.LATE if work else Outcome.SILENT,
            trail=f"{rule}\n{cause}".encode(),
            work=work,
        )
        missed.status = MissedStatus(run_script(self.client, call))
        if opt_out is not None and missed.status is not MissedStatus.ARRIVED:
            self._record_opt_out(opt_out, scope, logged)
            missed.note = f"{opt_out.word.upper()} was recorded"

    def _record_opt_out(self, match: OptOutMatch, scope: str, logged: LoggedMessage) -> None:
        contact = bucket_of(logged.contact).contact(scope, logged.contact)
        is_start = match.intent is Intent.START and (
            match.unconditional or self.client.hexists(contact, ":opt-out")
        )
        if match.intent is not Intent.STOP and not is_start:
            return
        evidence = Evidence(
            Event.START if is_start else Event.STOP,
            How.KEYWORD,
            match.word.upper(),
            message=logged.sid,
            sender=logged.recipient,
            text=logged.body,
        )
        ttls = self.contact_ttl_ms, int(self.consent_retention_days * 86_400_000)
        call = evidence.change_call(
            scope, logged.contact, logged.received, self.events, *ttls, _reference(logged)
        )
        run_script(self.client, call)


def numbers_of(pools: Mapping[str, Pool]) -> list[PoolNumber]:
    """Return the numbers of Sender Pools that can be texted."""
    return [
        PoolNumber(service_sid, address)
        for service_sid, pool in pools.items()
        for address in dict.fromkeys(
            sender.address for sender in pool.senders if sender.kind is not SenderKind.ALPHANUMERIC
        )
    ]


def _reference(message: LoggedMessage) -> str:
    return f"{message.account_sid}/{message.sid}"


log = logging.getLogger("sms_router.reconcile")

FIRST_DELAYS = (10.0, GRACE / 1000 + 15)
"""Seconds before the first comparison, and before the second, which has the last minute before the start."""

LOCK_TTL = 60_000
"""Milliseconds for which one router holds the lock without renewing it."""

MAX_WINDOW = 86_400_000
"""Milliseconds of the log that are compared at most."""

OVERLAP = 600_000
"""Milliseconds that are compared again: Twilio's log may show a message late."""


_RESULTS = (
    (MissedStatus.ANSWERED, "answered", "they are answered now, or their opt-out keyword is recorded"),
    (MissedStatus.JOURNALED, "dead letter", "messages --failed lists them, reconcile --answer answers them"),
)
"""The results that are counted and logged."""


class StoppingError(Exception):
    """The router stops in the middle of a comparison."""


class ReconcileTask(PeriodicTask):
    """Finds missed messages; one router does it at a time, for all.

    Args:
        redis: shared by all workers.
        redis_url: of the same Redis, for a thread.
        numbers: returns the numbers that can be texted.
        build: returns the reconciler for a client and a function that waits for some seconds.
        answer: whether the messages are answered; otherwise they become dead letters.
        interval: seconds between two comparisons; 0 for those of the start alone.
        clock: seconds since the epoch.
        count: called with the number of messages that were missed, and what became of them.

    """

    def __init__(
        self,
        redis: AsyncRedis,
        redis_url: str,
        numbers: Callable[[], list[PoolNumber]],
        build: Callable[[redis.Redis, Callable[[float], None]], Reconciler],
        answer: bool,
        interval: float,
        clock: Callable[[], float],
        count: Callable[[str, int], None],
    ) -> None:
        delays: Iterator[float] = chain(FIRST_DELAYS, repeat(interval or MAX_WINDOW))
        super().__init__(
            "reconcile", interval, self.run, wait_first=True, sleep=lambda _: asyncio.sleep(next(delays))
        )
        self._redis = redis
        self._redis_url = redis_url
        self._numbers = numbers
        self._build = build
        self._answer = answer
        self._clock = clock
        self._count = count
        self._stopping = threading.Event()

    async def aclose(self) -> None:
        self._stopping.set()
        await super().aclose()

    async def run(self) -> Comparison | None:
        """Compare once, unless another router does or Redis does not serve."""
        numbers = self._numbers()
        try:
            if not numbers or not await self._redis.set(RECONCILE_LOCK, b"1", nx=True, px=LOCK_TTL):
                return None
            return await asyncio.to_thread(self._compare, numbers)
        except StoppingError:
            return None
        except CLIENT_ERRORS as error:
            log.warning("Twilio's message log was not compared: Redis failed (%s)", type(error).__name__)
            return None

    def _compare(self, numbers: list[PoolNumber]) -> Comparison:
        with sync_client(self._redis_url, attempts=2) as client:
            try:
                reconciler = self._build(client, self._pause)
                now = int(self._clock() * 1000)
                until = int(client.get(RECONCILED_UNTIL) or 0)
                since = max(now - MAX_WINDOW, until - OVERLAP)
                found = reconciler.compare(numbers, since, now, lambda _: self._renew(client))
                for missed in found.missed:
                    reconciler.record(missed, now, answer=self._answer)
                    self._renew(client)
                self._report(found)
                if not found.failures:
                    client.set(RECONCILED_UNTIL, now - GRACE)
                return found
            finally:
                client.delete(RECONCILE_LOCK)

    def _renew(self, client: redis.Redis) -> None:
        client.pexpire(RECONCILE_LOCK, LOCK_TTL)
        self._pause(0)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StoppingError

    def _report(self, found: Comparison) -> None:
        for sentence in found.failures:
            log.warning("Twilio's message log: %s", sentence)
        for status, result, sentence in _RESULTS:
            messages = [missed for missed in found.missed if missed.status is status]
            self._count(result, len(messages))
            if messages:
                log.warning(
                    "messages that never arrived: %d (%s); %s", len(messages), messages[0].error, sentence
                )
