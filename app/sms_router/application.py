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
from sms_router.delivery.outbox_worker import Courier
from sms_router.delivery.twilio_sender import PostOffice
from sms_router.lifespan import Worker
from sms_router.membership.membership import Membership
from sms_router.membership.source import ServiceSource, twilio_source
from sms_router.membership.sync.failure_sync import SharedFailures
from sms_router.membership.sync.rate_sync import SharedRates
from sms_router.onboarding.sync import FollowedArrivals
from sms_router.routing.contacts.contacts import People
from sms_router.routing.contacts.receipt_analysis import Lessons
from sms_router.routing.contacts.status_callbacks import Receipts
from sms_router.routing.dispatch.conversation_steps import Customs
from sms_router.routing.dispatch.dispatcher import Forwards
from sms_router.routing.dispatch.handler_loader import Functions
from sms_router.routing.dispatch.last_good import KeptRulebook
from sms_router.routing.dispatch.reloader import Reloader
from sms_router.routing.dispatch.ruleset import RulebookReader
from sms_router.routing.handler.http_client import HandlerHttp
from sms_router.routing.handler.reply import Reply
from sms_router.routing.handler.thread_pool import Threads
from sms_router.routing.history.body_retention import BodyRetention
from sms_router.routing.inbox.inbox import Records
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.opt_outs.disk_cache import OptOutsOnDisk
from sms_router.routing.pipeline.committer import Closing
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.late_replies import Later
from sms_router.routing.pipeline.outbox_replies import Outgoing
from sms_router.routing.pipeline.pipeline import Pipeline
from sms_router.routing.pipeline.policy import Manners, OnFailure, Texts
from sms_router.routing.pipeline.prepare import Foresight
from sms_router.routing.pipeline.sticky_senders import LastSenders
from sms_router.routing.pipeline.subscriber import Listener
from sms_router.routing.upstream.cookies import Cookies
from sms_router.routing.upstream.forwarder import Upstreams
from sms_router.routing.upstream.number_urls import NumberForwards, OwnUrls
from sms_router.senders.availability import Availability
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.failure_monitor import Failures
from sms_router.senders.pending import Pending
from sms_router.senders.rate_limits import Rates
from sms_router.senders.request import ReplyFrom
from sms_router.store.redis_py import async_client_of
from sms_router.store.server_clock import Clock
from sms_router.store.spool.durable_writer import Journal
from sms_router.store.spool.spool import Spool
from sms_router.store.store import Store
from sms_router.twilio.public_url import PublicUrl
from sms_router.twilio.signature import Credentials, SignatureVerifier
from sms_router.web import metrics
from sms_router.web.authentication import Gate
from sms_router.web.console.context import Desk
from sms_router.web.console.endings import Endings
from sms_router.web.console.routes import routes
from sms_router.web.console.store_executor import Archive
from sms_router.web.health import Condition
from sms_router.web.lost import Lost
from sms_router.web.metrics_collectors import PoolFigures
from sms_router.web.probes import Probes
from sms_router.web.rejections import Refusals
from sms_router.web.routes import WebhookRouter, below
from sms_router.web.tracing import Traces
from sms_router.web.webhooks import InboundEndpoint, StatusEndpoint

log = logging.getLogger("sms_router")


def build(settings: Settings) -> Router:
    """Put the parts together; nothing is started before the lifespan begins.

    Raises:
        SettingsError: when keywords, templates or handlers have mistakes.
        ValueError: when the Redis URL or the public URL is not one.

    """
    tokens = _tokens(settings)
    threads = Threads(settings.router.handler_threads)
    handler_http = HandlerHttp()
    functions = Functions.load(
        settings.router.handlers,
        threads,
        settings.router.middlewares,
        Customs(**settings.conversations.model_dump()),
        handler_http,
    )
    traces = Traces() if settings.server.traces else None
    observe = metrics.observe_stage if traces is None else traces.observing(metrics.observe_stage)
    store = Store(settings.redis.url, observe)
    spool = Spool(settings.router.data_dir / "spool")
    journal = Journal(store, spool)
    clock = Clock(store)
    records = Records(store, journal, settings.router.retention_days, clock=clock)
    redis = async_client_of(settings.redis.url, connect_within=2, again=False)
    pool_figures = PoolFigures()
    pending = Pending(lambda: membership.pools, clock)
    membership = Membership(
        _sources(settings),
        redis,
        clock=clock,
        report=pool_figures.update,
        beside=FollowedArrivals(redis, pending).follow,
    )
    rates = Rates(settings.limits, time.monotonic, calendar=clock)
    shared_rates = SharedRates(redis, rates, lambda: membership.pools, time.monotonic)
    availability = Availability(membership.cordons, rates, pending)
    people = People(store, journal, membership.pool_for, ErrorTable({}), clock)
    last_senders = LastSenders(journal, lambda: people.table.longest, clock)
    composer = Composer(
        membership.pool_for, _policies(settings), settings.public_url, availability, last_senders
    )
    texts = Texts(
        Reply(settings.router.error_reply),
        Reply(settings.router.fallback_reply),
        Reply(settings.loop_guard.reply),
    )
    guard = LoopGuard(settings.loop_guard.replies, settings.loop_guard.seconds)
    upstreams = Upstreams(
        tokens,
        people,
        Cookies(store, clock),
        settings.public_url,
        settings.router.upstream_calls,
    )
    numbers = _number_forwards(settings, membership)
    forwards = Forwards(upstreams, numbers.forward_for, settings.public_url)
    reader = RulebookReader(
        settings.folder, functions, settings.twilio_opt_outs, forwards, settings.time_zones, clock
    )
    kept = KeptRulebook.beside(settings.router.data_dir, settings.server.port)
    reloader = Reloader(
        reader,
        people,
        lambda outcome: metrics.RELOADS.labels(outcome.value).inc(),
        kept=kept if settings.server.workers > 1 else None,
    )
    dispatcher = reloader.dispatcher
    outbox = Outbox(store, journal, settings.router.retention_days, settings.router.late_limit, clock)
    post_office = PostOffice(
        tokens,
        settings.twilio.api_base_url,
        settings.twilio.timeout,
        observe,
    )
    courier = Courier(outbox, post_office.send, metrics.count_outgoing, clock)
    later = Later(records, people, dispatcher, composer, outbox, guard, texts.error, courier.nudge)
    lessons = Lessons(people, membership.pool_for)
    outgoing = Outgoing(people, lessons, composer, later, settings.router.reroute)
    foresight = Foresight(people, dispatcher, composer, guard)
    closing = Closing(records, dispatcher, composer, later, guard, texts.muted)
    pipeline = Pipeline(
        records, people, dispatcher, composer, later, foresight, closing, texts, _manners(settings)
    )
    failures = Failures(settings.failures.rule, time.monotonic)
    refusals = Refusals(time.monotonic)
    condition = Condition(
        store, clock, spool, membership, pending, failures, upstreams, reloader, refusals, pool_figures
    )
    worker = Worker(
        settings=settings,
        store=store,
        journal=journal,
        records=records,
        listener=Listener(redis, records, people.opted_out),
        membership=membership,
        shared_rates=shared_rates,
        shared_failures=SharedFailures(redis, failures, clock),
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
    receipts = Receipts(
        journal,
        settings.router.retention_days,
        lessons,
        courier.nudge if settings.router.reroute else None,
        failures.saw,
    )
    desk = Desk(
        settings,
        Archive(settings.redis.url),
        Endings(store, journal, clock),
        membership,
        dispatcher,
        composer,
        people,
        availability,
        rates,
        failures,
        condition.reasons,
        condition.notices,
        clock,
    )
    return _router(settings, worker, receipts, desk, refusals)


def _router(settings: Settings, worker: Worker, receipts: Receipts, desk: Desk, refusals: Refusals) -> Router:
    gate = Gate(
        SignatureVerifier(settings.public_url, _credentials(settings)),
        enforce=settings.router.signature is SignatureMode.ENFORCE,
        clock=time.monotonic,
        refusals=refusals,
    )
    condition = worker.condition
    probes = Probes(condition.reasons, condition.notices, condition.observe, _registry())
    pipeline = worker.pipeline if worker.traces is None else worker.traces.around(worker.pipeline)
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
    lost = Lost(tuple(webhooks), refusals, time.monotonic)
    if prefix := PublicUrl.parse(settings.public_url).path:
        webhooks |= below(prefix, webhooks)
    return WebhookRouter(webhooks, others, _lifespan(worker, desk), lost, settings.server.private_port)


def _lifespan(worker: Worker, desk: Desk) -> Lifespan[Router]:
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
    def urls_of(service_sid: str, sid: str) -> OwnUrls | None:
        snapshot = membership.snapshot(service_sid)
        return snapshot.number_urls.get(sid) if snapshot is not None else None

    hosts = frozenset(settings.router.redirect_hosts)
    return NumberForwards(membership.pool_for, urls_of, settings.number_urls, settings.public_url, hosts)


def _opt_outs_on_disk(settings: Settings, people: People, store: Store) -> OptOutsOnDisk:
    path = settings.router.data_dir / "opt-outs"
    return OptOutsOnDisk(path, people.opted_out, lambda: store.trouble is not None)


def _body_retention(settings: Settings, store: Store) -> BodyRetention | None:
    """Return what removes texts from old records; None when texts are kept as long as the records."""
    days = settings.router.body_retention_days
    return BodyRetention(store, days, settings.router.retention_days) if days is not None else None


def _policies(settings: Settings) -> Callable[[str | None], ReplyFrom]:
    """Return which number each Service answers from."""
    policies = {service.sid: settings.reply_from(service.sid) for service in settings.services}
    return lambda service_sid: policies.get(service_sid or "", settings.router.reply_from)


def _manners(settings: Settings) -> Manners:
    fallback = settings.router.on_error is OnError.TWILIO_FALLBACK
    failure = OnFailure.TWILIO_FALLBACK if fallback else OnFailure.ERROR_REPLY
    return Manners(settings.router.inline_deadline, failure)


def _registry() -> CollectorRegistry:
    """Return where metrics are read from: all workers' files when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(metrics.WorkersCollector(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    return registry
