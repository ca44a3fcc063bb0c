"""Clients of redis-py's for everything off the hot path, whatever kind of Redis the URL names."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from sms_router.store.scripts import Call
from sms_router.store.url import RedisUrl, Topology

CLIENT_ERRORS = (RedisError, RedisClusterException)
"""What these clients raise when Redis does not serve; one of a Cluster's is no other's."""


def sync_client(url: str, seconds: float = 10.0, *, patient: bool = True) -> redis.Redis:
    """Return a client for a command at a terminal, or for a thread; ``seconds`` bound each answer.

    A Cluster's has the same commands, for keys of one slot at a time and for pipelines over many, so
    that nobody needs to know which it is. Unless it is ``patient``, a lost connection is tried once more
    and then told, without a pause.

    Raises:
        redis.RedisError: when no node of a Cluster can be asked.

    """
    at = RedisUrl.of(url)
    again: dict[str, Any] = {} if patient else {"retry": Retry(NoBackoff(), 1)}
    match at.kind:
        case Topology.SERVER:
            return redis.Redis.from_url(url, socket_timeout=seconds, **again)
        case Topology.CLUSTER:
            nodes = [redis.cluster.ClusterNode(door.host, door.port) for door in at.seeds]
            try:
                cluster = redis.RedisCluster(
                    startup_nodes=nodes,
                    require_full_coverage=False,
                    socket_timeout=seconds,
                    **again,
                    **_connecting(at),
                )
            except RedisClusterException as error:
                raise redis.ConnectionError(str(error)) from error
            return cast("redis.Redis", cluster)
        case Topology.SENTINEL:
            sentinels = redis.Sentinel(
                [(door.host, door.port) for door in at.seeds],
                sentinel_kwargs={**_asking(at), "socket_timeout": seconds},
                socket_timeout=seconds,
                **again,
                **_connecting(at),
            )
            return cast("redis.Redis", sentinels.master_for(at.master, connection_pool_class=_Pool))


def async_client(url: str, connect_within: float, *, again: bool = True) -> redis.asyncio.Redis:
    """Return a client for a loop; it connects when it is first used, and `client_of` tells what it is.

    ``connect_within`` is in seconds. Unless ``again`` is true, a lost connection is told at once.
    """
    at = RedisUrl.of(url)
    options: dict[str, Any] = {"socket_connect_timeout": connect_within}
    if not again:
        options["retry"] = AsyncRetry(NoBackoff(), 0)
    match at.kind:
        case Topology.SERVER:
            return redis.asyncio.Redis.from_url(url, **options)
        case Topology.CLUSTER:
            nodes = [redis.asyncio.cluster.ClusterNode(door.host, door.port) for door in at.seeds]
            options["retry"] = AsyncRetry(NoBackoff(), 1)  # the second try knows where the slots are now
            cluster = redis.asyncio.RedisCluster(
                startup_nodes=nodes, require_full_coverage=False, **options, **_connecting(at)
            )
            return cast("redis.asyncio.Redis", cluster)
        case Topology.SENTINEL:
            sentinels = redis.asyncio.Sentinel(
                [(door.host, door.port) for door in at.seeds],
                sentinel_kwargs={**_asking(at), "socket_timeout": connect_within, **options},
                **options,
                **_connecting(at),
            )
            return cast(
                "redis.asyncio.Redis", sentinels.master_for(at.master, connection_pool_class=_AsyncPool)
            )


def run_script(client: redis.Redis | redis.asyncio.Redis, call: Call) -> Any:
    """Run a script by its source; of an asynchronous client, the result is to be awaited."""
    script, keys, arguments = call
    return client.execute_command("EVAL", script.source, len(keys), *keys, *arguments)


@contextlib.asynccontextmanager
async def subscribed(
    client: redis.asyncio.Redis, *channels: str
) -> AsyncIterator[redis.asyncio.client.PubSub]:
    """Subscribe to channels; the subscription gives what is published from now on.

    Each node of a Cluster hears what is published at any of them, so one is picked at random: a
    client that lost its subscription with a node soon finds another.
    """
    if isinstance(client, redis.asyncio.RedisCluster):
        await client.initialize()
        node = random.choice(client.get_nodes())  # noqa: S311 - spreads load, guards nothing
        subscription = client.pubsub(node=node, ignore_subscribe_messages=True)
    else:
        subscription = client.pubsub(ignore_subscribe_messages=True)
    async with subscription:
        await subscription.subscribe(*channels)
        yield subscription


class _Pool(redis.sentinel.SentinelConnectionPool):
    """Ends with the connections to the Sentinels, which nobody else has."""

    def close(self) -> None:
        super().close()
        self.sentinel_manager.close()


class _AsyncPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Ends with the connections to the Sentinels, which nobody else has."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _connecting(at: RedisUrl) -> dict[str, Any]:
    """Return how to connect to any server of a deployment, as redis-py wants to be told."""
    options = dict(parse_url(at.url))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    if at.login.tls is not None:
        options["ssl"] = True
    if at.kind is Topology.CLUSTER:
        options.pop("db", None)
    return options


def _asking(at: RedisUrl) -> dict[str, Any]:
    """Return how to connect to a Sentinel: with its own login, and TLS as the servers have it."""
    shared = {name: value for name, value in _connecting(at).items() if name.startswith("ssl")}
    door = at.seeds[0]
    return {**shared, "username": door.username, "password": door.password}
