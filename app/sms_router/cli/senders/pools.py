"""The pools that commands look at: as stored by a router, else read from Twilio now."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sms_router.cli.context import START, has_store, sandbox_world, store_client
from sms_router.cli.output import CommandError, stderr
from sms_router.cli.twilio_access import operation_on
from sms_router.config.models import ServiceSettings as ConfiguredService
from sms_router.config.settings import Settings, load_settings
from sms_router.membership.snapshot import ServiceProperties, Snapshot, parse_capabilities
from sms_router.membership.snapshot_store import stored_snapshot
from sms_router.membership.source import PoolReadError
from sms_router.senders.country import is_toll_free
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.pool import Pool

if TYPE_CHECKING:
    from sms_router.sandbox import World


def stored_pools(settings: Settings) -> list[Pool]:
    """Return the pools of the configured Services that a router has stored."""
    return [snapshot.pool() for snapshot in _stored(settings)]


def known_snapshots(settings: Settings) -> list[Snapshot]:
    """Return the Services' snapshots: stored ones, else fresh ones from Twilio.

    Without Twilio credentials and before the first start they are those of ``sandbox.toml``.

    Raises:
        CommandError: when there are neither.

    """
    snapshots = _stored(settings)
    there = {each.service_sid for each in snapshots}
    missing = [service for service in settings.services if service.sid not in there]
    return snapshots + [_read(settings, service) for service in missing]


def usual_recipient(pools: Iterable[Pool]) -> str:
    """Return the number that people usually text: a short code, else any number of the Services.

    Raises:
        CommandError: when there is none.

    """
    senders = [sender for pool in pools for sender in pool.senders]
    if not senders:
        raise CommandError(
            "No number is known that could be texted: no router has read its senders yet.",
            f"{START}, or name a number: --to 12345",
        )
    return min(senders, key=lambda sender: sender.kind is not SenderKind.SHORT_CODE).address


def _stored(settings: Settings) -> list[Snapshot]:
    if not has_store(settings):
        return []
    with store_client(settings) as client:
        found = [stored_snapshot(client, service.sid) for service in settings.services]
    return [snapshot for snapshot in found if snapshot is not None]


def _read(settings: Settings, service: ConfiguredService) -> Snapshot:
    try:
        with stderr.status(f"Reading the senders of {service.sid} from Twilio ..."):
            return operation_on(settings, service.sid).source.read(time.time())
    except PoolReadError as error:
        configured = load_settings()
        if configured.offline:
            return _snapshot_of(sandbox_world(configured), service)
        raise CommandError(f"Nothing is stored about {service.sid}, and {error}", START) from error


def _snapshot_of(world: World, service: ConfiguredService) -> Snapshot:
    """Return what Twilio would say, were the sandbox running."""
    there = world.services[0]
    numbers = {number.sid: number for number in world.numbers}
    return Snapshot(
        account_sid=world.account_sid,
        service_sid=service.sid,
        senders=tuple(
            Sender(
                sid,
                numbers[sid].address,
                _kind(sid, numbers[sid].address),
                numbers[sid].country or None,
                parse_capabilities(
                    ["SMS"] * numbers[sid].capabilities.sms + ["MMS"] * numbers[sid].capabilities.mms
                ),
            )
            for sid in there.senders
        ),
        settings=ServiceProperties(
            there.friendly_name,
            there.inbound_request_url or None,
            fallback_url=there.fallback_url or None,
            status_callback=there.status_callback or None,
        ),
        number_urls={},
        read_at=time.time(),
        version=0,
    )


def _kind(sid: str, address: str) -> SenderKind:
    if sid.startswith("SC"):
        return SenderKind.SHORT_CODE
    return SenderKind.TOLL_FREE if is_toll_free(address) else SenderKind.LONG_CODE
