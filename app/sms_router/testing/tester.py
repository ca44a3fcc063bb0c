"""What tests use: phones that text, the clock, and what a text has led to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sms_router.routing.contacts.contact import ContactSummary
from sms_router.routing.contacts.contacts import MAX_PROFILE_BYTES
from sms_router.routing.handler.conversation import Conversation, StoredConversation
from sms_router.routing.handler.outbound import Duplicate, OptedOut, Refused, Sent
from sms_router.routing.handler.profile import AttributeValue, HandlerContact
from sms_router.routing.handler.reply import Reply
from sms_router.routing.pipeline.explain import read_stored_contact
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.world.world import Carrier, PhoneState
from sms_router.store import scripts
from sms_router.store.scripts.outbox import start_conversation
from sms_router.testing.engine import OfflineEngine
from sms_router.testing.errors import at_the_team_s_line
from sms_router.testing.http import HttpService
from sms_router.testing.project import Project
from sms_router.twilio.phone_numbers import contact_of

DEFAULT_CONTACT = "+14155550123"

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


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


class SmsPhone:
    """A person's phone."""

    def __init__(self, engine: OfflineEngine, number: str) -> None:
        self._engine = engine
        self.number = number

    def __repr__(self) -> str:
        return f"<phone {self.number}>"

    @at_the_team_s_line
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
        before = len(self.received), len(self.undelivered)
        number = self._engine.number(to)
        incoming = IncomingText(self.number, number, text, media, tuple(group), sid)
        record, error = self._engine.receive(incoming)
        if error is not None and not expect_error:
            raise error
        if error is None and expect_error:
            raise AssertionError(f"{text!r} led to no error")
        answer = record.late_reply or record.answer
        return Texted(
            record.sid,
            tuple(self.received[before[0] :]),
            tuple(self.undelivered[before[1] :]),
            answer.rule if answer is not None else None,
            record.outcome or "",
            answer.trail if answer is not None else (),
            error,
        )

    @property
    def received(self) -> list[Received]:
        """Everything that the phone has received, the oldest first."""
        inbox = self._engine.worker.platform.inboxes.get(self.number)
        return [
            Received(message.body, message.media, message.sender, self.number, message.received)
            for message in inbox.received
        ]

    @property
    def undelivered(self) -> list[Undelivered]:
        """Everything that has not reached the phone."""
        platform = self._engine.worker.platform
        missed = map(platform.messages.get, platform.inboxes.get(self.number).missed)
        return [Undelivered(one.body, one.sender or "", one.error_code) for one in missed if one is not None]

    @property
    def has_opted_out(self) -> bool:
        """Whether the person is on the opt-out list of the first Service."""
        worker = self._engine.worker
        facts = worker.contacts.facts_now(self._engine.service, contact_of(self.number))
        return self._engine.run(facts).opted_out

    @property
    def conversation(self) -> StoredConversation | None:
        """The conversation with the first Service: ``step``, ``state``, ``is_expired``; None for none."""
        return self._stored()[1]

    @property
    def contact(self) -> HandlerContact:
        """What handlers have stored of the person for the first Service: ``language`` and ``attributes``."""
        return HandlerContact(contact_of(self.number), self._stored()[0].contact.profile)

    def _stored(self) -> tuple[ContactSummary, StoredConversation | None]:
        engine, table = self._engine, self._engine.worker.contacts.table
        client, at = engine.project.client, int(engine.loop.wall_time() * 1000)
        return read_stored_contact(client, engine.service, contact_of(self.number), table, at)

    @at_the_team_s_line
    def set_contact(
        self, *, language: str | None = None, attributes: Mapping[str, AttributeValue] | None = None
    ) -> None:
        """Store the person's language and attributes, in place of those before.

        Raises:
            ProfileError: when they cannot be stored.

        """
        engine, contact = self._engine, self.contact
        contact.language, contact.attributes = language, dict(attributes or {})
        call = scripts.store_profile(
            scope=engine.service,
            contact=contact.number,
            changes=json.dumps(contact.changes()),
            max_size=MAX_PROFILE_BYTES,
            ttl_ms=engine.worker.contacts.table.max_ttl_ms,
        )
        engine.run(engine.worker.store.run(call))

    @at_the_team_s_line
    def begin(self, step: str | Callable[..., object], state: Mapping[str, Any] | None = None) -> None:
        """Put the person into the middle of a conversation with the first Service.

        Args:
            step: takes the next text: its name, or its function.
            state: of the conversation.

        Raises:
            ConversationError: when there is no such step, or the state cannot be stored.

        """
        worker, contact = self._engine.worker, contact_of(self.number)
        conversations = worker.dispatcher.conversations
        assert conversations is not None, "the project has no @step"
        conversation = Conversation(None, conversations.policy.expires_after)
        conversation.state = dict(state or {})
        conversation.finish(Reply(then=step).next_step, conversations.steps, is_declared=True)
        key, stored, valid_ms, ttl_ms, timer = conversations.update_for(
            self._engine.service, contact, conversation
        )
        call = start_conversation(
            conversation=key, state=stored, valid_ms=valid_ms, ttl_ms=ttl_ms, timer=timer
        )
        self._engine.run(worker.store.run(call))

    @at_the_team_s_line
    def fail(self, code: int = 30003, *, short_codes_only: bool = False) -> None:
        """Have messages to this phone end as undelivered, with an error code of Twilio's.

        With ``short_codes_only`` the carrier delivers what other senders send.
        """
        carrier = (
            Carrier(name="test", reaches_short_codes=False, short_code_error=code)
            if short_codes_only
            else Carrier(name="test", drops={code: 1.0})
        )
        self._engine.worker.platform.phonebook.change(self.number, None, carrier)

    def recover(self) -> None:
        """Have messages to this phone be delivered again."""
        phonebook = self._engine.worker.platform.phonebook
        phonebook.change(self.number, PhoneState.ON, Carrier(name="test"))


class SmsClock:
    """The time of the router, of Twilio and of Redis; it begins at the present."""

    def __init__(self, engine: OfflineEngine) -> None:
        self._engine = engine

    def now(self) -> datetime:
        """Return the time in the first Service's time zone."""
        return self._engine.worker.settings.time_zones.local_time(
            self._engine.service, self._engine.loop.wall_time()
        )

    @at_the_team_s_line
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
            self._engine.go_back(seconds)
        else:
            self._engine.pass_time(seconds)

    @at_the_team_s_line
    def tick(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass; what is due meanwhile happens, in its order."""
        delta = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._engine.pass_time(delta.total_seconds())


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

    def __init__(self, load_project: Callable[[], Project]) -> None:
        super().__init__(OfflineEngine(load_project), DEFAULT_CONTACT)
        self.clock = SmsClock(self._engine)

    def phone(self, number: str) -> SmsPhone:
        """Return the phone of another person."""
        return SmsPhone(self._engine, number)

    @at_the_team_s_line
    def provide(self, **values: object) -> None:
        """Replace what ``@lifespan`` and ``@provide`` functions, or middlewares, give to handlers.

        A ``@lifespan`` function does not run where its value was replaced before the first text.
        """
        self._engine.provide(values)

    @at_the_team_s_line
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
        urgent: bool = False,
    ) -> Sent | OptedOut | Duplicate | Refused:
        """Send a message that is no reply, as ``sms.send`` in a handler and ``POST /v1/messages`` do."""
        engine, sms = self._engine, self._engine.worker.sms_for("test")
        engine.errors.found.clear()
        options: dict[str, Any] = {"at": at, "key": key, "then": then, "state": state, "urgent": urgent}
        result = engine.run(sms.send(to, reply, service=service, **options))
        engine.finish()
        return result

    @at_the_team_s_line
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
        return self._engine.worker.http.add(url, answer, status, content_type)

    def close(self) -> None:
        """Stop the worker."""
        self._engine.close()
