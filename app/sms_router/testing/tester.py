"""What tests use: phones that text, the clock, and what a text has led to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sys
import sysconfig
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import wraps
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from sms_router.routing.handler.conversation import Conversation, StoredConversation
from sms_router.routing.handler.outbound import Duplicate, OptedOut, Refused, Sent
from sms_router.routing.handler.reply import Reply
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.inbox.answer import Outcome
from sms_router.sandbox.inbound.incoming_text import receive_text
from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.world.numbers import Number, NumberKind
from sms_router.sandbox.world.world import Carrier, PhoneState
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.scripts.outbox import start_conversation
from sms_router.testing.fake_time import places_of_datetime
from sms_router.testing.http import HttpService
from sms_router.testing.project import Project
from sms_router.testing.virtual_time import VirtualLoop
from sms_router.testing.worker import OfflineWorker
from sms_router.twilio.phone_numbers import contact_of

DEFAULT_CONTACT = "+14155550123"

PAUSE = 1.0
"""Seconds that pass after each text, so that two are never sent at the same time."""

_PACKAGE = Path(__file__).parents[1]
_OTHERS = (f"{_PACKAGE}/", str(_PACKAGE.with_name("pytest_sms_router.py")), sysconfig.get_path("stdlib"), "<")
"""Where the lines of a traceback are that are not the team's."""

MAX_ROUNDS = 20
"""Of events that lead to other ones."""

_Result = TypeVar("_Result")

_Arguments = ParamSpec("_Arguments")

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _team_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the router's lines between those of the team."""
    lines: list[TracebackType] = []
    while trace is not None:
        lines.append(trace)
        trace = trace.tb_next
    own = [not line.tb_frame.f_code.co_filename.startswith(_OTHERS) for line in lines]
    last = max((index for index, is_own in enumerate(own) if is_own), default=len(lines))
    kept = [line for index, line in enumerate(lines) if own[index] or index > last]
    for line, following in pairwise(kept):
        line.tb_next = following
    return kept[0] if kept else None


def _at_the_team_s_line(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Have errors of a function shown at the line that calls it, and at those of the team's handlers."""

    @wraps(function)
    def call(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        __tracebackhide__ = True
        try:
            return function(*arguments, **named)
        except BaseException as error:
            error.__traceback__ = _team_traceback(error.__traceback__)
            raise

    return call


@dataclass(frozen=True, slots=True)
class Received:
    """A message as a phone shows it."""

    text: str
    media: tuple[str, ...]
    sender: str
    to: str = field(repr=False)
    at: datetime = field(repr=False)


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that has not reached the phone, and Twilio's error code."""

    text: str
    sender: str
    code: int | None


@dataclass(frozen=True, slots=True)
class Texted:
    """What a text has led to, until nothing more happens by itself."""

    sid: str = field(repr=False)
    replies: tuple[Received, ...]
    """What the phone has received since."""
    undelivered: tuple[Undelivered, ...]
    rule: str | None
    """What took the text: a keyword, a step, an opt-out word; None where nothing was stored of it."""
    outcome: str
    """``reply``, ``silent``, ``late``, ``failed``, ``muted``, ``unsendable`` or ``fallback``."""
    trail: tuple[str, ...]
    """Why the sender was selected, or why there is no reply."""
    error: BaseException | None = None
    """What the handler has raised, where that was expected."""

    @property
    def texts(self) -> list[str]:
        return [reply.text for reply in self.replies]

    @property
    def text(self) -> str:
        """All texts, with a line between two; empty for no reply."""
        return "\n".join(self.texts)

    @property
    def media(self) -> tuple[str, ...]:
        return tuple(url for reply in self.replies for url in reply.media)

    @property
    def sender(self) -> str | None:
        """The number that the first reply came from."""
        return self.replies[0].sender if self.replies else None


class HandlerFailedError(Exception):
    """A text has failed in another way than by an exception of a handler: its template, or a forward."""


class SmsPhone:
    """A person's phone."""

    def __init__(self, tester: SmsTester, number: str) -> None:
        self._tester = tester
        self.number = number

    def __repr__(self) -> str:
        return f"<phone {self.number}>"

    @_at_the_team_s_line
    def text(
        self,
        text: str = "",
        *,
        to: str | None = None,
        media: str | Sequence[str] = (),
        sid: str = "",
        group: Sequence[str] = (),
        expect_error: bool = False,
    ) -> Texted:
        """Text one of the project's numbers, and wait for what follows: also for a late reply.

        Args:
            text: what the person types.
            to: the number; the short code, or else the first one, of the first Service.
            media: URLs of pictures.
            sid: of an earlier text, which Twilio delivers once more.
            group: other recipients of a group MMS.
            expect_error: the handler is to fail: ``error`` has what it raises, which is raised otherwise.

        Raises:
            Exception: whatever the handler raises.
            HandlerFailedError: when something else fails, such as a template.

        """
        media = (media,) if isinstance(media, str) else tuple(media)
        return self._tester._text(self.number, text, to, media, sid, tuple(group), expect_error)

    @property
    def received(self) -> list[Received]:
        """Everything that the phone has received, the oldest first."""
        inbox = self._tester._worker.platform.inboxes.get(self.number)
        return [
            Received(message.body, message.media, message.sender, self.number, message.received)
            for message in inbox.received
        ]

    @property
    def undelivered(self) -> list[Undelivered]:
        """Everything that has not reached the phone."""
        platform = self._tester._worker.platform
        missed = map(platform.messages.get, platform.inboxes.get(self.number).missed)
        return [Undelivered(one.body, one.sender or "", one.error_code) for one in missed if one is not None]

    @property
    def has_opted_out(self) -> bool:
        """Whether the person is on the opt-out list of the first Service."""
        worker = self._tester._worker
        facts = worker.contacts.facts_now(self._tester._service, contact_of(self.number))
        return self._tester._run(facts).opted_out

    @property
    def conversation(self) -> StoredConversation | None:
        """The conversation with the first Service: ``step``, ``state``, ``is_expired``; None for none."""
        tester = self._tester
        key = bucket_of(contact_of(self.number)).conversation(tester._service, contact_of(self.number))
        client: Any = tester._project.client
        state, until = client.hmget(key, "state", "expires_at")
        remaining = int(until) - int(tester._loop.wall_time() * 1000) if until else None
        return StoredConversation.parse(state, remaining)

    @_at_the_team_s_line
    def begin(self, step: str | Callable[..., object], state: Mapping[str, Any] | None = None) -> None:
        """Put the person into the middle of a conversation with the first Service.

        Args:
            step: takes the next text: its name, or its function.
            state: of the conversation.

        Raises:
            ConversationError: when there is no such step, or the state cannot be stored.

        """
        worker, contact = self._tester._worker, contact_of(self.number)
        conversations = worker.dispatcher.conversations
        assert conversations is not None, "the project has no @step"
        conversation = Conversation(None, conversations.policy.expires_after)
        conversation.state = dict(state or {})
        conversation.finish(Reply(then=step).next_step, conversations.steps, is_declared=True)
        key, stored, valid_ms, ttl_ms, timer = conversations.update_for(
            self._tester._service, contact, conversation
        )
        call = start_conversation(
            conversation=key, state=stored, valid_ms=valid_ms, ttl_ms=ttl_ms, timer=timer
        )
        self._tester._run(worker.store.run(call))

    @_at_the_team_s_line
    def fail(self, code: int = 30003, *, short_codes_only: bool = False) -> None:
        """Have messages to this phone end as undelivered, with an error code of Twilio's.

        With ``short_codes_only`` the carrier delivers what other senders send.
        """
        carrier = (
            Carrier(name="test", reaches_short_codes=False, short_code_error=code)
            if short_codes_only
            else Carrier(name="test", drops={code: 1.0})
        )
        self._tester._worker.platform.phonebook.change(self.number, None, carrier)

    def recover(self) -> None:
        """Have messages to this phone be delivered again."""
        phonebook = self._tester._worker.platform.phonebook
        phonebook.change(self.number, PhoneState.ON, Carrier(name="test"))


class SmsClock:
    """The time of the router, of Twilio and of Redis; it begins at the present."""

    def __init__(self, tester: SmsTester) -> None:
        self._tester = tester

    def now(self) -> datetime:
        """Return the time in the first Service's time zone."""
        return self._tester._worker.settings.time_zones.local_time(
            self._tester._service, self._tester._loop.wall_time()
        )

    @_at_the_team_s_line
    def at(self, moment: str | datetime) -> None:
        """Go to a moment; what is due before happens.

        Args:
            moment: ``"09:00"``, the next one; ``"mon 09:00"``; ``"2026-12-24 18:00"`` or a datetime. It is in
                the first Service's time zone, unless it has one of its own.

        """
        now = self.now()
        if isinstance(moment, str):
            moment = _moment(moment, now)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)
        seconds = moment.timestamp() - now.timestamp()
        if seconds < 0:
            self._tester._loop.wall_offset += seconds
        else:
            self._tester._pass(seconds)

    @_at_the_team_s_line
    def tick(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass; what is due meanwhile happens, in its order."""
        delta = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._tester._pass(delta.total_seconds())


def _moment(text: str, now: datetime) -> datetime:
    """Parse a time of day, with or without a weekday, or a date and time."""
    day, _, time = text.rpartition(" ")
    if day.lower() not in ("", *_DAYS):
        return datetime.fromisoformat(text)
    hour, minute = map(int, time.split(":"))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while moment < now or (day and _DAYS[moment.weekday()] != day.lower()):
        moment += timedelta(days=1)
    return moment


class SmsTester(SmsPhone):
    """The ``sms`` fixture: the phone of one person, other phones, and the clock.

    Everything is the router's own: the webhook, the rules, the handlers with their middlewares, the opt-out
    list, the sender selection, the outbox. Twilio is the sandbox, in this process.
    """

    def __init__(self, project: Callable[[], Project]) -> None:
        super().__init__(self, DEFAULT_CONTACT)
        self.clock = SmsClock(self)
        self._load_project = project
        self._provided: dict[str, object] = {}
        self._started: OfflineWorker | None = None
        self._stack = contextlib.ExitStack()

    def phone(self, number: str) -> SmsPhone:
        """Return the phone of another person."""
        return SmsPhone(self, number)

    @_at_the_team_s_line
    def provide(self, **values: object) -> None:
        """Replace what ``@lifespan`` and ``@provide`` functions, or middlewares, give to handlers.

        A ``@lifespan`` function does not run where its value was replaced before the first text.
        """
        self._provided |= values
        if self._started is not None:
            self._replace_values()

    @_at_the_team_s_line
    def send(
        self,
        to: str,
        reply: str | Reply,
        *,
        service: str | None = None,
        at: datetime | timedelta | None = None,
        key: str | None = None,
        then: str | Callable[..., object] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Sent | OptedOut | Duplicate | Refused:
        """Send a message that is no reply, as ``sms.send`` in a handler and ``POST /v1/messages`` do."""
        sms = self._worker.sms_for("test")
        self._errors.found.clear()
        result = self._run(sms.send(to, reply, service=service, at=at, key=key, then=then, state=state))
        self._finish()
        return result

    @_at_the_team_s_line
    def http(
        self, url: str, answer: object = "", *, status: int = 200, content_type: str = ""
    ) -> HttpService:
        """Set what another service, or an application that messages are forwarded to, answers.

        Args:
            url: it and those that begin with it.
            answer: a text, TwiML for example, or what becomes JSON.
            status: of the HTTP response.
            content_type: else that of the answer's kind.

        Returns:
            The service, whose ``requests`` grow.

        """
        return self._worker.http.add(url, answer, status, content_type)

    def close(self) -> None:
        """Stop the worker."""
        self._stack.close()

    @property
    def _worker(self) -> OfflineWorker:
        if self._started is None:
            self._start()
            assert self._started is not None
        return self._started

    @property
    def _service(self) -> str:
        return next((service.sid for service in self._worker.settings.services), "")

    def _start(self) -> None:
        self._project = project = self._load_project()
        project.client.flushall()
        self._loop = loop = VirtualLoop()
        self._stack.callback(loop.close)
        self._errors = _Errors(self._stack)

        async def start() -> None:
            worker = OfflineWorker(project.settings, project.world, project.client, loop)
            self._started = worker
            self._replace_values()
            running, self._stopping = loop.create_future(), asyncio.Event()

            async def live() -> None:
                try:
                    async with worker.lifespan(None):
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
            self._run(start())
        except BaseException as error:
            self._started = error.__cause__ = None
            raise
        loop.places = places_of_datetime(project.root)
        self._stack.callback(self._stop)

    def _stop(self) -> None:
        async def stop() -> None:
            self._stopping.set()
            await self._lifetime

        self._loop.background.clear()
        self._run(stop())

    def _replace_values(self) -> None:
        assert self._started is not None
        environment = self._started.handlers
        for name, value in self._provided.items():
            environment.lifespans.pop(name, None)
            environment.providers.pop(name, None)
            environment.resources[name] = value

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run something in the loop: in this thread, or in another one where this one runs a loop."""
        limit = self._project.settings.router.late_limit + 60
        if asyncio._get_running_loop() is None:
            return self._loop.run(work, limit=limit)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._loop.run, work, limit=limit).result()

    def _next_due(self) -> float:
        """Return when something is to be sent or an event is to be handled, by the loop's time."""
        pipeline = self._project.client.pipeline(transaction=False)
        for bucket in ALL_BUCKETS:
            for queue in (bucket.outbox, bucket.scheduled, bucket.events):
                pipeline.zrange(queue, 0, 0, withscores=True)
        due = min((score for found in pipeline.execute() for _, score in found), default=math.inf)
        return float(due / 1000 - self._loop.wall_offset)

    def _pass(self, seconds: float) -> None:
        """Let time pass, from one thing that is due to the next."""
        loop, end = self._loop, self._loop.time() + seconds
        self._errors.found.clear()
        while loop.time() < end:
            step = min(end, max(self._next_due(), loop.time()) + 0.001) - loop.time()
            self._expire(int(step * 1000))
            self._run(self._jump(step, sends=True))
        self._finish()

    def _finish(self) -> None:
        """Have the events handled that have come.

        Raises:
            Exception: the first error since `_errors` was cleared.

        """
        for _ in range(MAX_ROUNDS if self._worker.dispatcher.events else 0):
            if self._next_due() > self._loop.time():
                break
            self._run(self._jump(0.001, sends=True))
        for error in self._errors.found:
            raise error

    async def _jump(self, seconds: float, *, sends: bool = False) -> None:
        """Set the clocks forward, and send what is due then."""
        worker, tasks = self._worker, asyncio.all_tasks()
        await worker.inbox.aclose()  # it would report that the loop was late
        self._loop.jump(seconds)
        worker.inbox.start()
        self._loop.background |= asyncio.all_tasks() - tasks
        if sends:
            worker.outbox_worker.wake_all()

    def _expire(self, milliseconds: int) -> None:
        """Have the keys of Redis expire by the time of the test."""
        client = self._project.client
        for key in client.scan_iter():
            left = client.pttl(key)
            if left > milliseconds:
                client.pexpire(key, left - milliseconds)
            elif left >= 0:
                client.delete(key)

    def _text(
        self,
        sender: str,
        text: str,
        to: str | None,
        media: tuple[str, ...],
        sid: str,
        group: tuple[str, ...],
        expect_error: bool,
    ) -> Texted:
        worker, phone = self._worker, self.phone(sender)
        before = len(phone.received), len(phone.undelivered)
        self._errors.found.clear()
        incoming = IncomingText(sender, self._number(to), text, media, group, sid)
        result = self._run(receive_text(worker.platform, incoming))
        inbound = result.inbound
        reference = f"{worker.platform.account.sid}/{inbound.message.sid}"
        history = HistoryReader(self._project.client)
        record = history.read([(contact_of(sender), reference)])[0]
        answers = [record.late_reply, record.answer]
        answer = next((answer for answer in answers if answer is not None), None)
        self._run(self._jump(PAUSE))
        error: BaseException | None = None
        try:
            self._finish()
        except BaseException as raised:
            error = raised
        if error is None and record.outcome == Outcome.FAILED:
            failed = history.find(inbound.message.sid, [worker.platform.account.sid])
            error = HandlerFailedError("; ".join(cause.text for cause in failed.causes) if failed else "")
        if error is None and result.outcome not in (SessionOutcome.ANSWERED, SessionOutcome.FALLBACK):
            calls = ", ".join(f"{call.url}: {call.reason}" for call in result.exchanges)
            error = HandlerFailedError(f"the text is not answered: {result.outcome.value} ({calls})")
        if error is not None and not expect_error:
            raise error
        if error is None and expect_error:
            raise AssertionError(f"{text!r} led to no error")
        return Texted(
            inbound.message.sid,
            tuple(phone.received[before[0] :]),
            tuple(phone.undelivered[before[1] :]),
            answer.rule if answer is not None else None,
            record.outcome or "",
            answer.trail if answer is not None else (),
            error,
        )

    def _number(self, to: str | None) -> Number:
        account = self._worker.platform.account
        if to is not None:
            number = account.number_at(to)
            if number is None:
                known = ", ".join(one.address for one in account.numbers)
                raise ValueError(f"{to} is not a number of the project (sandbox.toml has {known})")
            return number
        members = [account.number(member.sid) for member in account.members(self._service)]
        numbers = [number for number in members if number is not None] or list(account.numbers)
        return min(numbers, key=lambda number: number.kind is not NumberKind.SHORT_CODE)


class _Errors(logging.Handler):
    """Keeps the errors that the router logs. What a function of the team raises is not logged besides."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []
        router, functions = map(logging.getLogger, ("sms_router", "sms_router.dispatch"))
        router.addHandler(self)
        stack.callback(router.removeHandler, self)
        functions.addFilter(self._take)
        stack.callback(functions.removeFilter, self._take)

    def _take(self, _: logging.LogRecord) -> bool:
        if (error := sys.exc_info()[1]) is not None:
            self.found.append(error)
        return error is None

    def emit(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        self.found.append(error if error is not None else HandlerFailedError(record.getMessage()))
