"""The checks of Redis, for ``sms-router check``."""

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

_NO_EVICTION = "noeviction"


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check a configured Redis: the permissions of its user, and whether it may evict keys."""
    if not settings.redis.url:
        return
    try:
        with store_client(settings) as client:
            _use_commands(client)
            yield from _check_eviction(client)
    except CommandError as error:
        sentence, *remedy = error.lines
        yield Finding(Severity.ERROR, SUBJECT, sentence, " ".join(remedy))


def _use_commands(client: redis.Redis) -> None:
    """Run the commands that the routers need.

    Raises:
        redis.ResponseError: when the user may not run one of them.

    """
    probe = ALL_BUCKETS[0].probe
    script, keys, _ = scripts.get_time()
    client.script_load(script.source.decode())
    client.evalsha(script.digest, len(keys), *keys)
    client.set(probe, "1", px=1000)
    client.publish(ANSWERED_CHANNEL, "")


def _check_eviction(client: redis.Redis) -> Iterator[Finding]:
    try:
        info: Any = client.info()
    except redis.ResponseError:
        return  # the user may not run INFO, which the routers do not need
    nodes: list[Mapping[str, object]] = [info] if "redis_version" in info else list(info.values())
    policies = {str(node["maxmemory_policy"]) for node in nodes if node.get("maxmemory")} - {_NO_EVICTION}
    for policy in sorted(policies):
        evicts_all = policy.startswith("allkeys")
        lost = "opt-outs and answers" if evicts_all else "answers, so that messages are answered twice"
        yield Finding(
            Severity.ERROR,
            SUBJECT,
            f"Redis evicts {lost} when its memory is full: maxmemory-policy is {policy}.",
            f"CONFIG SET maxmemory-policy {_NO_EVICTION}, and the same in its configuration file",
        )
