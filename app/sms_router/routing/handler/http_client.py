"""HTTP for handlers that ask for it: connections that are shared, and bounds that nobody has to think of.

aiohttp is imported when a handler declares ``http``: most routers never need it, and it takes 8 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

CONNECT_WITHIN = 5.0
"""Seconds to a connection."""

DONE_WITHIN = 30.0
"""Seconds for a whole call, unless the handler says otherwise."""

CONNECTIONS = 100
"""For all handlers of one worker at once; further calls wait."""


class HandlerHttpClient:
    """The HTTP session of one worker's handlers; it opens when the first of them runs."""

    def __init__(self) -> None:
        """Open nothing yet: that takes a running loop."""
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the session, which is the same for all.

        It keeps no cookies: what one person was given must not be sent along for another.
        """
        if self._session is None:
            import aiohttp  # noqa: PLC0415

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=DONE_WITHIN, sock_connect=CONNECT_WITHIN),
            )
        return self._session

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
