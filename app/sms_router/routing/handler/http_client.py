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

MAX_BODY_BYTES = 16_777_216
"""Of a response that a handler reads as a whole; ``response.content`` streams larger ones."""

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

            class BoundedResponse(aiohttp.ClientResponse):
                async def read(self) -> bytes:
                    if self._body is None:
                        body = bytearray()
                        try:
                            async for chunk in self.content.iter_any():
                                body += chunk
                                if len(body) > MAX_BODY_BYTES:
                                    raise aiohttp.ClientPayloadError("the response is larger than 16 MB")
                        except BaseException:
                            self.close()
                            raise
                        self._body = bytes(body)
                    return self._body

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                response_class=BoundedResponse,
                timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
