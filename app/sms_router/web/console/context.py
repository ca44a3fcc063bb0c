"""What the pages ask: the parts of the running worker, and the store behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis import Redis

from sms_router.config.models import Privacy
from sms_router.config.settings import Settings
from sms_router.membership.membership import Membership
from sms_router.routing.contacts.contact import Contact
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.summary import ContactSummary, stored_person
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.availability import Availability
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.rate_limits import RateLimiter
from sms_router.web.console.endings import RevokedSessions
from sms_router.web.console.store_executor import StoreExecutor


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """Everything that the console looks at; nothing here is its own but the archive and the endings."""

    settings: Settings
    archive: StoreExecutor
    endings: RevokedSessions
    membership: Membership
    dispatcher: Dispatcher
    composer: Composer
    people: Contacts
    availability: Availability
    rates: RateLimiter
    failures: FailureMonitor
    reasons: Callable[[], Sequence[str]]
    """Why the router is degraded; empty while it is well."""
    notices: Callable[[], Sequence[str]]
    clock: Callable[[], float]
    """Seconds since the epoch."""

    @property
    def open(self) -> bool:
        """Whether the configuration lets everybody see numbers and texts in full."""
        return self.settings.router.privacy is Privacy.OPEN

    @property
    def account_sids(self) -> tuple[str, ...]:
        """The accounts whose messages may be looked at."""
        return tuple(account.sid for account in self.settings.accounts)

    @property
    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock() * 1000)

    async def acquaintance(self, scope: str, number: str) -> ContactSummary:
        """Return what is known of a person now.

        Raises:
            StoreUnavailableError: when it cannot be known.

        """
        table = self.people.table

        def read(client: Redis) -> Contact:
            return stored_person(client, scope, number)

        return ContactSummary(await self.archive.ask(read), table, self.now)
