"""Runs a worker and its Twilio for one test: starts them, has things happen, lets time pass."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.inbox.answer import Outcome
from sms_router.sandbox.inbound.session import SessionOutcome, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.world.numbers import Number, NumberKind
from sms_router.store.keys import ALL_BUCKETS
from sms_router.testing.errors import ErrorLog, HandlerFailedError
from sms_router.testing.project import Project
from sms_router.testing.virtual_loop import VirtualLoop, places_of_datetime
from sms_router.testing.worker import OfflineWorker
from sms_router.twilio.phone_numbers import contact_of

PAUSE = 1.0
"""Seconds that pass after each text, so that two are never sent at the same time."""

MAX_ROUNDS = 20
"""Of events that lead to other ones."""

_Result = TypeVar("_Result")


class OfflineEngine:
    """One worker, started when it is needed first."""

    project: Project
    loop: VirtualLoop
    errors: ErrorLog

    def __init__(self, load_project: Callable[[], Project]) -> None:
        self._load_project = load_project
        self._provided: dict[str, object] = {}
        self._started: OfflineWorker | None = None
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        self._stack.close()

    def provide(self, values: dict[str, object]) -> None:
        """Replace what handlers are given, by name."""
        self._provided |= values
        if self._started is not None:
            self._replace_values()

    @property
    def worker(self) -> OfflineWorker:
        """The worker, which starts with its first use."""
        if self._started is None:
            self._start()
            assert self._started is not None
        return self._started

    @property
    def service(self) -> str:
        """The sid of the first Service."""
        return next((service.sid for service in self.worker.settings.services), "")

    def _start(self) -> None:
        self.project = project = self._load_project()
        project.client.flushall()
        self.loop = loop = VirtualLoop()
        self._stack.callback(loop.close)
        self.errors = ErrorLog(self._stack)

        async def start() -> None:
            worker = OfflineWorker(project.settings, project.world, project.client, loop)
            self._started = worker
            self._replace_values()
            running, self._stopping = loop.create_future(), asyncio.Event()

            async def live() -> None:
                try:
                    async with worker.lifespan():
                        running.set_result(None)
                        await self._stopping.wait()
                except Exception as error:
                    if running.done():
                        raise
                    running.set_exception(error)

            self._lifetime = asyncio.create_task(live())
            await running
            loop.background |= asyncio.all_tasks() - {asyncio.current_task()}

        try:
            self.run(start())
        except BaseException as error:
            self._started = error.__cause__ = None
            raise
        loop.places = places_of_datetime(project.root)
        self._stack.callback(self._stop)

    def _stop(self) -> None:
        async def stop() -> None:
            self._stopping.set()
            await self._lifetime

        self.loop.background.clear()
        self.run(stop())

    def _replace_values(self) -> None:
        assert self._started is not None
        environment = self._started.handlers
        for name, value in self._provided.items():
            environment.lifespans.pop(name, None)
            environment.providers.pop(name, None)
            environment.resources[name] = value

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run something in the loop: in this thread, or in another one where this one runs a loop."""
        limit = self.project.settings.router.late_limit + 60
        if asyncio._get_running_loop() is None:
            return self.loop.run(work, limit=limit)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.loop.run, work, limit=limit).result()

    def _next_due(self) -> float:
        """Return when something is to be sent or an event is to be handled, by the loop's time."""
        pipeline = self.project.client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            for queue in (bucket.outbox, bucket.scheduled, bucket.events):
                pipeline.zrange(queue, 0, 0, withscores=True)
        due = min((score for found in pipeline.execute() for _, score in found), default=math.inf)
        return float(due / 1000 - self.loop.wall_offset)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        loop = self.worker.loop
        end = round(loop.time() + seconds, 6)
        self.errors.found.clear()
        while loop.time() < end:
            step = min(end, max(self._next_due(), loop.time()) + 0.001) - loop.time()
            self._expire(int(step * 1000))
            self.run(self._jump(step, sends=True))
        self.finish()

    def go_back(self, seconds: float) -> None:
        """Set the clocks back by a negative number of seconds."""
        self.loop.wall_offset += seconds
        self.worker.clock.offset += seconds

    def finish(self) -> None:
        """Have the events handled that have come.

        Raises:
            Exception: the first error since `errors` was cleared.

        """
        for _ in range(MAX_ROUNDS if self.worker.dispatcher.events else 0):
            if self._next_due() > self.loop.time():
                break
            self.run(self._jump(0.001, sends=True))
        for error in self.errors.found:
            raise error

    async def _jump(self, seconds: float, *, sends: bool = False) -> None:
        """Set the clocks forward, and send what is due then."""
        worker, tasks = self.worker, asyncio.all_tasks()
        await worker.inbox.aclose()  # it would report that the loop was late
        self.loop.jump(seconds)
        worker.inbox.start()
        self.loop.background |= asyncio.all_tasks() - tasks
        if sends:
            worker.outbox_worker.wake_all()

    def _expire(self, milliseconds: int) -> None:
        """Have the keys of Redis expire by the time of the test."""
        client = self.project.client
        for key in client.scan_iter():
            left = client.pttl(key)
            if left > milliseconds:
                client.pexpire(key, left - milliseconds)
            elif left >= 0:
                client.delete(key)

    def receive(self, text: IncomingText) -> tuple[MessageRecord, BaseException | None]:
        """Receive a text as Twilio does; return its record once nothing more happens, and what has failed."""
        self.errors.found.clear()
        result = self.run(receive_text(self.worker.platform, text))
        self.run(self._jump(PAUSE))
        error: BaseException | None = None
        try:
            self.finish()
        except BaseException as raised:
            error = raised
        sid, account = result.inbound.message.sid, self.worker.platform.account.sid
        history = HistoryReader(self.project.client)
        record = history.read([(contact_of(text.sender), f"{account}/{sid}")])[0]
        if error is None and record.outcome == Outcome.FAILED:
            record = history.find(sid, [account]) or record
            error = HandlerFailedError("; ".join(cause.text for cause in record.causes))
        if error is None and result.outcome not in (SessionOutcome.ANSWERED, SessionOutcome.FALLBACK):
            calls = ", ".join(f"{call.url}: {call.reason}" for call in result.exchanges)
            error = HandlerFailedError(f"the text is not answered: {result.outcome.value} ({calls})")
        return record, error

    def number(self, to: str | None) -> Number:
        """Return one of the project's numbers, the short code of the first Service where None is given.

        Raises:
            ValueError: when it is not the project's.

        """
        account = self.worker.platform.account
        if to is not None:
            number = account.number_at(to)
            if number is None:
                known = ", ".join(one.address for one in account.numbers)
                raise ValueError(f"{to} is not a number of the project (sandbox.toml has {known})")
            return number
        members = [account.number(member.sid) for member in account.members(self.service)]
        numbers = [number for number in members if number is not None] or list(account.numbers)
        return min(numbers, key=lambda number: number.kind is not NumberKind.SHORT_CODE)
