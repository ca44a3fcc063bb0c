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

from app.delivery.courier import Courier
from app.delivery.outbox import Outbox
from app.delivery.post_office import PostOffice
from app.membership.cache import Membership
from app.membership.shared_failures import SharedFailures
from app.membership.shared_rates import SharedRates
from app.membership.source import ServiceSource, twilio_source
from app.onboarding.following import FollowedArrivals
from app.router_file import OnError, SignatureMode
from app.routing.body_retention import BodyRetention
from app.routing.closing import Closing
from app.routing.composing import Composer
from app.routing.conversations import Customs
from app.routing.dispatch import Forwards
from app.routing.foresight import Foresight
from app.routing.handler_http import HandlerHttp
from app.routing.kept_rulebook import KeptRulebook
from app.routing.last_senders import LastSenders
from app.routing.later import Later
from app.routing.lessons import Lessons
from app.routing.listening import Listener
from app.routing.loading import Functions
from app.routing.loop_guard import LoopGuard
from app.routing.manners import Manners, OnFailure, Texts
from app.routing.opt_outs_on_disk import OptOutsOnDisk
from app.routing.outgoing import Outgoing
from app.routing.people import People
from app.routing.pipeline import Pipeline
from app.routing.receipts import Receipts
from app.routing.record import Records
from app.routing.reloading import Reloader
from app.routing.replies import Reply
from app.routing.rulebook import RulebookReader
from app.routing.threads import Threads
from app.routing.upstream.cookies import Cookies
from app.routing.upstream.numbers import NumberForwards, OwnUrls
from app.routing.upstream.upstreams import Upstreams
from app.senders.availability import Availability
from app.senders.carriers import ErrorTable
from app.senders.failures import Failures
from app.senders.pending import Pending
from app.senders.rates import Rates
from app.senders.request import ReplyFrom
from app.settings import Settings
from app.store.clients import async_client_of
from app.store.clock import Clock
from app.store.journal import Journal
from app.store.spool import Spool
from app.store.store import Store
from app.twilio.public_url import PublicUrl
from app.twilio.signature import Credentials, SignatureVerifier
from app.web import metrics
from app.web.condition import Condition
from app.web.console.archive import Archive
from app.web.console.desk import Desk
from app.web.console.endings import Endings
from app.web.console.routes import routes
from app.web.figures import PoolFigures
from app.web.gate import Gate
from app.web.health import Probes
from app.web.lost import Lost
from app.web.refusals import Refusals
from app.web.router import WebhookRouter, below
from app.web.traces import Traces
from app.web.webhooks import InboundEndpoint, StatusEndpoint
from app.worker import Worker

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
