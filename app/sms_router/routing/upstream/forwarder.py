"""Forwards texts to upstreams: other applications that answer them as they would answer Twilio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.inspection import HandlerError
from sms_router.routing.handler.reply import HandlerForward, Reply, ReplyFailed
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.endpoint import EndpointPool, EndpointStatus
from sms_router.routing.upstream.forward_rule import Forward, ForwardModel, is_loop
from sms_router.routing.upstream.models import Fetch, Headers, UpstreamFailure
from sms_router.routing.upstream.recipients import resolve_recipients
from sms_router.routing.upstream.session import MAX_MESSAGES, TwimlSession
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml_parser import EMPTY_PAGE

if TYPE_CHECKING:
    from sms_router.routing.upstream.http_client import HttpSessions

log = logging.getLogger("sms_router.upstream")

PRIMARY_SHARE = 0.6
"""The share of the remaining time that the primary URL gets where there is a fallback."""

RESERVE = 0.2
"""Seconds of the remaining time, at most a tenth of it, that are kept for composing the reply."""

HANDLER_TIMEOUT = 15.0
"""Seconds that an application gets where a handler forwards to it, as many as Twilio gives it (facts 1.4)."""

MAX_LOGGED_WARNINGS = 1000
"""Warnings that are kept in memory, so that each is logged once."""


@dataclass(slots=True, eq=False)
class Forwarder:
    """Forwards texts; one in each worker."""

    auth_tokens: Mapping[str, str]
    """The secret that signs the requests for each account, by AccountSid."""
    contacts: Contacts
    cookies: CookieStore
    public_url: str
    """The router's own, to which nothing is forwarded."""
    endpoints: EndpointPool
    private_hosts: frozenset[str] = frozenset()
    """Hosts, or ``host:port``, that URLs from Twilio's side may lead to although their addresses are not
    public."""
    fetch: Fetch | None = None
    """Fetches pages; None for aiohttp."""
    _start_lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _http_sessions: HttpSessions | None = field(default=None, init=False)
    _logged: set[str] = field(default_factory=set, init=False)

    async def start(self) -> Fetch:
        """Import aiohttp and open its session, once; `forward` calls it, too, if needed."""
        async with self._start_lock:
            if self.fetch is None:
                # In a thread, because aiohttp is slow to import.
                client = await asyncio.to_thread(import_module, "sms_router.routing.upstream.http_client")
                self._http_sessions = client.open_sessions(self.private_hosts)
                self.fetch = partial(client.fetch, self._http_sessions)
            return self.fetch

    async def aclose(self) -> None:
        if self._http_sessions is not None:
            await self._http_sessions.aclose()

    def statuses(self) -> tuple[EndpointStatus, ...]:
        return self.endpoints.statuses()

    async def forward_for_handler(self, target: HandlerForward, message: InboundMessage) -> Reply:
        """Forward a text for a handler and return the reply.

        Raises:
            HandlerError: when the URL cannot be called, or the application fails.

        """
        try:
            forward = ForwardModel(url=target.url, fallback_url=target.fallback_url).build()
        except ValueError as error:
            raise HandlerError(f"Forward: {target.url!r:.80} cannot be called: {error}") from error
        reply = await self.forward(forward, message, time.monotonic() + HANDLER_TIMEOUT)
        if isinstance(reply, ReplyFailed):
            raise HandlerError(reply.cause)
        return reply

    async def forward(
        self, forward: Forward, message: InboundMessage, deadline: float, headers: Headers = ()
    ) -> Reply | ReplyFailed:
        """Forward a text and return the reply of the upstream, else of its fallback.

        ``deadline`` is of the monotonic clock, in seconds; the call ends before it. ``headers`` are those of
        Twilio's request.
        """
        if (auth_token := self.auth_tokens.get(message.account_sid)) is None:
            return ReplyFailed(f"no auth token for {message.account_sid}: add it to [[accounts]]")
        if is_loop(forward.primary.url, self.public_url):
            return ReplyFailed(f"forwarded to {forward}: this is the router's own URL; use the application's")
        now = time.monotonic()
        deadline -= min(RESERVE, (deadline - now) * 0.1)
        if deadline <= now:
            return ReplyFailed(f"forwarded to {forward}: no time was left")
        cookies = await self.cookies.load(message.contact, message.recipient)
        fetch = self.fetch or await self.start()
        session = TwimlSession(fetch, self.endpoints, forward, message, auth_token, cookies, headers)
        try:
            return await self._run(session, deadline)
        except Exception as error:
            log.exception("forwarding to %s failed", forward)
            return ReplyFailed(f"forwarded to {forward}: {type(error).__name__}")
        finally:
            self._log_warnings(session.warnings)

    async def _run(self, session: TwimlSession, deadline: float) -> Reply | ReplyFailed:
        forward, message = session.forward, session.message
        failures = await _call_with_fallback(session, deadline)
        for failure in failures:
            if failure.is_called and failure.code != EMPTY_PAGE:
                log.warning("forwarding failed: %s", failure)
        await self.cookies.save(message.contact, message.recipient, session.cookies)
        notes = [f"forwarded to {failure}" for failure in failures]
        if len(failures) == 1 + (forward.fallback is not None) and failures[-1].code != EMPTY_PAGE:
            return ReplyFailed("; ".join(notes))
        answered_by = (forward.fallback or forward.primary) if failures else forward.primary
        messages = session.messages[:MAX_MESSAGES]
        parts, omissions = await resolve_recipients(messages, message, self.contacts)
        return Reply(parts=parts, notes=(*notes, f"answered by {answered_by.url}", *omissions))

    def _log_warnings(self, warnings: list[str]) -> None:
        """Log what is ignored in an upstream's TwiML, each warning once."""
        for warning in warnings:
            if warning not in self._logged and len(self._logged) < MAX_LOGGED_WARNINGS:
                self._logged.add(warning)
                log.warning("%s", warning)


async def _call_with_fallback(session: TwimlSession, deadline: float) -> list[UpstreamFailure]:
    """Call the upstream, and its fallback if that fails; return the failures of both."""
    forward = session.forward
    fallback = forward.fallback
    primary_deadline = _slice(forward, deadline, PRIMARY_SHARE if fallback else 1.0)
    failure = await session.run(forward.primary, primary_deadline)
    if failure is None or fallback is None:
        return [failure] if failure is not None else []
    error = {"ErrorCode": str(failure.code), "ErrorUrl": failure.url.called}
    second = await session.run(fallback, _slice(forward, deadline, 1.0), error)
    return [failure] if second is None else [failure, second]


def _slice(forward: Forward, deadline: float, share: float) -> float:
    """Return the deadline of one call, which gets a share of the remaining time."""
    now = time.monotonic()
    seconds = (deadline - now) * share
    return now + (seconds if forward.timeout is None else min(seconds, forward.timeout))
