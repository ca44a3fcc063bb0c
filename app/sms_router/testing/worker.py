"""A worker in the process of a test: its parts are real, its Twilio is the sandbox, no socket is opened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import redis
from starlette.types import ASGIApp, Message

from sms_router.application import Worker
from sms_router.cli.senders.pools import sandbox_snapshot
from sms_router.config.settings import Settings
from sms_router.delivery.message import Accepted, OutboundSms, Rejected, SendResult
from sms_router.delivery.twilio_sender import TwilioSender
from sms_router.membership.source import ServiceSource
from sms_router.routing.upstream import http_client
from sms_router.routing.upstream.forward_rule import Target
from sms_router.routing.upstream.models import Fetch, UpstreamFailure, UpstreamRequest, UpstreamResponse
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.outbound import MessageDraft
from sms_router.sandbox.state.messages import Direction
from sms_router.sandbox.webhooks.client import WebhookCall, WebhookClient
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.webhooks.page import FetchFailure, WebhookPage, WebhookTarget
from sms_router.sandbox.world.errors import ApiRejection
from sms_router.sandbox.world.world import World
from sms_router.store.errors import ScriptFailedError
from sms_router.store.keys import TEST_CLOCK
from sms_router.store.scripts import Call
from sms_router.store.store import Store
from sms_router.testing.http import OfflineHttpClient
from sms_router.testing.virtual_loop import VirtualLoop

NEVER = 1e9
"""Seconds."""


class OfflineStore(Store):
    """Runs scripts at once, on a server whose time is the loop's."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float]) -> None:
        super().__init__("redis://offline")
        self.run = self._run_now
        self._client = client
        self._clock = clock
        self._written = 0.0

    async def _run_now(self, call: Call, time_limit: float | None = None) -> Any:  # noqa: ARG002 (as `run`)
        script, keys, arguments = call
        now = self._clock()
        if now != self._written:
            self._written = now
            self._client.delete(TEST_CLOCK)
            self._client.rpush(TEST_CLOCK, *divmod(round(now * 1_000_000), 1_000_000))
        source = script.source.replace(b"call('TIME')", b"call('LRANGE','%b',0,1)" % TEST_CLOCK)
        try:
            return self._client.execute_command("EVAL", source, len(keys), *keys, *arguments)
        except redis.ResponseError as error:
            raise ScriptFailedError(str(error)) from error


class _Clock:
    """The sandbox's clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._loop.wall_time(), UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Webhooks(WebhookClient):
    """Calls the worker's webhooks without a connection, and nothing else."""

    def __init__(self, world: World, identifiers: Identifiers, public_url: str) -> None:
        super().__init__(world.auth_token, identifiers, ConnectionPolicy())
        self._public_url = public_url
        self.applications: Mapping[str, ASGIApp] = {}

    async def _fetch(self, target: WebhookTarget, call: WebhookCall) -> WebhookPage | FetchFailure:
        signed = self._signer.sign(target.method, target.url, call.parameters, call.idempotency_token)
        parts = urlsplit(signed.url)
        path = signed.url.removeprefix(self._public_url).partition("?")[0]
        application = self.applications.get(path)
        if application is None:
            return FetchFailure(11205, f"a test connects to nothing, and not to {target.url}", target.url)
        headers = {**signed.headers, "Host": parts.netloc}
        scope = {
            "type": "http",
            "method": signed.method.value,
            "path": path,
            "raw_path": path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": signed.body or b""}

        async def send(message: Message) -> None:
            sent.append(message)

        await application(scope, receive, send)
        status: int = sent[0]["status"]
        if status >= 400:
            return FetchFailure(11200, f"HTTP {status}", target.url, status)
        media_type = dict(sent[0]["headers"]).get(b"content-type", b"").decode().partition(";")[0]
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return WebhookPage(target.url, status, media_type, body)


class _Sender(TwilioSender):
    """Hands messages to the sandbox in place of Twilio's API."""

    platform: Platform

    async def send(self, message: OutboundSms) -> SendResult:
        draft = MessageDraft(
            message.recipient, message.sender, message.service_sid, message.text, message.media
        )
        accepted = self.platform.outbound.send(draft, Direction.API, message.status_url)
        if isinstance(accepted, ApiRejection):
            return Rejected(accepted.code, accepted.message)
        return Accepted(accepted.message.sid)


class OfflineWorker(Worker):
    """One worker and its Twilio, on an empty Redis; construct and run it in the loop."""

    def __init__(self, settings: Settings, world: World, client: redis.Redis, loop: VirtualLoop) -> None:
        self._client, self.loop, self._world = client, loop, world
        identifiers = Identifiers(1)
        webhooks = _Webhooks(world, identifiers, settings.public_url)
        self.http = OfflineHttpClient()
        self.platform = Platform(world, _Clock(loop), 1, client=webhooks)
        super().__init__(settings)
        self.handlers.http_client = self.http
        webhooks.applications = self.webhooks()
        loop.count_busy_threads = lambda: self.handlers.threads.unfinished

    def _store(self) -> Store:
        return OfflineStore(self._client, self.loop.wall_time)

    def _twilio_sender(self) -> TwilioSender:
        sender = _Sender({account.sid: account.tokens[0] for account in self.settings.accounts}, "", 1)
        sender.platform = self.platform
        return sender

    def _fetch(self) -> Fetch:
        async def fetch(
            target: Target, request: UpstreamRequest, deadline: float
        ) -> UpstreamResponse | UpstreamFailure:
            session = self.http.session()
            sessions = http_client.HttpSessions(session, session, frozenset())
            return await http_client.fetch(sessions, target, request, deadline)

        return fetch

    def _sources(self) -> list[ServiceSource]:
        return [
            ServiceSource(service.sid, partial(sandbox_snapshot, self._world, service.sid))
            for service in self.settings.services
        ]

    @contextlib.asynccontextmanager
    async def running_parts(self) -> Any:
        """Start what answers messages; nothing is refreshed, because nothing else changes anything."""
        async with contextlib.AsyncExitStack() as parts:
            stop = parts.push_async_callback
            for part in (self.handlers, self.redis, self.durable_writer, self.inbox, self.sticky_senders):
                stop(part.aclose)
            stop(self.forwarder.aclose)
            parts.callback(self.twilio_sender.close)
            self.inbox.start()
            self.membership.redis_error = "it is not shared"
            for service in self.settings.services:
                await self.membership.refresh(service.sid)
            await self.handlers.start(parts)
            self.outbox_worker.poll_interval = NEVER
            self.outbox_worker.start(self.outbox_handler)
            yield
