"""``/console/sessions``: who is logged in, and the end of one login."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.responses import Response

from sms_router.web.console.auth import ConsoleRequest, Done
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.rendering import PageError, Pages
from sms_router.web.console.sessions import StoredSession, stored_sessions

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
