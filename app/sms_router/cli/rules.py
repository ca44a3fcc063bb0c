"""The rules as commands look at them, with the numbers' own URLs known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sms_router.cli.context import load_rules
from sms_router.config.settings import Settings
from sms_router.membership.snapshot import Snapshot
from sms_router.routing.dispatch.dispatcher import Dispatcher, ForwardConfig
from sms_router.routing.upstream.number_urls import NumberForwards
from sms_router.senders.pool import Pool, find_pool


def rules_and_pools(settings: Settings, found: Iterable[Snapshot]) -> tuple[Dispatcher, Mapping[str, Pool]]:
    """Load the rules, which forward nothing here, and index the numbers by their Services.

    Raises:
        SettingsError: with every mistake in the configuration.

    """
    snapshots = {snapshot.service_sid: snapshot for snapshot in found}
    pools = {service_sid: snapshot.pool() for service_sid, snapshot in snapshots.items()}
    numbers = NumberForwards(
        lambda service, texted: find_pool(pools, service, texted),
        lambda service_sid, sid: snapshots[service_sid].number_urls.get(sid),
        settings.number_urls,
        settings.public_url,
    )
    return load_rules(settings, ForwardConfig(None, numbers.forward_for, settings.public_url)), pools
