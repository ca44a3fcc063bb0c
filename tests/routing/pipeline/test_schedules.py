"""One run and one answer, in random orders of arrival, deadline, commit, lease expiry and crash.

Each schedule runs real pipelines and real scripts by a driven clock. A model of the inbox runs beside them
and predicts what each script returns.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import redis

from sms_router import Reply
from sms_router.delivery.outbox import Outbox
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import InboundRequest, ReplyPolicy
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import ReplyFrom
from sms_router.store.keys import bucket_of
from sms_router.store.scripts import Call
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.tasks import PeriodicTask
from tests.routing.driven_clock import DrivenStore, random_delays, run_driven
from tests.routing.messages import ACCOUNT, CONTACT, message
from tests.routing.workers import RecordingSender
from tests.senders.builders import pool, sender

DEADLINE = 8.0
LEASE_MS = 3000
OUTBOX_INTERVAL = 1.0
SID = "SM" + "0a" * 16
BUCKET = bucket_of(CONTACT)
RECORD = BUCKET.message(f"{ACCOUNT}/{SID}")
RAW = urlencode(
    {"AccountSid": ACCOUNT, "MessageSid": SID, "From": CONTACT, "To": "12345", "Body": "SLOW"}
).encode()
SCHEDULES = int(os.environ.get("SCHEDULES", "20"))
"""Of each kind of fault; more of them in the environment."""

DUPLICATES_AT_ONCE = 8
"""Schedules of two deliveries at the same moment and a slow handler: the order that once ran it twice."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens, in seconds from the start."""

    deliveries: tuple[tuple[float, int], ...]
    """When and at which worker."""
    handler_seconds: float
    workers: int
    crash_at: float | None = None
    """Of worker 0; another one takes its place."""
    stall: tuple[float, float] | None = None
    """When worker 0 cannot renew its leases, and for how long."""

    @classmethod
    def draw(cls, seed: int, fault: str) -> Schedule:
        chance = random.Random(f"{fault} {seed}")
        if seed < DUPLICATES_AT_ONCE:
            return cls(((0.0, 0), (0.0, 0)), 14.0, 1)
        workers = chance.choice((1, 1, 2))
        gap = chance.choice((0.0, chance.choice((0.001, 0.02, 0.5, 2.9, 3.1, 7.9, 7.999, 8.0, 8.05, 9.0))))
        at_deadline, after_it = chance.uniform(7.8, 8.2), chance.choice((11.5, 14.0, 20.0))
        handler = chance.choice((chance.choice((0.0, 0.3, 3.0)), at_deadline, after_it, after_it))
        return cls(
            ((0.0, 0), (gap, workers - 1)),
            handler,
            workers,
            chance.uniform(0, handler + 1) if fault == "crash" else None,
            (chance.uniform(0, 9), chance.uniform(1, 6)) if fault == "lease expiry" else None,
        )


@dataclass(slots=True)
class ModelInbox:
    """What the stored record must be, after each script that the server has run."""

    is_journaled: bool = False
    answer: bytes | None = None
    owner: bytes | None = None
    lease_until: int = 0
    attempts: int = 0
    takeovers: int = 0
    clock: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())

    def step(self, call: Call, result: Any) -> None:
        """Run a script on the model, and compare the results."""
        script, _, values = call
        arguments: dict[str, Any] = dict(zip(script.arguments, values, strict=False))
        now = int(self.clock()) * 1000 + int(int(self.clock() % 1 * 1_000_000) / 1000)
        if script.name == "claim":
            assert result[0] == self._claim(arguments["owner"], now), script.name
        elif script.name == "commit":
            assert result[0] == self._commit(arguments, now), script.name
        elif script.name == "renew_lease":
            is_owner = self.owner == arguments["owner"]
            assert result == (1 if is_owner else 0 if self.is_journaled else -1)
            if is_owner:
                self.lease_until = now + LEASE_MS
        elif script.name == "outbox_claim" and result[0] == b"claimed":
            assert self.lease_until <= now, "work is claimed while its lease holds"
            self.owner, self.lease_until = arguments["owner"], now + LEASE_MS
            self.takeovers += 1
        elif script.name == "outbox_enqueue" and result == 1:
            self.owner, self.lease_until = None, 0

    def _claim(self, owner: bytes, now: int) -> bytes:
        if self.answer is not None:
            return b"answered"
        if self.is_journaled and self.lease_until > now:
            return b"in_progress"
        self.takeovers += self.is_journaled
        self.is_journaled = True
        self.owner, self.lease_until = owner, now + LEASE_MS
        return b"claimed"

    def _commit(self, arguments: dict[str, Any], now: int) -> int:
        if self.answer is not None:
            return 0
        self.answer = arguments["answer"]
        if not arguments["work"]:
            self.owner, self.lease_until = None, 0
        elif arguments["owner"]:
            self.owner, self.lease_until = arguments["owner"], now + LEASE_MS
        return 1


class ScheduleRun:
    """Runs one schedule; `answers` and `runs` have the results."""

    def __init__(self, schedule: Schedule, valkey: redis.Redis, folder: Path, chance: random.Random) -> None:
        self._schedule = schedule
        self._valkey = valkey
        self._folder = folder
        self._delays = random_delays(chance)
        self.model = ModelInbox()
        self.answers: list[tuple[bytes, float]] = []
        """The document of each delivery, and the seconds that it took."""
        self.runs = 0
        self._workers: list[tuple[Pipeline, DrivenStore, Inbox, PeriodicTask]] = []
        self._requests: list[tuple[int, asyncio.Task[None]]] = []

    async def __call__(self) -> None:
        self._workers = [self._start_worker() for _ in range(self._schedule.workers)]
        faults = asyncio.gather(self._crash(), self._stall())
        deliveries = [asyncio.create_task(self._deliver(*delivery)) for delivery in self._schedule.deliveries]
        await asyncio.gather(*deliveries, faults)
        await asyncio.sleep(60)  # what was left behind is taken over
        for pipeline, _, inbox, outbox in self._workers:
            await outbox.aclose()
            await pipeline.aclose()
            await inbox.aclose()

    async def _deliver(self, at: float, worker: int) -> None:
        """Deliver the message as Twilio does, again where the worker is lost in the middle of it."""
        await asyncio.sleep(at)
        while True:
            request = asyncio.create_task(self._receive(worker))
            self._requests.append((worker, request))
            try:
                await asyncio.shield(request)
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
                continue
            return

    async def _receive(self, worker: int) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        text = replace(message("SLOW"), sid=SID)
        answer = await self._workers[worker][0].answer(InboundRequest(text, RAW, None, started))
        self.answers.append((answer.document, loop.time() - started))

    async def _crash(self) -> None:
        if self._schedule.crash_at is None:
            return
        await asyncio.sleep(self._schedule.crash_at)
        _, store, inbox, outbox = self._workers[0]
        store.is_crashed = True
        outbox_closed, inbox_closed = outbox.aclose(), inbox.aclose()
        self._workers[0] = self._start_worker()
        for worker, request in self._requests:
            if worker == 0:
                request.cancel()
        await asyncio.gather(outbox_closed, inbox_closed)

    async def _stall(self) -> None:
        if self._schedule.stall is not None:
            at, seconds = self._schedule.stall
            await asyncio.sleep(at)
            self._workers[0][1].stalled_until = asyncio.get_running_loop().time() + seconds

    def _start_worker(self) -> tuple[Pipeline, DrivenStore, Inbox, PeriodicTask]:
        driven = DrivenStore(self._valkey, self._delays, self.model.step)
        store = cast("Store", driven)
        journal = DurableWriter(store, Spool(self._folder))
        inbox, guard = Inbox(store, journal, 1.0), LoopGuard(0, 60)
        contacts = Contacts(store, journal, lambda *_: None, ErrorTable({}))

        async def slow() -> str:
            if not driven.is_crashed:
                self.runs += 1
            await asyncio.sleep(self._schedule.handler_seconds)
            return "done"

        action: RuleAction = Handler.of(slow, HandlerEnvironment())
        rules = [Rule(("SLOW",), MatchKind.FIRST_WORD, Scope(), action, "SLOW", "SLOW")]
        dispatcher = Dispatcher(RuleTable.build(rules))
        composer = Composer(
            lambda *_: pool(sender("12345")), {None: ReplyFrom.SHORT_CODE_FIRST}, "https://sms.example.com"
        )
        outbox = Outbox(store, journal, 1.0, 3600)
        policy = ReplyPolicy(
            DEADLINE,
            uses_twilio_fallback=False,
            error_reply=Reply("Something went wrong."),
            fallback_reply=Reply("Try again."),
        )
        late = LateReplies(
            inbox, contacts, dispatcher, composer, outbox, guard, policy.error_reply, RecordingSender()
        )
        committer = AnswerCommitter(inbox, dispatcher, composer, late, guard, Reply())
        pipeline = Pipeline(inbox, contacts, dispatcher, composer, committer, late, guard, policy)
        resumed: set[asyncio.Task[None]] = set()

        async def poll() -> None:
            for entry in await outbox.lease_due(BUCKET, 10):
                if entry.part is None:
                    task = asyncio.create_task(late.resume(entry))
                    resumed.add(task)
                    task.add_done_callback(resumed.discard)

        outbox_worker = PeriodicTask("outbox", OUTBOX_INTERVAL, poll)
        inbox.start()
        outbox_worker.start()
        return pipeline, driven, inbox, outbox_worker


@pytest.mark.parametrize("fault", ["no fault", "lease expiry", "crash"])
def test_in_every_order_a_message_has_one_answer_and_its_handler_runs_once(
    fault: str, valkey: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(SCHEDULES):
        valkey.flushall()
        schedule = Schedule.draw(seed, fault)
        run = ScheduleRun(schedule, valkey, tmp_path, random.Random(seed))
        run_driven(run, monkeypatch)
        record = cast("dict[bytes, bytes]", valkey.hgetall(RECORD))
        context = f"{fault} {seed}: {schedule} {run.answers} {run.runs} runs"
        assert {document for document, _ in run.answers} == {record[b"answer"]}, context
        assert len(run.answers) == len(schedule.deliveries), context
        assert all(seconds < DEADLINE + 1 for _, seconds in run.answers), context
        replies = [text for text in (record[b"answer"], record.get(b"late", b"")) if b"done" in text]
        assert len(replies) == 1, context
        assert run.runs >= 1, context
        assert run.runs <= 1 + run.model.takeovers, context
        if fault == "no fault":
            assert (run.runs, run.model.takeovers) == (1, 0), context
