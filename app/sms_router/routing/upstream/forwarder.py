"""The upstreams of one worker: a text goes out, a reply or the reason for none comes back (design 9)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.endpoint import EndpointPool, EndpointStatus
from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.routing.upstream.forward_rule import Forward, is_loop
from sms_router.routing.upstream.models import Fetch, Headers
from sms_router.routing.upstream.recipients import resolve_recipients
from sms_router.routing.upstream.session import MOST_MESSAGES, TwimlSession
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml_parser import EMPTY_PAGE

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("sms_router.upstream")

PRIMARY_SHARE = 0.6
"""Of the time that is left, where there is a fallback too."""

RESERVE = 0.2
"""Seconds, a tenth of what is left at the most, that remain for choosing the sender."""

MOST_TOLD = 1000
"""Warnings that are remembered, so that each is logged once."""


class Forwarder:
    """Asks upstreams about texts."""

    def __init__(
        self, tokens: Mapping[str, str], people: Contacts, cookies: CookieStore, public_url: str, room: int
    ) -> None:
        """Take the auth token that signs for each account, and how many calls one origin gets at once.

        ``public_url`` is the router's own, to which nothing is forwarded.
        """
        self._own = public_url
        self._tokens = tokens
        self._people = people
        self._cookies = cookies
        self._lines = EndpointPool(room)
        self._starting = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self._fetch: Fetch | None = None
        self._told: set[str] = set()

    async def start(self) -> Fetch:
        """Load aiohttp and open the session; connections are made when they are needed.

        A text that is forwarded before does it for all; where nothing is forwarded, nobody does.
        """
        async with self._starting:
            if self._fetch is None:
                fetching = await asyncio.to_thread(_load_fetching)
                self._session = fetching.open_session()
                self._fetch = partial(fetching.fetch, self._session)
            return self._fetch

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def statuses(self) -> tuple[EndpointStatus, ...]:
        """Return what probes and metrics tell of each origin."""
        return self._lines.statuses()

    async def forward(
        self, forward: Forward, message: InboundMessage, until: float, headers: Headers = ()
    ) -> Reply | ReplyFailed:
        """Return what the upstream answers, or else its fallback, before ``until`` (monotonic clock).

        ``headers`` are those of Twilio's request.
        """
        token = self._tokens.get(message.account_sid)
        if token is None:
            return ReplyFailed(f"no auth token signs for {message.account_sid}: add it to [[accounts]]")
        if is_loop(forward.primary.url, self._own):
            return ReplyFailed(f"forwarded to {forward}: that is this router; name the application's own URL")
        now = time.monotonic()
        until -= min(RESERVE, (until - now) * 0.1)
        if until <= now:
            return ReplyFailed(f"forwarded to {forward}: no time was left")
        jar = await self._cookies.of(message.sender, message.recipient)
        fetch = self._fetch or await self.start()
        exchange = TwimlSession(fetch, self._lines, forward, message, token, jar, headers)
        try:
            return await self._answered(exchange, until)
        except Exception as error:
            log.exception("forwarding to %s failed", forward)
            return ReplyFailed(f"forwarded to {forward}: {type(error).__name__}")
        finally:
            self._log_warnings(exchange.warnings)

    async def _answered(self, exchange: TwimlSession, until: float) -> Reply | ReplyFailed:
        forward, message = exchange.forward, exchange.message
        failures = await _call_with_fallback(exchange, until)
        for failure in failures:
            if failure.called and failure.code != EMPTY_PAGE:
                log.warning("forwarding failed: %s", failure)
        await self._cookies.keep(message.sender, message.recipient, exchange.jar)
        told = [f"forwarded to {failure}" for failure in failures]
        if len(failures) == 1 + (forward.fallback is not None) and failures[-1].code != EMPTY_PAGE:
            return ReplyFailed("; ".join(told))
        answering = (forward.fallback or forward.primary) if failures else forward.primary
        parts, remarks = await resolve_recipients(exchange.found[:MOST_MESSAGES], message, self._people)
        return Reply(parts=parts, notes=(*told, f"answered by {answering.url}", *remarks))

    def _log_warnings(self, warnings: list[str]) -> None:
        """Log what was passed over in an upstream's TwiML, each of it once."""
        for warning in warnings:
            if warning not in self._told and len(self._told) < MOST_TOLD:
                self._told.add(warning)
                log.warning("%s", warning)


def _load_fetching() -> ModuleType:
    from sms_router.routing.upstream import http_client as fetching  # noqa: PLC0415 - slow to import

    return fetching


async def _call_with_fallback(exchange: TwimlSession, until: float) -> list[UpstreamFailure]:
    """Ask the upstream, and its fallback when that failed; return the failures."""
    forward = exchange.forward
    fallback = forward.fallback
    failure = await exchange.run(forward.primary, _slice(forward, until, PRIMARY_SHARE if fallback else 1.0))
    if failure is None or fallback is None:
        return [failure] if failure is not None else []
    error = {"ErrorCode": str(failure.code), "ErrorUrl": failure.url.called}
    second = await exchange.run(fallback, _slice(forward, until, 1.0), error)
    return [failure] if second is None else [failure, second]


def _slice(forward: Forward, until: float, share: float) -> float:
    """Return when a try must end."""
    now = time.monotonic()
    seconds = (until - now) * share
    return now + (seconds if forward.timeout is None else min(seconds, forward.timeout))
