"""What the pages ask: the parts of the running worker, and the store behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from redis import Redis

from app.membership.cache import Membership
from app.router_file import Privacy
from app.routing.acquaintance import Acquaintance
from app.routing.composing import Composer
from app.routing.dispatch import Dispatcher
from app.routing.opt_out_list import OptOutList
from app.routing.people import People
from app.routing.person import Person
from app.senders.availability import Availability
from app.senders.failures import Failures
from app.senders.rates import Rates
from app.settings import Settings
from app.web.console.archive import Archive
from app.web.console.endings import Endings


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that the console looks at; nothing here is its own but the archive and the endings."""

    settings: Settings
    archive: Archive
    endings: Endings
    membership: Membership
    dispatcher: Dispatcher
    composer: Composer
    people: People
    availability: Availability
    rates: Rates
    failures: Failures
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

    async def acquaintance(self, scope: str, number: str) -> Acquaintance:
        """Return what is known of a person now.

        Raises:
            StoreUnavailableError: when it cannot be known.

        """
        table = self.people.table

        def read(client: Redis) -> Person:
            return OptOutList(client, table.longest).person(scope, number)

        return Acquaintance(await self.archive.ask(read), table, self.now)
