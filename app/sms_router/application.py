"""The composition root: Settings in, a Starlette application out. Nothing else constructs these parts."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry
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
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.published import PublishedRulesFile
from sms_router.routing.dispatch.published_sync import PublishedRulesSync
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.dispatch.rule_warnings import KnownSenders
from sms_router.routing.dispatch.ruleset import RuleSetReader
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.reply import Reply
from sms_router.routing.handler.running_handlers import RunningHandlers
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.history.abandoned import AbandonedMessages
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.history.reconcile_task import ReconcileTask
from sms_router.routing.history.reconciler import Reconciler, numbers_of
from sms_router.routing.inbox.inbox import Inbox, is_second_answer
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.opt_outs.sync import OptOutSync
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.policy import OnFailure, ReplyPolicy
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.routing.upstream.number_urls import HasNumberUrls, NumberForwards
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
from sms_router.twilio.rest import build_client
from sms_router.twilio.signature import Credentials, SignatureVerifier
from sms_router.web import metrics
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.routes import routes
from sms_router.web.console.sessions import SessionRegistry
from sms_router.web.console.store_executor import StoreExecutor
from sms_router.web.health import HealthMonitor
from sms_router.web.metrics_collectors import PoolMetrics
from sms_router.web.probes import Probes
from sms_router.web.rejections import RejectionLog, UnroutedWebhookLog
from sms_router.web.routes import WebhookRouter, with_prefix
from sms_router.web.tracing import Tracing
from sms_router.web.webhooks import InboundEndpoint, StatusEndpoint
from sms_router.worker_lifespan import WorkerLifespan

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
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
    tokens = _signing_tokens(settings)
    running_handlers = RunningHandlers(block_limit=settings.router.block_limit)
    environment = HandlerEnvironment(
        HandlerThreadPool(settings.router.handler_threads), running=running_handlers
    )
    handlers = HandlerRegistry.load(
        settings.router.handlers,
        environment,
        settings.router.middleware_names,
        ConversationPolicy(**settings.conversations.model_dump()),
    )
    tracing = Tracing() if settings.server.traces else None
    observe = metrics.observe_stage if tracing is None else tracing.observing(metrics.observe_stage)

    store = Store(settings.redis.url, observe, _count_second_answer)
    spool = Spool(settings.router.data_dir / "spool")
    durable_writer = DurableWriter(store, spool, _count_second_answer)
    clock = ServerClock(store)
    redis = async_client(settings.redis.url, connect_within=2, retry=False)
    inbox = Inbox(
        store, durable_writer, settings.router.retention_days, clock=clock, running_handlers=running_handlers
    )

    pool_metrics = PoolMetrics()
    pending = PendingNumbers(lambda: membership.pools, clock)
    membership = Membership(
        _sources(settings),
        redis,
        clock=clock,
        report=pool_metrics.update,
        extra_sync=OnboardingSync(redis, pending).sync,
    )
    rate_limiter = RateLimiter(settings.limits, time.monotonic, calendar=clock)
    rate_sync = RateSync(redis, rate_limiter, lambda: membership.pools, time.monotonic)
    availability = Availability(membership.cordons, rate_limiter, pending)
    contacts = Contacts(
        store,
        durable_writer,
        membership.pool_for,
        ErrorTable({}),
        clock,
        settings.router.consent_retention_days,
    )
    opt_out_sync = OptOutSync(
        store,
        contacts.opted_out,
        clock,
        lambda: contacts.table.max_ttl_ms,
        settings.router.consent_retention_days,
    )
    sticky_senders = StickySenders(durable_writer, lambda: contacts.table.max_ttl_ms, clock)

    forwarder = Forwarder(
        tokens,
        contacts,
        CookieStore(store, clock),
        settings.public_url,
        settings.router.upstream_calls,
        frozenset(settings.router.private_hosts),
    )
    number_forwards = _number_forwards(settings, membership)
    forward_config = ForwardConfig(forwarder, number_forwards.forward_for, settings.public_url)
    reader = RuleSetReader(
        settings.folder, handlers, settings.twilio_opt_outs, forward_config, settings.time_zones, clock
    )
    last_good = LastGoodRuleSet.beside(settings.router.data_dir, settings.server.port)
    published_file = PublishedRulesFile(settings.router.data_dir)
    services = frozenset(service.sid for service in settings.services)
    reloader = Reloader(
        reader,
        contacts,
        lambda result: metrics.RELOADS.labels(result.value).inc(),
        last_good=last_good if settings.server.workers > 1 else None,
        known_senders=lambda: KnownSenders(services, membership.pools),
        published=published_file.read(),
    )
    published_rules = PublishedRulesSync(redis, reloader, published_file, _worker_name(settings), clock)
    dispatcher = reloader.dispatcher

    composer = Composer(
        membership.pool_for,
        settings.reply_from,
        settings.public_url,
        availability,
        sticky_senders,
        membership.own_numbers,
        settings.groups.answer,
    )
    policy = _reply_policy(settings)
    loop_guard = LoopGuard(
        settings.loop_guard.replies, settings.loop_guard.seconds, workers=settings.server.workers
    )
    outbox = Outbox(store, durable_writer, settings.router.retention_days, settings.router.late_limit, clock)
    twilio_sender = TwilioSender(
        tokens,
        settings.twilio.api_base_url,
        settings.twilio.timeout,
        observe,
    )
    outbox_worker = OutboxWorker(outbox, twilio_sender.send, metrics.count_outgoing, clock)
    late_replies = LateReplies(
        inbox, contacts, dispatcher, composer, outbox, loop_guard, policy.error_reply, outbox_worker.wake
    )
    receipt_analyzer = ReceiptAnalyzer(contacts, membership.pool_for)
    outbox_handler = ReplyOutboxHandler(
        contacts, receipt_analyzer, composer, late_replies, settings.router.reroute
    )
    committer = AnswerCommitter(inbox, dispatcher, composer, late_replies, loop_guard, policy.muted_reply)
    pipeline = Pipeline(inbox, contacts, dispatcher, composer, committer, late_replies, loop_guard, policy)

    failure_monitor = FailureMonitor(settings.failures.rule, time.monotonic)
    rejections = RejectionLog(time.monotonic)
    health = HealthMonitor(
        store,
        clock,
        opt_out_sync,
        spool,
        membership,
        pending,
        failure_monitor,
        forwarder,
        reloader,
        published_rules,
        rejections,
        StoreMonitor(settings.redis.url, settings.router.data_dir, lambda: store.error is not None),
        pool_metrics,
    )
    lifespan = WorkerLifespan(
        settings=settings,
        store=store,
        durable_writer=durable_writer,
        inbox=inbox,
        subscriber=Subscriber(redis, inbox, opt_out_sync),
        membership=membership,
        port_watch=PortWatch(
            redis,
            settings.redis.url,
            pending,
            lambda: membership.pools,
            _client_for(settings),
            SANDBOX_WATCH_INTERVAL if settings.uses_sandbox else WATCH_INTERVAL,
        ),
        rate_sync=rate_sync,
        failure_sync=FailureSync(redis, failure_monitor, clock),
        sticky_senders=sticky_senders,
        forwarder=forwarder,
        pipeline=pipeline,
        outbox_worker=outbox_worker,
        outbox_handler=outbox_handler,
        twilio_sender=twilio_sender,
        opt_out_disk_cache=_opt_out_disk_cache(settings, contacts, store),
        opt_out_sync=opt_out_sync,
        abandoned_messages=AbandonedMessages(store, settings.router.retention_days),
        body_retention=_body_retention(settings, store),
        reconcile_task=_reconcile_task(settings, redis, membership, dispatcher, contacts, clock),
        reloader=reloader,
        published_rules=published_rules,
        handlers=environment,
        redis=redis,
        health=health,
        tracing=tracing,
    )
    receipts = ReceiptHandler(
        durable_writer,
        settings.router.retention_days,
        receipt_analyzer,
        outbox_worker.wake if settings.router.reroute else None,
        failure_monitor.record,
    )
    console = ConsoleContext(
        settings,
        StoreExecutor(settings.redis.url),
        SessionRegistry(store, durable_writer, clock),
        membership,
        dispatcher,
        reloader.warnings,
        published_rules.notices,
        composer,
        contacts,
        availability,
        rate_limiter,
        failure_monitor,
        health.degraded_reasons,
        health.notices,
        clock,
    )
    return _router(settings, lifespan, receipts, console, rejections)


def _router(
    settings: Settings,
    worker: WorkerLifespan,
    receipts: ReceiptHandler,
    console: ConsoleContext,
    rejections: RejectionLog,
) -> Router:
    authenticator = WebhookAuthenticator(
        SignatureVerifier(settings.public_url, _credentials(settings)),
        settings.router.signature is SignatureMode.ENFORCE,
        time.monotonic,
        rejections,
    )
    health = worker.health
    probes = Probes(health.degraded_reasons, health.notices, health.update_metrics, _registry())
    pipeline = worker.pipeline if worker.tracing is None else worker.tracing.wrap(worker.pipeline)
    webhooks: dict[str, ASGIApp] = {
        "/sms": InboundEndpoint(authenticator, pipeline, fallback=False),
        "/sms/status": StatusEndpoint(authenticator, receipts),
        "/sms/fallback": InboundEndpoint(authenticator, pipeline, fallback=True),
    }
    others = [
        Route("/healthz", probes.alive),
        Route("/readyz", probes.ready),
        Route("/metrics", probes.metrics),
    ]
    if password := settings.console.password.get_secret_value():
        others += routes(console, password, time.monotonic)
    unrouted = UnroutedWebhookLog(tuple(webhooks), rejections)
    if prefix := PublicUrl.parse(settings.public_url).path:
        webhooks |= with_prefix(prefix, webhooks)
    lifespan = _lifespan(worker, console)
    return WebhookRouter(webhooks, others, lifespan, unrouted, settings.server.private_port)


def _lifespan(worker: WorkerLifespan, console: ConsoleContext) -> Lifespan[Router]:
    def mask(text: str) -> str:
        pools = worker.membership.pools
        return mask_numbers(text, lambda number: find_pool(pools, None, number) is not None)

    @contextlib.asynccontextmanager
    async def lifespan(router: Router) -> AsyncIterator[None]:
        MaskingFormatter.mask = staticmethod(str if console.is_open else mask)
        with contextlib.closing(console.executor):
            async with worker.lifespan(router):
                yield

    return lifespan


def _credentials(settings: Settings) -> dict[str, Credentials]:
    return {
        account.sid: Credentials(
            account.sid,
            account.tokens,
            {key.id: key.secret.get_secret_value() for key in account.shared_keys},
        )
        for account in settings.accounts
    }


def _worker_name(settings: Settings) -> str:
    return f"{socket.gethostname()}:{settings.server.port}, process {os.getpid()}"


def _signing_tokens(settings: Settings) -> dict[str, str]:
    """Return by account the auth token of its REST calls and of requests that are forwarded."""
    return {account.sid: account.tokens[0] for account in settings.accounts}


def _sources(settings: Settings) -> list[ServiceSource]:
    tokens = _signing_tokens(settings)
    return [
        twilio_source(
            service.account,
            tokens[service.account],
            service.sid,
            base_url=settings.twilio.api_base_url,
            refresh_after=service.refresh_after,
            timeout=settings.twilio.timeout,
        )
        for service in settings.services
    ]


def _client_for(settings: Settings) -> Callable[[str], Client | None]:
    tokens = _signing_tokens(settings)

    def client_for(service_sid: str) -> Client | None:
        service = settings.service(service_sid)
        if service is None:
            return None
        return build_client(
            service.account, tokens[service.account], settings.twilio.api_base_url, settings.twilio.timeout
        )

    return client_for


def _number_forwards(settings: Settings, membership: Membership) -> NumberForwards:
    def urls_of(service_sid: str, sid: str) -> HasNumberUrls | None:
        snapshot = membership.snapshot(service_sid)
        return snapshot.number_urls.get(sid) if snapshot is not None else None

    hosts = frozenset(settings.router.redirect_hosts)
    return NumberForwards(
        membership.pool_for,
        urls_of,
        settings.number_urls,
        settings.public_url,
        hosts,
        public_only=not settings.uses_sandbox,
    )


def _opt_out_disk_cache(settings: Settings, contacts: Contacts, store: Store) -> OptOutDiskCache:
    return OptOutDiskCache(settings.router.data_dir, contacts.opted_out, lambda: store.error is not None)


def _count_second_answer(script: str, result: RedisReply) -> None:
    if is_second_answer(script, result):
        metrics.SECOND_ANSWERS.inc()
        log.error("a message was answered twice while Redis was away: messages show has both answers")


def _body_retention(settings: Settings, store: Store) -> BodyRetention | None:
    """Return None when texts are kept as long as the records."""
    days = settings.router.body_retention_days
    return BodyRetention(store, days, settings.router.retention_days) if days is not None else None


def _reconcile_task(
    settings: Settings,
    redis: AsyncRedis,
    membership: Membership,
    dispatcher: Dispatcher,
    contacts: Contacts,
    clock: ServerClock,
) -> ReconcileTask | None:
    if settings.reconcile.on_start is ReconcileMode.OFF:
        return None
    client_for = _client_for(settings)

    def build(client: Redis, sleep: Callable[[float], None]) -> Reconciler:
        @cache
        def log_of(service_sid: str) -> MessageLog:
            service, twilio = settings.service(service_sid), client_for(service_sid)
            assert service is not None and twilio is not None, "the pools are those of the settings"
            base_url = settings.twilio.api_base_url
            return MessageLog(twilio, service.account, base_url, RECONCILE_PAUSE, sleep)

        return Reconciler(
            client,
            log_of,
            lambda message: dispatcher.resolve(message).opt_out,
            contacts.table.max_ttl_ms,
            settings.router.consent_retention_days,
            settings.router.retention_days,
            settings.router.late_limit,
        )

    return ReconcileTask(
        redis,
        settings.redis.url,
        lambda: numbers_of(membership.pools),
        build,
        answer=settings.reconcile.on_start is ReconcileMode.ANSWER,
        interval=settings.reconcile.interval,
        clock=clock,
        count=lambda result, number: metrics.MISSED.labels(result).inc(number),
    )


def _reply_policy(settings: Settings) -> ReplyPolicy:
    fallback = settings.router.on_error is OnError.TWILIO_FALLBACK
    return ReplyPolicy(
        settings.router.inline_deadline,
        OnFailure.TWILIO_FALLBACK if fallback else OnFailure.ERROR_REPLY,
        Reply(settings.router.error_reply),
        Reply(settings.router.fallback_reply),
        Reply(settings.loop_guard.reply),
    )


def _registry() -> CollectorRegistry:
    """Return what /metrics reads: the files of all workers when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(metrics.MultiprocessCollector(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return registry
