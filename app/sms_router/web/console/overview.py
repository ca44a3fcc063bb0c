"""``/console`` and ``/console/sessions``: the router's health, the newest messages, and who is logged in."""

from __future__ import annotations

import logging

from redis import Redis
from starlette.responses import Response

from sms_router.membership.service_state import ServiceStatus, SnapshotOrigin
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.store.errors import StoreUnavailableError
from sms_router.web.console.auth import ConsolePages, ConsoleRequest, Done
from sms_router.web.console.message_rows import Badge, build_row
from sms_router.web.console.rendering import PageError
from sms_router.web.console.sessions import StoredSession, stored_sessions

NEWEST_MESSAGES = 8


class OverviewPage(ConsolePages):
    """The first page; it needs neither Redis nor Twilio."""

    async def show(self, request: ConsoleRequest) -> Response:
        context = self.context
        newest: list[MessageRecord] = []
        failures: int | None = None
        store_error = ""
        try:
            newest, failures = await context.executor.run_with_client(_read_history)
        except StoreUnavailableError as error:
            store_error = str(error)
        return self.render(
            request,
            "overview.html",
            reasons=context.health.degraded_reasons(),
            notices=context.health.notices(),
            services=[(name, status, _badge(status)) for name, status, _ in context.services()],
            cordons=context.membership.cordons.active,
            failing=context.failure_monitor.failing(),
            rows=[build_row(record, context.settings.is_open) for record in newest],
            failures=failures,
            suspected=context.contacts.suspected,
            store_error=store_error,
        )


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


class SessionPages(ConsolePages):
    """The list of logins, and its form."""

    async def show(self, request: ConsoleRequest) -> Response:
        return self.render(request, "sessions.html", sessions=await self._read())

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
