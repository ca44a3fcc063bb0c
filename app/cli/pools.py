"""The pools that commands look at: as stored by a router, else read from Twilio now."""

from __future__ import annotations

import time
from collections.abc import Iterable

import redis

from app.cli.situation import store_client
from app.cli.speaking import CommandError
from app.membership.shared import stored_snapshot
from app.membership.snapshot import Snapshot
from app.membership.source import MembershipError, twilio_source
from app.senders.pool import Pool
from app.senders.sender import SenderKind
from app.settings import Settings


def stored_pools(settings: Settings) -> list[Pool]:
    """Return the pools of the configured Services that a router has stored."""
    return [snapshot.pool() for snapshot in _stored(settings)]


def known_snapshots(settings: Settings) -> list[Snapshot]:
    """Return the Services' snapshots: stored ones, else fresh ones from Twilio.

    Raises:
        CommandError: when neither is to be had.

    """
    snapshots = _stored(settings)
    missing = {service.sid for service in settings.services} - {each.service_sid for each in snapshots}
    tokens = {account.sid: account.tokens[0] for account in settings.accounts}
    for service in settings.services:
        if service.sid in missing:
            source = twilio_source(
                service.account,
                tokens[service.account],
                service.sid,
                base_url=settings.twilio.api_base_url or None,
                timeout=settings.twilio.timeout,
            )
            try:
                snapshots.append(source.read(time.time()))
            except MembershipError as error:
                raise CommandError(
                    f"Nothing is stored about {service.sid}, and {error}", "Start the router once: make run"
                ) from error
    return snapshots


def usual_recipient(pools: Iterable[Pool]) -> str:
    """Return the number that people text as a rule: a short code, else any number of the Services.

    Raises:
        CommandError: when there is none.

    """
    senders = [sender for pool in pools for sender in pool.senders]
    if not senders:
        raise CommandError("No number is known that could be texted.", "Name one: --to 12345", code=2)
    return min(senders, key=lambda sender: sender.kind is not SenderKind.SHORT_CODE).address


def _stored(settings: Settings) -> list[Snapshot]:
    try:
        with store_client(settings) as client:
            found = [stored_snapshot(client, service.sid) for service in settings.services]
    except redis.RedisError as error:
        raise CommandError(f"Redis does not answer: {error}") from error
    return [snapshot for snapshot in found if snapshot is not None]
