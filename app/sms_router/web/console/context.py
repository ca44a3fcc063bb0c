"""The parts of the running worker that the console's pages read."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import phonenumbers

from sms_router.config.settings import Settings
from sms_router.membership.membership import Membership
from sms_router.membership.service_state import ServiceStatus
from sms_router.membership.snapshot import Snapshot
from sms_router.routing.contacts.contact import ContactSummary
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import read_stored_contact
from sms_router.senders.availability import Availability
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.rate_limits import RateLimiter
from sms_router.twilio.phone_numbers import InvalidNumberError, parse_contact
from sms_router.web.console.sessions import SessionRegistry
from sms_router.web.console.store_executor import StoreExecutor
from sms_router.web.health import HealthMonitor


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """What the pages use; the executor and the sessions belong to the console."""

    settings: Settings
    executor: StoreExecutor
    sessions: SessionRegistry
    membership: Membership
    dispatcher: Dispatcher
    rule_warnings: Callable[[], Sequence[str]]
    """What in the rules is probably a mistake; slow for many rules."""
    published_rules: Callable[[], Sequence[str]]
    """Which published version is in use, and which workers use another; empty while none was published."""
    composer: Composer
    contacts: Contacts
    availability: Availability
    rate_limiter: RateLimiter
    failure_monitor: FailureMonitor
    health: HealthMonitor
    clock: Callable[[], float]
    """Seconds since the epoch."""

    @property
    def account_sids(self) -> tuple[str, ...]:
        """The accounts whose messages the console shows."""
        return tuple(account.sid for account in self.settings.accounts)

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock() * 1000)

    def services(self) -> Iterator[tuple[str, ServiceStatus, Snapshot | None]]:
        """Yield the name, the status and the snapshot of each Messaging Service."""
        for status in self.membership.statuses():
            snapshot = self.membership.snapshot(status.service_sid)
            yield snapshot.settings.friendly_name if snapshot is not None else "", status, snapshot

    def parse_contact(self, text: str) -> str:
        """Return the contact of a number; without a country code, it is in the country of the first sender.

        Raises:
            InvalidNumberError: when it is no number of a person.

        """
        try:
            return parse_contact(text)
        except InvalidNumberError:
            senders = [sender for pool in self.membership.pools.values() for sender in pool.senders]
            country = next((sender.country for sender in senders if sender.country), None)
            with contextlib.suppress(phonenumbers.NumberParseException):
                number = phonenumbers.parse(re.sub(r"^\s*00", "+", text), country)
                if phonenumbers.is_possible_number(number):
                    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            raise

    async def read_contact(self, scope: str, number: str) -> tuple[ContactSummary, StoredConversation | None]:
        """Return what is stored of a contact, and their conversation.

        Raises:
            StoreUnavailableError: when Redis cannot be read.

        """
        table, now = self.contacts.table, self.now
        return await self.executor.run_with_client(
            lambda client: read_stored_contact(client, scope, number, table, now)
        )
