"""The Sender Pools and the conditions of their senders for commands: as stored, else read from Twilio."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sms_router.cli.context import START_HINT, has_store, sandbox_world, store_is_running
from sms_router.cli.output import CommandError
from sms_router.cli.store import read_store, store_client
from sms_router.cli.twilio_access import open_configured_service
from sms_router.config.models import ServiceSettings as ConfiguredService
from sms_router.config.settings import Settings, load_settings
from sms_router.membership.snapshot import ServiceProperties, Snapshot, parse_capabilities
from sms_router.membership.snapshot_store import stored_snapshot
from sms_router.membership.source import PoolReadError
from sms_router.membership.sync.cordon_sync import stored_cordons
from sms_router.membership.sync.rate_sync import stored_usage
from sms_router.onboarding.repository import load_state
from sms_router.onboarding.sync import pending_number
from sms_router.senders.cordons import Cordon, cordon_reasons
from sms_router.senders.country import is_toll_free
from sms_router.senders.models import NO_CONDITIONS, Sender, SenderConditions, SenderKind
from sms_router.senders.pending import pending_reasons
from sms_router.senders.pool import Pool, likely_recipient
from sms_router.senders.rate_limits import RateLimiter

if TYPE_CHECKING:
    import redis

    from sms_router.routing.dispatch.rule_warnings import KnownSenders
    from sms_router.sandbox.world.world import World


def stored_pools(settings: Settings) -> list[Pool]:
    """Return the Sender Pools that a router has stored."""
    return [snapshot.pool() for snapshot in _stored_snapshots(settings)]


def known_snapshots(settings: Settings) -> list[Snapshot]:
    """Return the snapshots of all Services: stored, or read from Twilio now.

    Without Twilio credentials, before the first start, they are those of ``sandbox.toml``.
    """
    snapshots = _stored_snapshots(settings)
    stored = {snapshot.service_sid for snapshot in snapshots}
    missing = [service for service in settings.services if service.sid not in stored]
    return snapshots + [_read_from_twilio(settings, service) for service in missing]


def known_senders(settings: Settings) -> KnownSenders:
    """Return what rules are compared with for warnings: `known_pools`."""
    from sms_router.routing.dispatch.rule_warnings import KnownSenders  # noqa: PLC0415 (Jinja)

    return KnownSenders(frozenset(service.sid for service in settings.services), known_pools(settings))


def known_pools(settings: Settings) -> dict[str, Pool]:
    """Return the Sender Pools by Service, as far as they are stored; Twilio is not called.

    Without Twilio credentials, where none is stored, they are those of ``sandbox.toml``.
    """
    snapshots: list[Snapshot] = []
    if store_is_running(settings):  # a command about rules does not start a store for its warnings
        try:
            snapshots = _stored_snapshots(settings)
        except CommandError:
            snapshots = []
    configured = load_settings()
    if not snapshots and configured.is_offline and settings.services:
        world = sandbox_world(configured)
        snapshots = [sandbox_snapshot(world, service.sid, time.time()) for service in settings.services]
    return {snapshot.service_sid: snapshot.pool() for snapshot in snapshots}


def default_recipient(pools: Iterable[Pool]) -> str:
    """Return the number that is texted most likely."""
    if recipient := likely_recipient(pools):
        return recipient
    raise CommandError(
        "No sender is known that could be texted: no router has read its Sender Pools yet.",
        f"{START_HINT}, or give a number: --to 12345",
    )


def _stored_snapshots(settings: Settings) -> list[Snapshot]:
    def read(client: redis.Redis) -> list[Snapshot]:
        snapshots = [stored_snapshot(client, service.sid) for service in settings.services]
        return [snapshot for snapshot in snapshots if snapshot is not None]

    return read_store(settings, read, [])


def _read_from_twilio(settings: Settings, service: ConfiguredService) -> Snapshot:
    try:
        return open_configured_service(settings, service.sid).read()
    except PoolReadError as error:
        configured = load_settings()
        if configured.is_offline:
            return sandbox_snapshot(sandbox_world(configured), service.sid, time.time())
        raise CommandError(f"Nothing is stored about {service.sid}, and {error}", START_HINT) from error


def sandbox_snapshot(world: World, service_sid: str, now: float) -> Snapshot:
    """Return what the sandbox would give if it were running; ``now`` is in seconds since the epoch."""
    service = next((one for one in world.services if one.sid == service_sid), world.services[0])
    numbers = {number.sid: number for number in world.numbers}
    return Snapshot(
        account_sid=world.account_sid,
        service_sid=service_sid,
        senders=tuple(
            Sender(
                number.sid,
                number.address,
                _kind(number.sid, number.address),
                number.country or None,
                parse_capabilities(["SMS"] * number.capabilities.sms + ["MMS"] * number.capabilities.mms),
            )
            for number in map(numbers.__getitem__, service.senders)
        ),
        settings=ServiceProperties(
            service.friendly_name,
            service.inbound_request_url or None,
            fallback_url=service.fallback_url or None,
            status_callback=service.status_callback or None,
            sticky_sender=service.sticky_sender,
            area_code_geomatch=service.area_code_geomatch,
        ),
        number_urls={},
        read_at=now,
        version=0,
        account_numbers=tuple(
            sorted(number.address for sid, number in numbers.items() if sid not in service.senders)
        ),
    )


def _kind(sid: str, address: str) -> SenderKind:
    if sid.startswith("SC"):
        return SenderKind.SHORT_CODE
    return SenderKind.TOLL_FREE if is_toll_free(address) else SenderKind.LONG_CODE


_NOW_TOLERANCE = 5.0
"""Seconds within which a time counts as now: rates are stored for no other time."""


@dataclass(frozen=True, slots=True)
class StoredConditions:
    """The conditions of the senders at one time."""

    cordons: tuple[Cordon, ...] = ()
    conditions: SenderConditions = NO_CONDITIONS
    rates: RateLimiter | None = None
    """None when nothing is limited, or the time is not now."""

    def cordon(self, sid: str) -> Cordon | None:
        return next((cordon for cordon in self.cordons if cordon.sid == sid), None)


def load_conditions(
    settings: Settings, snapshots: Iterable[Snapshot], at: float | None = None
) -> StoredConditions:
    """Read the conditions at a time (seconds since the epoch; default: now); none before the first start."""
    if not has_store(settings):
        return StoredConditions()
    moment, snapshots = time.time() if at is None else at, tuple(snapshots)
    with store_client(settings) as client:
        cordons = tuple(cordon for cordon in stored_cordons(client, moment) if cordon.since <= moment + 1)
        pending = _pending_reasons(client, snapshots, moment)
        if abs(moment - time.time()) > _NOW_TOLERANCE:
            return StoredConditions(
                cordons, SenderConditions(cordon_reasons(cordons, moment), pending=pending)
            )
        rates = RateLimiter(settings.limits, lambda: moment)
        rates.set_senders(sender for snapshot in snapshots for sender in snapshot.senders)
        rates.merge(stored_usage(client, moment))
    conditions = SenderConditions(
        cordon_reasons(cordons, moment), rates.capped(), rates.over_rate(), rates.used, pending
    )
    return StoredConditions(cordons, conditions, rates if settings.limits else None)


def _pending_reasons(client: redis.Redis, snapshots: Iterable[Snapshot], at: float) -> Mapping[str, str]:
    """Return by sid why numbers in onboarding are not used."""
    checklists = load_state(client).pending
    numbers = [pending_number(checklist) for checklist in checklists if checklist.added <= at + 1]
    return pending_reasons(numbers, [snapshot.pool() for snapshot in snapshots]) if numbers else {}
