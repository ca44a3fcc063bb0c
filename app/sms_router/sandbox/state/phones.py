"""The phones: their present state, and the messages that they received."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sms_router.sandbox.world.world import Carrier, Phone, PhoneState, World

MAX_PHONES = 100_000
MAX_MESSAGES_PER_PHONE = 200


class Phonebook:
    """The state and carrier of each phone; one that is not listed is on the default carrier."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._phones = dict(world.phones)

    @property
    def carriers(self) -> Mapping[str, Carrier]:
        return self._world.carriers

    @property
    def listed(self) -> Iterable[Phone]:
        """The phones that the configuration lists, or that were changed since."""
        return self._phones.values()

    def phone(self, number: str) -> Phone:
        return self._phones.get(number) or self._world.phone(number)

    def change(self, number: str, state: PhoneState | None, carrier: Carrier | None) -> Phone:
        """Change a phone's state, its carrier, or both; None leaves it as it is."""
        phone = self.phone(number)
        phone = replace(phone, state=state or phone.state, carrier=carrier or phone.carrier)
        self._phones[number] = phone
        return phone


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message on a phone; a later redaction at Twilio does not change it."""

    sid: str
    sender: str
    body: str
    media: tuple[str, ...]
    received: datetime


@dataclass(frozen=True, slots=True)
class PhoneInbox:
    """One phone's messages, oldest first, and the sids of those that did not reach it."""

    received: deque[ReceivedMessage]
    missed: deque[str]


class PhoneInboxes:
    """The inboxes of the last ``MAX_PHONES`` phones that were sent a message."""

    def __init__(self) -> None:
        self._inboxes: OrderedDict[str, PhoneInbox] = OrderedDict()

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(self._inboxes)

    def get(self, number: str) -> PhoneInbox:
        """Return a phone's inbox; it is empty when the phone was sent nothing."""
        return self._inboxes.get(number) or PhoneInbox(deque(), deque())

    def add_received(self, number: str, message: ReceivedMessage) -> None:
        self._created(number).received.append(message)

    def add_missed(self, number: str, sid: str) -> None:
        self._created(number).missed.append(sid)

    def _created(self, number: str) -> PhoneInbox:
        inbox = self._inboxes.get(number)
        if inbox is None:
            inbox = PhoneInbox(deque(maxlen=MAX_MESSAGES_PER_PHONE), deque(maxlen=MAX_MESSAGES_PER_PHONE))
            self._inboxes[number] = inbox
            if len(self._inboxes) > MAX_PHONES:
                self._inboxes.popitem(last=False)
        return inbox
