"""redis-py clients for everything off the hot path, whatever the topology of Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from sms_router.store.errors import StoreUnavailableError
from sms_router.store.scripts import Call
from sms_router.store.sentinel import SentinelLocator
from sms_router.store.url import RedisUrl, Topology

FIRST_RESPONSE_TIMEOUT = 5.0
"""Seconds for the response to SUBSCRIBE."""

POLL_INTERVAL = 10.0
"""Seconds until a refused subscription is tried again."""

CLIENT_ERRORS = (RedisError, RedisClusterException)
"""What these clients raise when Redis does not serve; a Cluster has an exception class of its own."""


def sync_client(url: str, seconds: float = 10.0, *, attempts: int | None = None) -> redis.Redis:
    """Return a client for a command or a thread.

    A Cluster's client has the same commands, for keys of one slot at a time and for pipelines over many.

    Args:
        url: a Redis URL.
        seconds: for each response.
        attempts: when the connection is lost, without a pause; None to try again for some seconds.

    Raises:
        redis.RedisError: when no node of a Cluster responds.

    """
    timeout = {"socket_timeout": seconds}
    options = timeout if attempts is None else {**timeout, "retry": Retry(NoBackoff(), attempts - 1)}
    try:
        return cast("redis.Redis", _client_of(redis, RedisUrl.parse(url), options, timeout, _Pool))
    except RedisClusterException as error:
        raise redis.ConnectionError(str(error)) from error


def async_client(url: str, connect_within: float, *, retry: bool = True) -> redis.asyncio.Redis:
    """Return a client for an event loop, like that of `sync_client`; it connects at the first command.

    Args:
        url: a Redis URL.
        connect_within: seconds.
        retry: try again for some seconds when the connection is lost; otherwise not at all.

    """
    parsed = RedisUrl.parse(url)
    options: dict[str, Any] = {"socket_connect_timeout": connect_within}
    if parsed.topology is Topology.CLUSTER:
        options["retry"] = AsyncRetry(NoBackoff(), 1)  # the second attempt has the present topology
    elif not retry:
        options["retry"] = AsyncRetry(NoBackoff(), 0)
    client = _client_of(
        redis.asyncio, parsed, options, {"socket_timeout": connect_within, **options}, _AsyncPool
    )
    if parsed.topology is Topology.SENTINEL:
        client.connection_pool.locator = SentinelLocator(parsed)
    return cast("redis.asyncio.Redis", client)


def _client_of(
    module: Any, url: RedisUrl, options: Mapping[str, Any], of_sentinels: Mapping[str, Any], pool: type
) -> Any:
    """Return a client of `redis` or `redis.asyncio`, with options for the servers and for the Sentinels."""
    match url.topology:
        case Topology.SERVER:
            return module.Redis.from_url(url.first_url, **options)
        case Topology.CLUSTER:
            nodes = [module.cluster.ClusterNode(node.host, node.port) for node in url.seeds]
            return module.RedisCluster(
                startup_nodes=nodes, require_full_coverage=False, **options, **_server_options(url)
            )
        case Topology.SENTINEL:
            sentinels = module.Sentinel(
                [(sentinel.host, sentinel.port) for sentinel in url.seeds],
                sentinel_kwargs={**_sentinel_options(url), **of_sentinels},
                **options,
                **_server_options(url),
            )
            return sentinels.master_for(url.master, connection_pool_class=pool)


def run_script(client: redis.Redis | redis.asyncio.Redis, call: Call) -> Any:
    """Run a script by its source; an asynchronous client returns an awaitable."""
    script, keys, arguments = call
    return client.execute_command("EVAL", script.source, len(keys), *keys, *arguments)


@contextlib.asynccontextmanager
async def subscribed(
    client: redis.asyncio.Redis, *channels: str
) -> AsyncIterator[redis.asyncio.client.PubSub | RefusedSubscription]:
    """Subscribe to channels; yield the subscription.

    Every node of a Cluster receives what is published at any of them, so a random one is used: a client
    that loses it soon finds another.
    """
    if isinstance(client, redis.asyncio.RedisCluster):
        await client.initialize()
        node = random.choice(client.get_nodes())  # noqa: S311 (spreads the load; not for security)
        subscription = client.pubsub(node=node, ignore_subscribe_messages=True)
    else:
        subscription = client.pubsub(ignore_subscribe_messages=True)
    async with subscription:
        await subscription.subscribe(*channels)
        try:
            await subscription.parse_response(timeout=FIRST_RESPONSE_TIMEOUT)
        except redis.exceptions.NoPermissionError:
            # No outage: `server_check` names the missing right. Until it is granted, the callers poll.
            yield RefusedSubscription()
            return
        yield subscription


class RefusedSubscription:
    """In the place of a subscription that the user may not have: it ends after a while, without a message."""

    async def listen(self) -> AsyncIterator[Any]:
        await asyncio.sleep(POLL_INTERVAL)
        nothing: tuple[Any, ...] = ()
        for message in nothing:
            yield message


class _Pool(redis.sentinel.SentinelConnectionPool):
    """Closes the connections to the Sentinels as well."""

    def close(self) -> None:
        super().close()
        self.sentinel_manager.close()


class _AsyncPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Uses the Sentinel that has seen the latest failover; closes the connections to the Sentinels too."""

    locator: SentinelLocator

    async def get_master_address(self) -> tuple[str, int]:
        try:
            located = await self.locator.locate()
        except StoreUnavailableError as error:
            raise redis.sentinel.MasterNotFoundError(str(error)) from error
        address = located.host, located.port
        if self.master_address != address:
            self.master_address = address
            await self.disconnect(inuse_connections=False)
        return address

    async def aclose(self) -> None:
        await super().aclose()
        await self.locator.aclose()
        await self.sentinel_manager.aclose()


def _server_options(url: RedisUrl) -> dict[str, Any]:
    """Return redis-py's options for a connection to any server of the deployment."""
    options = dict(parse_url(url.first_url))
    for name in ("host", "port", "connection_class"):
        options.pop(name, None)
    if url.login.tls is not None:
        options["ssl"] = True
    if url.topology is Topology.CLUSTER:
        options.pop("db", None)
    return options


def _sentinel_options(url: RedisUrl) -> dict[str, Any]:
    """Return redis-py's options for a connection to a Sentinel: its own login, and the servers' TLS."""
    tls = {name: value for name, value in _server_options(url).items() if name.startswith("ssl")}
    sentinel = url.seeds[0]
    return {**tls, "username": sentinel.username, "password": sentinel.password}
