"""The composition root: settings in, a Starlette application out. All parts are put together here."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan

from sms_router.config.models import OnError, SignatureMode
from sms_router.config.settings import Settings
from sms_router.delivery.outbox import Outbox
from sms_router.delivery.outbox_worker import OutboxWorker
from sms_router.delivery.twilio_sender import TwilioSender
from sms_router.lifespan import WorkerLifespan
from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource, twilio_source
from sms_router.membership.sync.failure_sync import FailureSync
from sms_router.membership.sync.rate_sync import RateSync
from sms_router.onboarding.sync import OnboardingSync
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalyzer
from sms_router.routing.contacts.status_callbacks import ReceiptHandler
from sms_router.routing.dispatch.conversation_steps import ConversationPolicy
from sms_router.routing.dispatch.dispatcher import ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.dispatch.ruleset import RuleSetReader
from sms_router.routing.handler.http_client import HandlerHttpClient
from sms_router.routing.handler.reply import Reply
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.inbox.inbox import Inbox
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.opt_outs.disk_cache import OptOutDiskCache
from sms_router.routing.pipeline.committer import AnswerCommitter
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.late_replies import LateReplies
from sms_router.routing.pipeline.outbox_replies import ReplyOutboxHandler
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.policy import CannedReplies, OnFailure, ReplyPolicy
from sms_router.routing.pipeline.prepare import AnswerPreparer
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.routing.pipeline.subscriber import Subscriber
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.routing.upstream.number_urls import HasNumberUrls, NumberForwards
from sms_router.senders.availability import Availability
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.failure_monitor import FailureMonitor
from sms_router.senders.models import ReplyFrom
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.rate_limits import RateLimiter
from sms_router.store.redis_py import async_client
from sms_router.store.server_clock import ServerClock
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.public_url import PublicUrl
from sms_router.twilio.signature import Credentials, SignatureVerifier
from sms_router.web import metrics
from sms_router.web.authentication import WebhookAuthenticator
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.endings import RevokedSessions
from sms_router.web.console.routes import routes
from sms_router.web.console.store_executor import StoreExecutor
from sms_router.web.health import HealthMonitor
from sms_router.web.lost import UnroutedWebhookLog
from sms_router.web.metrics_collectors import PoolMetrics
from sms_router.web.probes import Probes
from sms_router.web.rejections import RejectionLog
from sms_router.web.routes import WebhookRouter, with_prefix
from sms_router.web.tracing import Tracing
from sms_router.web.webhooks import InboundEndpoint, StatusEndpoint

log = logging.getLogger("sms_router")


def build(settings: Settings) -> Router:
    """Put the parts together; nothing is started before the lifespan begins.

    Raises:
        SettingsError: when keywords, templates or handlers have mistakes.
        ValueError: when the Redis URL or the public URL is not one.

    """
    tokens = _tokens(settings)
    threads = HandlerThreadPool(settings.router.handler_threads)
    handler_http = HandlerHttpClient()
    functions = HandlerRegistry.load(
        settings.router.handlers,
        threads,
        settings.router.middlewares,
        ConversationPolicy(**settings.conversations.model_dump()),
        handler_http,
    )
    traces = Tracing() if settings.server.traces else None
    observe = metrics.observe_stage if traces is None else traces.observing(metrics.observe_stage)
    store = Store(settings.redis.url, observe)
    spool = Spool(settings.router.data_dir / "spool")
    journal = DurableWriter(store, spool)
    clock = ServerClock(store)
    records = Inbox(store, journal, settings.router.retention_days, clock=clock)
    redis = async_client(settings.redis.url, connect_within=2, again=False)
    pool_figures = PoolMetrics()
    pending = PendingNumbers(lambda: membership.pools, clock)
    membership = Membership(
        _sources(settings),
        redis,
        clock=clock,
        report=pool_figures.update,
        beside=OnboardingSync(redis, pending).follow,
    )
    rates = RateLimiter(settings.limits, time.monotonic, calendar=clock)
    shared_rates = RateSync(redis, rates, lambda: membership.pools, time.monotonic)
    availability = Availability(membership.cordons, rates, pending)
    people = Contacts(store, journal, membership.pool_for, ErrorTable({}), clock)
    last_senders = StickySenders(journal, lambda: people.table.max_ttl_ms, clock)
    composer = Composer(
        membership.pool_for, _policies(settings), settings.public_url, availability, last_senders
    )
    texts = CannedReplies(
        Reply(settings.router.error_reply),
        Reply(settings.router.fallback_reply),
        Reply(settings.loop_guard.reply),
    )
    guard = LoopGuard(settings.loop_guard.replies, settings.loop_guard.seconds)
    upstreams = Forwarder(
        tokens,
        people,
        CookieStore(store, clock),
        settings.public_url,
        settings.router.upstream_calls,
    )
    numbers = _number_forwards(settings, membership)
    forwards = ForwardConfig(upstreams, numbers.forward_for, settings.public_url)
    reader = RuleSetReader(
        settings.folder, functions, settings.twilio_opt_outs, forwards, settings.time_zones, clock
    )
    kept = LastGoodRuleSet.beside(settings.router.data_dir, settings.server.port)
    reloader = Reloader(
        reader,
        people,
        lambda outcome: metrics.RELOADS.labels(outcome.value).inc(),
        kept=kept if settings.server.workers > 1 else None,
    )
    dispatcher = reloader.dispatcher
    outbox = Outbox(store, journal, settings.router.retention_days, settings.router.late_limit, clock)
    post_office = TwilioSender(
        tokens,
        settings.twilio.api_base_url,
        settings.twilio.timeout,
        observe,
    )
    courier = OutboxWorker(outbox, post_office.send, metrics.count_outgoing, clock)
    later = LateReplies(records, people, dispatcher, composer, outbox, guard, texts.error, courier.wake)
    lessons = ReceiptAnalyzer(people, membership.pool_for)
    outgoing = ReplyOutboxHandler(people, lessons, composer, later, settings.router.reroute)
    foresight = AnswerPreparer(people, dispatcher, composer, guard)
    closing = AnswerCommitter(records, dispatcher, composer, later, guard, texts.muted)
    pipeline = Pipeline(
        records, people, dispatcher, composer, later, foresight, closing, texts, _manners(settings)
    )
    failures = FailureMonitor(settings.failures.rule, time.monotonic)
    refusals = RejectionLog(time.monotonic)
    condition = HealthMonitor(
        store, clock, spool, membership, pending, failures, upstreams, reloader, refusals, pool_figures
    )
    worker = WorkerLifespan(
        settings=settings,
        store=store,
        journal=journal,
        records=records,
        listener=Subscriber(redis, records, people.opted_out),
        membership=membership,
        shared_rates=shared_rates,
        shared_failures=FailureSync(redis, failures, clock),
        last_senders=last_senders,
        upstreams=upstreams,
        pipeline=pipeline,
        courier=courier,
        outgoing=outgoing,
        post_office=post_office,
        opt_outs_on_disk=_opt_outs_on_disk(settings, people, store),
        bodies=_body_retention(settings, store),
        reloader=reloader,
        threads=threads,
        handler_http=handler_http,
        redis=redis,
        condition=condition,
        traces=traces,
    )
    receipts = ReceiptHandler(
        journal,
        settings.router.retention_days,
        lessons,
        courier.wake if settings.router.reroute else None,
        failures.record,
    )
    desk = ConsoleContext(
        settings,
        StoreExecutor(settings.redis.url),
        RevokedSessions(store, journal, clock),
        membership,
        dispatcher,
        composer,
        people,
        availability,
        rates,
        failures,
        condition.degraded_reasons,
        condition.notices,
        clock,
    )
    return _router(settings, worker, receipts, desk, refusals)


def _router(
    settings: Settings,
    worker: WorkerLifespan,
    receipts: ReceiptHandler,
    desk: ConsoleContext,
    refusals: RejectionLog,
) -> Router:
    gate = WebhookAuthenticator(
        SignatureVerifier(settings.public_url, _credentials(settings)),
        enforce=settings.router.signature is SignatureMode.ENFORCE,
        clock=time.monotonic,
        rejections=refusals,
    )
    condition = worker.condition
    probes = Probes(condition.degraded_reasons, condition.notices, condition.update_metrics, _registry())
    pipeline = worker.pipeline if worker.traces is None else worker.traces.wrap(worker.pipeline)
    webhooks: dict[str, ASGIApp] = {
        "/sms": InboundEndpoint(gate, pipeline, fallback=False),
        "/sms/status": StatusEndpoint(gate, receipts),
        "/sms/fallback": InboundEndpoint(gate, pipeline, fallback=True),
    }
    others = [
        Route("/healthz", probes.alive),
        Route("/readyz", probes.ready),
        Route("/metrics", probes.metrics),
    ]
    if password := settings.console.password.get_secret_value():
        others += routes(desk, password, time.monotonic)
    lost = UnroutedWebhookLog(tuple(webhooks), refusals, time.monotonic)
    if prefix := PublicUrl.parse(settings.public_url).path:
        webhooks |= with_prefix(prefix, webhooks)
    return WebhookRouter(webhooks, others, _lifespan(worker, desk), lost, settings.server.private_port)


def _lifespan(worker: WorkerLifespan, desk: ConsoleContext) -> Lifespan[Router]:
    @contextlib.asynccontextmanager
    async def lifespan(router: Router) -> AsyncIterator[None]:
        with contextlib.closing(desk.archive):
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


def _tokens(settings: Settings) -> dict[str, str]:
    """Return what each account's REST calls and forwards are signed with."""
    return {account.sid: account.tokens[0] for account in settings.accounts}


def _sources(settings: Settings) -> list[ServiceSource]:
    tokens = _tokens(settings)
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


def _number_forwards(settings: Settings, membership: Membership) -> NumberForwards:
    def urls_of(service_sid: str, sid: str) -> HasNumberUrls | None:
        snapshot = membership.snapshot(service_sid)
        return snapshot.number_urls.get(sid) if snapshot is not None else None

    hosts = frozenset(settings.router.redirect_hosts)
    return NumberForwards(membership.pool_for, urls_of, settings.number_urls, settings.public_url, hosts)


def _opt_outs_on_disk(settings: Settings, people: Contacts, store: Store) -> OptOutDiskCache:
    path = settings.router.data_dir / "opt-outs"
    return OptOutDiskCache(path, people.opted_out, lambda: store.error is not None)


def _body_retention(settings: Settings, store: Store) -> BodyRetention | None:
    """Return what removes texts from old records; None when texts are kept as long as the records."""
    days = settings.router.body_retention_days
    return BodyRetention(store, days, settings.router.retention_days) if days is not None else None


def _policies(settings: Settings) -> Callable[[str | None], ReplyFrom]:
    """Return which number each Service answers from."""
    policies = {service.sid: settings.reply_from(service.sid) for service in settings.services}
    return lambda service_sid: policies.get(service_sid or "", settings.router.reply_from)


def _manners(settings: Settings) -> ReplyPolicy:
    fallback = settings.router.on_error is OnError.TWILIO_FALLBACK
    failure = OnFailure.TWILIO_FALLBACK if fallback else OnFailure.ERROR_REPLY
    return ReplyPolicy(settings.router.inline_deadline, failure)


def _registry() -> CollectorRegistry:
    """Return where metrics are read from: all workers' files when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(metrics.MultiprocessCollector(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return registry
