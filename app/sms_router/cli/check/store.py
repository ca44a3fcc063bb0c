"""What is wrong with a Redis of the team's own, for ``sms-router check``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import redis

from sms_router.checks.finding import Finding, Severity
from sms_router.cli.context import store_client
from sms_router.cli.output import CommandError
from sms_router.config.settings import Settings
from sms_router.store import scripts
from sms_router.store.keys import ALL_BUCKETS, ANSWERED_CHANNEL

SUBJECT = "redis"

_FOREVER = "noeviction"


def check_store(settings: Settings) -> Iterator[Finding]:
    """Do in Redis what routers do, and look at whether it keeps what they store; the embedded one does."""
    if not settings.redis.url:
        return
    try:
        with store_client(settings) as client:
            _use(client)
            yield from _kept(client)
    except CommandError as error:
        what, *remedy = error.lines
        yield Finding(Severity.ERROR, SUBJECT, what, " ".join(remedy))


def _use(client: redis.Redis) -> None:
    """Use what the routers use: a user may be allowed less.

    Raises:
        redis.ResponseError: when something is refused.

    """
    probe = ALL_BUCKETS[0].probe
    script, keys, _ = scripts.get_time()
    client.script_load(script.source.decode())
    client.evalsha(script.digest, len(keys), *keys)
    client.set(probe, "1", px=1000)
    client.publish(ANSWERED_CHANNEL, "")


def _kept(client: redis.Redis) -> Iterator[Finding]:
    """Say when it may lose what is stored."""
    try:
        told: Any = client.info()
    except redis.ResponseError:
        return  # nobody has to let us know
    nodes: list[Mapping[str, object]] = [told] if "redis_version" in told else list(told.values())
    policies = {str(each["maxmemory_policy"]) for each in nodes if each.get("maxmemory")} - {_FOREVER}
    for policy in sorted(policies):
        everything = policy.startswith("allkeys")
        loses = "opt-outs and answers" if everything else "answers, so that texts are answered twice"
        yield Finding(
            Severity.ERROR,
            SUBJECT,
            f"Redis throws {loses} away when its memory is full: maxmemory-policy is {policy}.",
            f"CONFIG SET maxmemory-policy {_FOREVER}, and in its configuration file",
        )
