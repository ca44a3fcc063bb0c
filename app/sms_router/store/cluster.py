"""A Redis Cluster: each script runs on the node that has the slot of its keys.

Every node has its own connection and circuit breaker, so that a dead node affects only the contacts whose
keys it has. The topology is read at the start, and again when a node is lost or redirects a command.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

import hiredis
from redis.crc import key_slot

from sms_router.store.connection import RedisReply, run_once
from sms_router.store.errors import RedirectedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.resilient_connection import STALL_TIMEOUT, Observe, RedisClient, Restore, RunRecorder
from sms_router.store.scripts import Call
from sms_router.store.slots import PROBE_OF_SLOT, SLOT_OF_BUCKET, Node, Redirection, RedirectKind, owners_of
from sms_router.store.url import Address, RedisUrl
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.store")

MAX_REDIRECTS = 16
"""Redirections that one call follows, TRYAGAIN included."""

TRYAGAIN_INTERVAL = 0.02
"""Seconds; a slot that is being moved has some of the keys on each node."""

TOPOLOGY_TIMEOUT = 0.5
"""Seconds for one node to return the topology; then the next one is asked."""

MIN_REFRESH_INTERVAL = 0.25
"""Seconds between two readings of the topology, however many commands are redirected."""

REFRESH_INTERVAL = 1.0
"""Seconds between two readings of the topology while a node does not serve."""

MAX_RETRY_INTERVAL = 30.0
"""Seconds until ``on_reconnect`` is called again, though every node serves: moving a slot takes minutes."""

_BUCKET_SLOTS = frozenset(SLOT_OF_BUCKET)


class RedisClusterClient:
    """The nodes that have our keys; with the interface of `RedisClient`, for keys of many slots."""

    def __init__(self, url: RedisUrl, observe: Observe, restore: Restore, recorder: RunRecorder) -> None:
        self._observe = observe
        self._restore = restore
        self._recorder = recorder
        self._url = url
        self._nodes: dict[Node, RedisClient] = {}
        self._owners: dict[int, RedisClient] = {}
        """By slot."""
        self._starting: dict[Node, asyncio.Task[None]] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._on_reconnect: Callable[[], Awaitable[None]] | None = None
        self._is_pending = False
        """Whether ``on_reconnect`` is to be called."""
        self._retry_interval = REFRESH_INTERVAL
        self._retry_at = 0.0
        self._is_stale = False
        """Whether the topology may have changed."""
        self._topology_error: str | None = "not connected yet"
        """Why no node has returned the topology."""

    @property
    def error(self) -> str | None:
        """Which nodes do not serve and why; None while all of them do."""
        if not self._owners:
            return self._topology_error
        owners = [client for slot, client in self._owners.items() if slot in _BUCKET_SLOTS]
        slots = Counter(map(id, owners))
        reasons = [
            f"node {node.host}:{node.port} with {slots[id(client)]} of {len(SLOT_OF_BUCKET)} parts of the"
            f" data: {client.error}"
            for node, client in self._nodes.items()
            if client.error is not None and id(client) in slots
        ]
        if missing := len(SLOT_OF_BUCKET) - len(owners):
            reasons.append(f"no node has {missing} of {len(SLOT_OF_BUCKET)} parts of the data")
        return "; ".join(reasons) or None

    async def start(self, on_reconnect: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect to the nodes, now or later; ``on_reconnect`` is as in `RedisClient.start`."""
        self._on_reconnect = on_reconnect
        await self._read_topology()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        self.retry_pending()
        self._refreshing = asyncio.create_task(self._refresh_loop(), name="cluster-refresh")

    async def aclose(self) -> None:
        """Close every connection; pending callers fail."""
        await cancel_and_wait(self._refreshing)
        await self._disconnect(tuple(self._nodes))
        self._topology_error = "closed"

    def retry_pending(self) -> None:
        """Call ``on_reconnect`` again soon, because something waits for it."""
        self._is_pending = True
        self._wake.set()

    def reset(self, reason: str) -> None:
        """Take every node for a new one, because data was lost: reconnect, and restore."""
        for client in self._nodes.values():
            client.reset(reason)

    async def run(self, call: Call, time_limit: float | None = None) -> RedisReply:
        """Run a script on the node of its keys, which share one slot.

        Raises:
            StoreUnavailableError: as `RedisClient.run`, when that node does not serve.
            ScriptFailedError: when it serves and this script failed.

        """
        slot = key_slot(call[1][0])
        owner = self._owners.get(slot)
        if owner is None:
            raise StoreUnavailableError(self.error or f"no node has the slot {slot}")
        try:
            return await owner.run(call, time_limit)
        except RedirectedError as error:
            return await self._follow(error, slot, call, time_limit)

    async def _follow(
        self, error: RedirectedError, slot: int, call: Call, time_limit: float | None
    ) -> RedisReply:
        """Follow redirections for as long as one response may take."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (STALL_TIMEOUT if time_limit is None else min(time_limit, STALL_TIMEOUT))
        for _ in range(MAX_REDIRECTS):
            client = await self._redirect(error.redirection, slot)
            remaining = deadline - loop.time()
            if client is None or remaining <= 0:
                break
            run = client.run_asking if error.redirection.kind is RedirectKind.ASK else client.run
            try:
                return await run(call, remaining)
            except RedirectedError as another:
                error = another
        raise StoreUnavailableError(f"{error}, and so on: its slot is being moved") from error

    async def _redirect(self, redirection: Redirection, slot: int) -> RedisClient | None:
        kind, node = redirection
        if node is None:
            await asyncio.sleep(TRYAGAIN_INTERVAL)
            return self._owners.get(slot)
        client = self._client_of(node)
        if kind is RedirectKind.MOVED:
            self._owners[slot] = client
            self._invalidate_topology()
        if (starting := self._starting.get(node)) is not None:
            await asyncio.wait({starting}, timeout=STALL_TIMEOUT)
        return client

    def _client_of(self, node: Node) -> RedisClient:
        """Return a node's client; that of a new node starts to connect."""
        if (client := self._nodes.get(node)) is None:
            address = replace(self._url.login, host=node.host, port=node.port)

            async def locate() -> Address:
                return address

            client = self._nodes[node] = RedisClient(
                locate,
                node=str(address),
                on_change=self._invalidate_topology,
                probe=ALL_BUCKETS[0].probe,
                observe=self._observe,
                restore=self._restore,
                recorder=self._recorder,
            )
            starting = asyncio.create_task(client.start(self._on_node_reconnect), name=f"start-{address}")
            self._starting[node] = starting
            starting.add_done_callback(lambda _: self._starting.pop(node, None))
        return client

    async def _on_node_reconnect(self) -> None:
        self.retry_pending()

    def _invalidate_topology(self) -> None:
        self._is_stale = True
        self._wake.set()

    async def _refresh_loop(self) -> None:
        """Read the topology when it may have changed; call ``on_reconnect`` when all nodes serve again."""
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._max_sleep(loop.time())):
                    await self._wake.wait()
            self._wake.clear()
            if self._is_stale or (self.error is not None and loop.time() - read_at >= REFRESH_INTERVAL):
                self._is_stale = False
                read_at = loop.time()
                await self._read_topology()
            if self._is_pending and self.error is None and loop.time() >= self._retry_at:
                await self._call_on_reconnect()
            await asyncio.sleep(MIN_REFRESH_INTERVAL)

    def _max_sleep(self, now: float) -> float | None:
        if self.error is not None:
            return REFRESH_INTERVAL
        return max(0.0, self._retry_at - now) if self._is_pending else None

    async def _call_on_reconnect(self) -> None:
        self._is_pending = False
        try:
            if self._on_reconnect is not None:
                await self._on_reconnect()
            self._retry_interval = REFRESH_INTERVAL
        except StoreUnavailableError:
            self._is_pending = True
            self._retry_at = asyncio.get_running_loop().time() + self._retry_interval
            self._retry_interval = min(self._retry_interval * 2, MAX_RETRY_INTERVAL)
        except Exception:
            log.exception("work that waited for Redis failed")

    async def _read_topology(self) -> None:
        """Read the topology from the first node that returns it; connected nodes are tried first."""
        known = sorted(self._nodes.items(), key=lambda item: item[1].error is not None)
        nodes = [replace(self._url.login, host=node.host, port=node.port) for node, _ in known]
        reasons = []
        for address in dict.fromkeys((*nodes, *self._url.seeds)):
            try:
                async with asyncio.timeout(TOPOLOGY_TIMEOUT):
                    response = await run_once(address, ("CLUSTER", "SLOTS"))
            except (OSError, TimeoutError, StoreUnavailableError) as error:
                reasons.append(f"{address}: {str(error) or 'no response in time'}")
                continue
            if isinstance(response, hiredis.ReplyError):
                reasons.append(_describe(address, response))
            elif owners := owners_of(PROBE_OF_SLOT, response, address.host):
                await self._apply_topology(owners)
                return
            else:
                reasons.append(f"{address}: has no slots; is the Cluster set up?")
        self._topology_error = f"no node of the Cluster responds: {'; '.join(reasons)}"

    async def _apply_topology(self, owners: Mapping[int, Node]) -> None:
        """Use the new owners, and disconnect from nodes that have no slot any more."""
        for slot, node in owners.items():
            self._client_of(node).probe = PROBE_OF_SLOT[slot]
        self._owners = {slot: self._client_of(node) for slot, node in owners.items()}
        if leaving := [node for node in self._nodes if node not in set(owners.values())]:
            await asyncio.sleep(STALL_TIMEOUT)  # every pending response has arrived or failed by then
            used = {id(client) for client in self._owners.values()}
            await self._disconnect([node for node in leaving if id(self._nodes[node]) not in used])

    async def _disconnect(self, nodes: Collection[Node]) -> None:
        clients = [self._nodes.pop(node) for node in nodes]
        starting = [self._starting[node] for node in nodes if node in self._starting]
        await cancel_and_wait(*starting)
        await asyncio.gather(*(client.aclose() for client in clients))


def _describe(address: Address, error: hiredis.ReplyError) -> str:
    if "cluster support disabled" in str(error):
        return f"{address} is no node of a Cluster; set REDIS_URL=redis://{address}"
    return f"{address}: {error}"
