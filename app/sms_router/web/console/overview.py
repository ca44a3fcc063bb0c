"""``/console`` and ``/console/sessions``: the router's health, the newest messages, and who is logged in."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import Response

from sms_router.membership.service_state import ServiceStatus, SnapshotOrigin
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.auth import ConsoleRequest, Done
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.message_rows import Badge, build_row
from sms_router.web.console.rendering import PageError, Pages
from sms_router.web.console.sessions import StoredSession, stored_sessions

NEWEST_MESSAGES = 8


class ServiceRow(NamedTuple):
    """One Messaging Service."""

    name: str
    status: ServiceStatus
    badge: Badge


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """The first page; it needs neither Redis nor Twilio."""

    context: ConsoleContext
    pages: Pages

    async def show(self, request: ConsoleRequest) -> Response:
        context = self.context
        newest: list[MessageRecord] = []
        failures: int | None = None
        store_error = ""
        try:
            newest, failures = await context.executor.run_with_client(_read_history)
        except StoreUnavailableError as error:
            store_error = str(error)
        return self.pages.show(
            "overview.html",
            request.session,
            reasons=context.degraded_reasons(),
            notices=context.notices(),
            services=[self._service_row(status) for status in context.membership.statuses()],
            cordons=context.membership.cordons.active,
            failing=context.failure_monitor.failing(),
            rows=[build_row(record, context.settings.is_open) for record in newest],
            failures=failures,
            suspected=context.contacts.suspected,
            store_error=store_error,
        )

    def _service_row(self, status: ServiceStatus) -> ServiceRow:
        snapshot = self.context.membership.snapshot(status.service_sid)
        return ServiceRow(snapshot.settings.friendly_name if snapshot else "", status, _badge(status))


def _read_history(client: Redis) -> tuple[list[MessageRecord], int]:
    history = HistoryReader(client)
    return history.page(NEWEST_MESSAGES).records, history.count_failed()


def _badge(status: ServiceStatus) -> Badge:
    if status.origin is SnapshotOrigin.NOTHING:
        return Badge("not known yet", "bad")
    if status.stale:
        return Badge("stale", "bad")
    return Badge("last refresh failed", "odd") if status.failure else Badge("up to date", "good")


log = logging.getLogger("sms_router.console")


@dataclass(frozen=True, slots=True)
class SessionPages:
    """The list of logins, and its form."""

    context: ConsoleContext
    pages: Pages

    async def show(self, request: ConsoleRequest) -> Response:
        return self.pages.show("sessions.html", request.session, sessions=await self._read())

    async def end(self, request: ConsoleRequest) -> Response:
        digest = request.path_parameter("digest")
        session = next((each for each in await self._read() if each.digest == digest), None)
        if session is None:
            raise PageError(404, "This session has ended already.")
        await self.context.sessions.end(session.digest, session.expires)
        log.info("the session %s from %s was ended", session.name, session.address)
        return Done("/console/sessions", "The session has ended, on every router at once.")

    async def _read(self) -> list[StoredSession]:
        return await self.context.executor.run_with_client(
            lambda client: stored_sessions(client, self.context.clock())
        )
