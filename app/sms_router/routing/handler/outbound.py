"""Messages that are no replies: what handlers declare as ``sms``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sms_router.routing.handler.reply import Reply


@dataclass(frozen=True, slots=True)
class Sent:
    """The message is stored, and leaves when it is due."""

    sid: str
    """Under which ``sms-router messages show`` lists it."""
    at: datetime
    """When it leaves."""


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The contact has opted out: nothing is sent."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A message with this key was sent to the contact before: nothing is sent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is sent."""

    reason: str


class Sms(Protocol):
    """Sends messages that are no replies."""

    async def send(
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
        """Send a message to a contact, now or later.

        It passes the opt-out list, now and when it is due, and leaves from a sender of the Service through
        the outbox: at most once, even if workers are lost.

        Args:
            to: the contact's number in E.164, or ``channel:address``.
            reply: a text, or a `Reply`.
            service: the Messaging Service; without one, that of the message or event that is handled.
            at: when; a time without a zone is one of the Service's. At most 400 days from now.
            key: a message with the same key is sent to the contact once; `cancel` takes it too. Without one,
                a handler that is run again sends nothing twice.
            then: the step that takes the contact's answer: its name, or its function.
            state: of the conversation that begins with it.
            urgent: it does not wait for the end of ``quiet_hours``.

        """
        ...

    async def cancel(self, to: str, key: str, *, service: str | None = None) -> bool:
        """Cancel a message that waits; return whether there was one."""
        ...
