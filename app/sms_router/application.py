"""The composition root: Settings in, a Starlette application out. Nothing else constructs these parts."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan

from sms_router.config.models import OnError, ReconcileMode, SignatureMode
from sms_router.config.settings import Settings
from sms_router.delivery.outbox import Outbox
from sms_router.delivery.outbox_worker import OutboxWorker
from sms_router.delivery.twilio_sender import TwilioSender
from sms_router.logs import MaskingFormatter
from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource, twilio_source
from sms_router.membership.sync.failure_sync import FailureSync
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.onboarding.port_watch import SANDBOX_WATCH_INTERVAL, WATCH_INTERVAL, PortWatch
from sms_router.onboarding.sync import OnboardingSync
from sms_router.privacy import mask_numbers
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.dispatch.conversation_steps import ConversationPolicy
from sms_router.routing.dispatch.dispatcher import ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.published import PublishedRulesFile
from sms_router.routing.dispatch.published_sync import PublishedRulesSync
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.dispatch.rule_warnings import KnownSenders
from sms_router.routing.dispatch.ruleset import RuleSetReader
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.events import EventRecorder
from sms_router.routing.handler.reply import Reply
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.history.abandoned_messages import AbandonedMessages
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.history.erasure_receipts import ErasureTask
from sms_router.routing.history.reconciler import Reconciler, ReconcileTask, numbers_of
from sms_router.routing.inbox.inbox import Inbox, is_second_answer
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import ReplyPolicy
from sms_router.routing.pipeline.event_runner import MAX_CONCURRENT_EVENTS, EventRunner
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.outbound_sends import OutboundSends
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.endpoint import EndpointPool
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.routing.upstream.models import Fetch
from sms_router.routing.upstream.number_urls import NumberForwards
from sms_router.routing.upstream.recipients import address_parts
from sms_router.senders.availability import Availability
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.pool import find_pool
from sms_router.senders.rate_limits import RateLimiter
from sms_router.store.connection import RedisReply
from sms_router.store.redis_py import async_client
from sms_router.store.server_check import StoreMonitor
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.message_log import MessageLog
from sms_router.twilio.public_url import PublicUrl
from sms_router.twilio.signature import SignatureVerifier
from sms_router.web import metrics
from sms_router.web.api import MessagesApi
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.routes import routes
from sms_router.web.console.sessions import SessionRegistry
from sms_router.web.console.store_executor import StoreExecutor
from sms_router.web.health import HealthMonitor
from sms_router.web.probes import Probes
from sms_router.web.rejections import RejectionLog, UnroutedWebhookLog
from sms_router.web.routes import WebhookRouter, with_prefix
from sms_router.web.tracing import Tracing
from sms_router.web.webhooks import InboundEndpoint, StatusEndpoint
from sms_router.worker_lifespan import lifespan_of, running_parts

if TYPE_CHECKING:
    from redis import Redis
    from twilio.rest import Client

log = logging.getLogger("sms_router")

RECONCILE_PAUSE = 0.2
"""Seconds between two requests for Twilio's message log, beside which messages are sent."""


def build(settings: Settings) -> Router:
    """Construct the application; nothing is started before its lifespan begins.

    Raises:
        ConfigurationError: when keywords, templates or handlers have mistakes.
        ValueError: when the Redis URL or the public URL is malformed.

    """
    return Worker(settings).router()


class Worker:
    """The parts of one worker, built layer by layer: each layer uses those before it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = {account.sid: account.tokens[0] for account in settings.accounts}
        """By account: the auth token of its REST calls and of requests that are forwarded."""
        self.account_of = {service.sid: service.account for service in settings.services}
        """By Service."""
        self._build_storage()
        self._build_senders()
        self._build_rules()
        self._build_answering()
        self._build_upkeep()

    def _build_storage(self) -> None:
        """Redis, the spool, and the messages in them."""
        settings = self.settings
        self.running_handlers = RunningHandlers(block_limit=settings.router.block_limit)
        self.tracing = Tracing() if settings.server.traces else None
        self.observe = (
            metrics.observe_stage if self.tracing is None else self.tracing.observing(metrics.observe_stage)
        )

        self.store = self._store()
        self.spool = Spool(settings.router.data_dir / "spool")
        self.durable_writer = DurableWriter(self.store, self.spool, _count_second_answer)
        self.clock = ServerClock(self.store, wall=time.time, steady=time.monotonic)
        self.redis = async_client(settings.redis.url, connect_within=2, retry=False)
        self.inbox = Inbox(
            self.store,
            self.durable_writer,
            settings.router.retention_days,
            clock=self.clock,
            running_handlers=self.running_handlers,
        )

    def _build_senders(self) -> None:
        """What is known of senders and contacts."""
        settings, redis, clock = self.settings, self.redis, self.clock
        self.pending = PendingNumbers(lambda: self.membership.pools, clock)
        self.own_numbers: dict[str, str] = {}
        self.tenancy = settings.tenancy(self.own_numbers)
        self.membership = Membership(
            self._sources(),
            redis,
            clock=clock,
            extra_sync=OnboardingSync(redis, self.pending).sync,
            tenancy=self.tenancy,
            own_numbers=self.own_numbers,
        )
        self.rate_limiter = RateLimiter(settings.limits, time.monotonic, calendar=clock)
        self.rate_sync = RateSync(redis, self.rate_limiter, lambda: self.membership.pools, time.monotonic)
        self.availability = Availability(self.membership.cordons, self.rate_limiter, self.pending)
        pool_for, days = self.membership.pool_for, settings.router.consent_retention_days
        self.contacts = Contacts(
            self.store, self.durable_writer, pool_for, ErrorTable({}), clock, days, self.tenancy
        )
        opted_out, max_ttl_ms = self.contacts.opted_out, lambda: self.contacts.table.max_ttl_ms
        self.opt_out_sync = OptOutSync(self.store, opted_out, clock, max_ttl_ms, days)
        self.sticky_senders = StickySenders(self.durable_writer, max_ttl_ms, clock)

    def _build_rules(self) -> None:
        """The handlers and the rules, and where messages are forwarded to."""
        settings, clock, contacts = self.settings, self.clock, self.contacts
        self.handlers = HandlerEnvironment(
            HandlerThreadPool(settings.router.handler_threads), running=self.running_handlers
        )
        registry = HandlerRegistry.load(
            settings.router.handlers,
            self.handlers,
            settings.router.middleware_names,
            ConversationPolicy(**settings.conversations.model_dump()),
        )
        self.forwarder = Forwarder(
            self.tokens,
            contacts,
            CookieStore(self.store, clock),
            settings.public_url,
            EndpointPool(settings.router.upstream_calls),
            frozenset(settings.router.private_hosts),
            self._fetch(),
        )
        self.handlers.contacts = contacts
        self.handlers.forward = self.forwarder.forward_for_handler
        self.handlers.address = partial(address_parts, contacts=contacts)
        number_forwards = NumberForwards(
            self.membership.pool_for,
            self.membership.number_urls,
            settings.number_urls,
            settings.public_url,
            frozenset(settings.router.redirect_hosts),
            public_only=not settings.uses_sandbox,
        )
        forward_config = ForwardConfig(
            self.forwarder.forward, number_forwards.forward_for, settings.public_url, self.tenancy
        )
        reader = RuleSetReader(
            settings.folder, registry, settings.twilio_opt_outs, forward_config, settings.time_zones, clock
        )
        last_good = LastGoodRuleSet.beside(settings.router.data_dir, settings.server.port)
        published_file = PublishedRulesFile(settings.router.data_dir)
        services = frozenset(service.sid for service in settings.services)
        self.reloader = Reloader(
            reader,
            contacts,
            lambda result: metrics.RELOADS.labels(result.value).inc(),
            last_good=last_good if settings.server.workers > 1 else None,
            known_senders=lambda: KnownSenders(services, self.membership.pools),
            published=published_file.read(),
        )
        worker = f"{socket.gethostname()}:{settings.server.port}, process {os.getpid()}"
        self.published_rules = PublishedRulesSync(self.redis, self.reloader, published_file, worker, clock)
        self.dispatcher = self.reloader.dispatcher
        self.dispatcher.use_replies(settings.own_replies)
        contacts.events = EventRecorder(tuple(registry.on), self.account_of, settings.router.retention_days)

    def _build_answering(self) -> None:
        """What answers a message, and what sends by REST."""
        settings, inbox, contacts, dispatcher = self.settings, self.inbox, self.contacts, self.dispatcher
        self.composer = composer = Composer(
            self.membership.pool_for,
            settings.reply_from,
            settings.public_url,
            self.availability,
            self.sticky_senders,
            self.own_numbers,
            settings.groups.answer,
        )
        policy = ReplyPolicy(
            settings.router.inline_deadline,
            settings.router.on_error is OnError.TWILIO_FALLBACK,
            Reply(settings.router.error_reply),
            Reply(settings.router.fallback_reply),
            Reply(settings.loop_guard.reply),
        )
        loop_guard = LoopGuard(
            settings.loop_guard.replies, settings.loop_guard.seconds, workers=settings.server.workers
        )
        days, late_limit = settings.router.retention_days, settings.router.late_limit
        outbox = Outbox(self.store, self.durable_writer, days, late_limit, self.clock)
        self.twilio_sender = self._twilio_sender()
        max_events = MAX_CONCURRENT_EVENTS if dispatcher.events else 0
        self.outbox_worker = OutboxWorker(
            outbox, self.twilio_sender.send, metrics.count_outgoing, self.clock, max_events
        )
        wake = self.outbox_worker.wake
        late_replies = LateReplies(
            inbox, contacts, dispatcher, composer, outbox, loop_guard, policy.error_reply, self.outbox_worker
        )
        self.receipt_analyzer = ReceiptAnalyzer(contacts, self.membership.pool_for)
        outbound = OutboundSends(
            contacts,
            dispatcher,
            composer,
            outbox,
            self.membership.pool_for,
            self.account_of,
            settings.time_zones,
            settings.quiet_hours,
            wake,
        )
        self.handlers.sms_for = self.sms_for = outbound.requested_by
        self.event_runner = EventRunner(outbox, contacts, dispatcher, metrics.count_event)
        self.outbox_handler = ReplyOutboxHandler(
            contacts,
            self.receipt_analyzer,
            composer,
            late_replies,
            outbound,
            self.event_runner,
            settings.router.reroute,
        )
        committer = AnswerCommitter(inbox, dispatcher, composer, late_replies, loop_guard, policy.muted_reply)
        self.pipeline = Pipeline(
            inbox, contacts, dispatcher, composer, committer, late_replies, loop_guard, policy
        )

    def _build_upkeep(self) -> None:
        """What runs beside the messages."""
        settings, store = self.settings, self.store
        days, text_days = settings.router.retention_days, settings.router.body_retention_days

        def is_away() -> bool:
            return store.error is not None

        self.failure_monitor = FailureMonitor(settings.failures, time.monotonic)
        self.rejections = RejectionLog(time.monotonic)
        self.health = HealthMonitor(
            store,
            self.clock,
            self.opt_out_sync,
            self.contacts,
            self.spool,
            self.membership,
            self.pending,
            self.failure_monitor,
            self.forwarder,
            self.reloader,
            self.published_rules,
            self.event_runner,
            self.rejections,
            StoreMonitor(settings.redis.url, settings.router.data_dir, is_away),
        )
        self.subscriber = Subscriber(self.redis, self.inbox, self.opt_out_sync, self.store)
        self.port_watch = PortWatch(
            self.redis,
            settings.redis.url,
            self.pending,
            lambda: self.membership.pools,
            self._client_for,
            SANDBOX_WATCH_INTERVAL if settings.uses_sandbox else WATCH_INTERVAL,
        )
        self.failure_sync = FailureSync(self.redis, self.failure_monitor, self.clock)
        self.opt_out_disk_cache = OptOutDiskCache(
            settings.router.data_dir, self.contacts.opted_out, is_away, redis_sync=self.opt_out_sync
        )
        self.abandoned_messages = AbandonedMessages(
            store, self.pipeline.resume, days, settings.router.late_limit
        )
        # Without a retention of their own, texts are kept as long as the records.
        self.body_retention = BodyRetention(store, text_days, days) if text_days is not None else None
        self.reconcile_task = self._reconcile_task()
        retention = settings.router.consent_retention_days
        self.erasure_task = ErasureTask(settings.redis.url, self._log_of, retention)

    def _store(self) -> Store:
        return Store(self.settings.redis.url, self.observe, _count_second_answer)

    def _fetch(self) -> Fetch | None:
        return None

    def _twilio_sender(self) -> TwilioSender:
        twilio = self.settings.twilio
        return TwilioSender(self.tokens, twilio.api_base_url, twilio.timeout, self.observe)

    def router(self) -> Router:
        """Return the application that serves the webhooks, the probes and the console."""
        settings = self.settings
        console = ConsoleContext(
            settings,
            StoreExecutor(settings.redis.url),
            SessionRegistry(self.store, self.durable_writer, self.clock),
            self.membership,
            self.dispatcher,
            self.reloader.warnings,
            self.published_rules.notices,
            self.composer,
            self.contacts,
            self.availability,
            self.rate_limiter,
            self.failure_monitor,
            self.health,
            self.clock,
        )
        probes = Probes(self.health, metrics.registry())
        webhooks = self.webhooks()
        others = [
            Route("/healthz", probes.alive),
            Route("/readyz", probes.ready),
            Route("/metrics", probes.metrics),
        ]
        if token := settings.api.token.get_secret_value():
            others += MessagesApi(self.sms_for, token).routes
        if password := settings.console.password.get_secret_value():
            others += routes(console, password, time.monotonic)
        unrouted = UnroutedWebhookLog(tuple(webhooks), self.rejections)
        if prefix := PublicUrl.parse(settings.public_url).path:
            webhooks |= with_prefix(prefix, webhooks)
        lifespan = self._lifespan(console)
        return WebhookRouter(webhooks, others, lifespan, unrouted, settings.server.private_port)

    def webhooks(self) -> dict[str, ASGIApp]:
        """Return what Twilio calls, by path."""
        settings = self.settings
        receipts = ReceiptHandler(
            self.durable_writer,
            settings.router.retention_days,
            self.receipt_analyzer,
            self.outbox_worker.wake if settings.router.reroute else None,
            self.failure_monitor.record,
        )
        authenticator = WebhookAuthenticator(
            SignatureVerifier(settings.public_url, settings.credentials),
            self.rejections,
            enforce=settings.router.signature is SignatureMode.ENFORCE,
        )
        pipeline = self.pipeline if self.tracing is None else self.tracing.wrap(self.pipeline)
        return {
            "/sms": InboundEndpoint(authenticator, pipeline, fallback=False),
            "/sms/status": StatusEndpoint(authenticator, receipts),
            "/sms/fallback": InboundEndpoint(authenticator, pipeline, fallback=True),
        }

    def _lifespan(self, console: ConsoleContext) -> Lifespan[Router]:
        def mask(text: str) -> str:
            pools = self.membership.pools
            return mask_numbers(text, lambda number: find_pool(pools, None, number) is not None)

        @contextlib.asynccontextmanager
        async def lifespan(_: Router) -> AsyncIterator[None]:
            MaskingFormatter.mask = staticmethod(str if console.settings.is_open else mask)
            with contextlib.closing(console.executor):
                async with self.lifespan():
                    yield

        return lifespan

    def lifespan(self) -> contextlib.AbstractAsyncContextManager[None]:
        return lifespan_of(self)

    def running_parts(self) -> contextlib.AbstractAsyncContextManager[None]:
        return running_parts(self)

    def _sources(self) -> list[ServiceSource]:
        settings = self.settings
        return [
            twilio_source(
                partial(settings.rest_client, service.account),
                service.account,
                service.sid,
                service.refresh_after,
            )
            for service in settings.services
        ]

    def _client_for(self, service_sid: str) -> Client | None:
        account = self.account_of.get(service_sid)
        return self.settings.rest_client(account) if account is not None else None

    def _log_of(self, account_sid: str) -> MessageLog | None:
        return self.settings.message_log(account_sid) if account_sid in self.tokens else None

    def _reconcile_task(self) -> ReconcileTask | None:
        settings, dispatcher = self.settings, self.dispatcher
        if settings.reconcile.on_start is ReconcileMode.OFF:
            return None

        def build(client: Redis, sleep: Callable[[float], None]) -> Reconciler:
            def log_of(service_sid: str) -> MessageLog:
                return settings.message_log(self.account_of[service_sid], RECONCILE_PAUSE, sleep)

            return Reconciler(
                client,
                lru_cache(maxsize=64)(log_of),
                lambda message: dispatcher.resolve(message).opt_out,
                self.contacts.table.max_ttl_ms,
                settings.router.consent_retention_days,
                settings.router.retention_days,
                settings.router.late_limit,
                self.contacts.events,
            )

        return ReconcileTask(
            self.redis,
            settings.redis.url,
            lambda: numbers_of(self.membership.pools),
            build,
            answer=settings.reconcile.on_start is ReconcileMode.ANSWER,
            interval=settings.reconcile.interval,
            clock=self.clock,
            count=lambda result, number: metrics.MISSED.labels(result).inc(number),
        )


def _count_second_answer(script: str, result: RedisReply) -> None:
    if is_second_answer(script, result):
        metrics.SECOND_ANSWERS.inc()
        log.error("a message was answered twice while Redis was away: messages show has both answers")
