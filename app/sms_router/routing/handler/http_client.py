"""HTTP for handlers that declare ``http``: one session per worker, with limits.

aiohttp is imported when such a handler is loaded: most routers do not need it, and it takes 8 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT = 5.0
"""Seconds."""

TOTAL_TIMEOUT = 30.0
"""Seconds for a whole call, unless the handler passes another timeout."""

MAX_CONNECTIONS = 100
"""Connections of all handlers of one worker; further calls wait."""


class HandlerHttpClient:
    """The HTTP session of one worker's handlers; it is opened when the first of them runs."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the session, which all handlers share.

        It stores no cookies, because a cookie of one contact must not be sent for another.
        """
        if self._session is None:
            import aiohttp  # noqa: PLC0415 - slow to import

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            )
        return self._session

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
