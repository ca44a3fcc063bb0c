"""``/console``: how the router is, and what came in last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import Response

from sms_router.membership.service_state import Origin, ServiceStatus
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.message_rows import Badge, row_of
from sms_router.web.console.rendering import Pages

NEWEST = 8


class ServiceLine(NamedTuple):
    """One Messaging Service."""

    name: str
    status: ServiceStatus
    badge: Badge


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page: it is shown whatever is away."""

    desk: ConsoleContext
    pages: Pages

    async def show(self, visit: ConsoleRequest) -> Response:
        """Show it."""
        newest, failures, trouble = await self._stored()
        return self.pages.show(
            "overview.html",
            visit.session,
            reasons=self.desk.reasons(),
            notices=self.desk.notices(),
            services=[self._service(status) for status in self.desk.membership.statuses()],
            cordons=self.desk.membership.cordons.active,
            failing=self.desk.failures.failing(),
            rows=[row_of(episode, self.desk.open) for episode in newest],
            failures=failures,
            trouble=trouble,
        )

    async def _stored(self) -> tuple[list[MessageRecord], int | None, str]:
        def read(client: Redis) -> tuple[list[MessageRecord], int]:
            history = HistoryReader(client)
            return history.page(NEWEST).episodes, history.count_failed()

        try:
            newest, failures = await self.desk.archive.ask(read)
        except StoreUnavailableError as error:
            return [], None, str(error)
        return newest, failures, ""

    def _service(self, status: ServiceStatus) -> ServiceLine:
        snapshot = self.desk.membership.snapshot(status.service_sid)
        return ServiceLine(snapshot.settings.friendly_name if snapshot else "", status, _badge(status))


def _badge(status: ServiceStatus) -> Badge:
    if status.origin is Origin.NOTHING:
        return Badge("not known yet", "bad")
    if status.stale:
        return Badge("old", "bad")
    return Badge("last reading failed", "odd") if status.failure else Badge("up to date", "good")
