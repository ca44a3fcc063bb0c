"""Events: what handlers with ``@on`` are called for, and how one is stored until it is handled."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlencode

from sms_router.delivery.entry import EVENT, OutboxEntry
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.reactions import Reaction, parse_reaction

if TYPE_CHECKING:
    from sms_router.store.scripts import RaisedEvent

EventKind = Literal["opted_out", "opted_in", "delivered", "undelivered", "expired", "reaction"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)

PARAMETER = "Event"
"""The parameter with the kind, of a record that stands for an event."""

MAX_TEXT = 1600


@dataclass(frozen=True, slots=True)
class HandlerEvent:
    """What has happened to a contact.

    Attributes:
        kind: as in ``@on``.
        id: the same however often the event is handled.
        at: when it happened.
        contact: the number, or ``channel:address``.
        service: the sid of the Messaging Service; None outside of Services.
        sender: our number; empty where the event belongs to none.
        message_sid: of the message that was delivered or not, or of the contact's text; None without one.
        answers: the sid of the text that the message answers, or `Sent.sid`.
        text: what the contact has texted.
        error_code: of a message that was not delivered.
        reason: of an opt-out or opt-in: the keyword, Twilio's error code, or what an operator wrote.
        step: that waited in a conversation that has expired.
        state: of that conversation.

    """

    kind: EventKind
    id: str
    at: datetime
    contact: str
    service: str | None = None
    sender: str = ""
    message_sid: str | None = None
    answers: str | None = None
    text: str = ""
    error_code: int | None = None
    reason: str = ""
    step: str | None = None
    state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reaction(self) -> Reaction | None:
        """What a ``reaction`` refers to."""
        return parse_reaction(self.text)

    @classmethod
    def of(cls, message: InboundMessage) -> HandlerEvent | None:
        """Return the event for which a stored record stands; None for a message."""
        kind: Any = message.parameters.get(PARAMETER)
        if kind not in EVENT_KINDS:
            return None
        value = message.parameters.get
        code = value("ErrorCode", "")
        return cls(
            kind,
            message.sid,
            datetime.fromtimestamp(int(value("At", "0")) / 1000, UTC),
            message.sender,
            message.service_sid,
            "" if message.recipient == message.service_sid else message.recipient,
            value("About") or None,
            value("Answers") or None,
            message.body,
            int(code) if code.isdecimal() else None,
            value("Reason", ""),
            value("Step") or None,
            json.loads(value("State", "{}")),
        )


@dataclass(frozen=True, slots=True)
class EventRecorder:
    """Makes the record of an event, where a handler takes its kind.

    Attributes:
        kinds: that handlers take.
        accounts: the account of each Service; the first one for what belongs to none.
        retention_days: how long a record is stored.

    """

    kinds: Collection[str] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    retention_days: float = 7

    def record(
        self,
        kind: str,
        scope: str,
        contact: str,
        unique: str,
        at: int,
        *,
        account: str = "",
        to: str = "",
        text: str = "",
        **more: str,
    ) -> RaisedEvent:
        """Return what a script stores of an event; `NO_EVENT` where no handler takes it.

        ``unique`` makes it another event than others of the kind and contact; ``at`` is in milliseconds
        since the epoch. ``account`` is that of the Service where it is not given, ``to`` our number,
        ``text`` the contact's. ``more`` are further parameters.
        """
        from sms_router.store.scripts import NO_EVENT  # noqa: PLC0415 (Redis, which a handler file does not import)

        if kind not in self.kinds:
            return NO_EVENT
        foreign, _, number = scope.rpartition("/")
        account = account or foreign or self.accounts.get(scope) or next(iter(self.accounts.values()), "")
        sid = f"SM{sha256(f'{kind} {scope} {contact} {unique}'.encode()).hexdigest()[:32]}"
        service = {"MessagingServiceSid": scope} if scope.startswith("MG") else {}
        parameters = {
            "MessageSid": sid,
            "AccountSid": account,
            **service,
            "From": contact,
            "To": to or number,
            "Body": text[:MAX_TEXT],
            PARAMETER: kind,
            "At": str(at),
            **{name: value for name, value in more.items() if value},
        }
        entry = OutboxEntry(f"{account}/{sid}", EVENT, scope, contact)
        return entry.line, urlencode(parameters).encode(), int(self.retention_days * 86_400_000)
