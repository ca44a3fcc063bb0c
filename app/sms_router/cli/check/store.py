"""The checks of Redis, for ``sms-router check``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from sms_router.checks.finding import Finding, Severity
from sms_router.checks.redis_server import SUBJECT, check_servers
from sms_router.cli.context import store_client
from sms_router.cli.output import CommandError
from sms_router.config.settings import Settings
from sms_router.store import scripts
from sms_router.store.keys import ALL_BUCKETS, ANSWERED_CHANNEL


def check_store(settings: Settings) -> Iterator[Finding]:
    """Check a configured Redis: the permissions of its user, and what it cannot keep."""
    if not settings.redis.url:
        return
    try:
        with store_client(settings) as client:
            findings = list(_check_servers(client))
            yield from findings
            if not any(finding.severity is Severity.ERROR for finding in findings):
                _use_commands(client)
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


def _check_servers(client: redis.Redis) -> Iterator[Finding]:
    try:
        info: Any = client.info()
    except redis.ResponseError:
        return  # the user may not run INFO, which the routers do not need
    nodes: list[Mapping[str, object]] = [info] if "redis_version" in info else list(info.values())
    save: str | None = None
    if len(nodes) == 1:
        with contextlib.suppress(redis.ResponseError):  # as above
            save = client.config_get("save").get("save")
    yield from check_servers(nodes, save)
