"""A Redis Cluster: each script goes to the node that owns its keys' slot.

Every node has its own connection and its own breaker, so that a dead one costs only the people whose
keys it holds. Who owns what is read at the start, and again when a node is lost or redirects us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

import hiredis

from sms_router.store.address import Address
from sms_router.store.connection import RedisReply, ask_once
from sms_router.store.errors import RedirectedError, StoreUnavailableError
from sms_router.store.keys import ALL_BUCKETS
from sms_router.store.resilient_connection import STALL_TIMEOUT, Observe, RedisClient, unobserved
from sms_router.store.scripts import Call
from sms_router.store.slots import SLOT_OF_BUCKET, Node, Redirection, RedirectKind, owners_of, slot_of
from sms_router.store.url import RedisUrl
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.store")

MOST_TURNS = 16
"""Redirections that one script run follows, tries again included."""

TRY_AGAIN_AFTER = 0.02
"""Seconds; a slot on its way has some of the keys here and some there."""

ANSWER_WITHIN = 0.5
"""Seconds for one node to say who owns what; then the next one is asked."""

PAUSE = 0.25
"""Seconds between two looks at the Cluster, however much redirects us."""

LOOK_AGAIN = 1.0
"""Seconds after which the Cluster is looked at again while a node does not serve."""

LONGEST_WAIT = 30.0
"""Seconds at the most until what could not be done is tried again, though every node serves: a slot may
be on its way for minutes."""

_BUCKET_AT = dict(zip(SLOT_OF_BUCKET, ALL_BUCKETS, strict=True))


class RedisClusterClient:
    """The nodes that hold our keys. Has what `Server` has, for keys of many slots."""

    def __init__(self, deployment: RedisUrl, observe: Observe = unobserved) -> None:
        """Remember the nodes to ask first, and who is told how long they take; `start` connects."""
        self._observe = observe
        self._seeds = deployment.seeds
        self._login = deployment.login
        self._nodes: dict[Node, RedisClient] = {}
        self._owners: dict[int, RedisClient] = {}
        self._starting: dict[Node, asyncio.Task[None]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._attention = asyncio.Event()
        self._on_return: Callable[[], Awaitable[None]] | None = None
        self._wanted = False
        """True while something waits to be done with ``on_return``."""
        self._wait = LOOK_AGAIN
        self._not_before = 0.0
        self._doubtful = False
        self._unknown: str | None = "not connected yet"
        """Why nobody could say who owns what, or None."""

    @property
    def trouble(self) -> str | None:
        """Which nodes do not serve and why, or None while all of them do."""
        if not self._owners:
            return self._unknown
        held = Counter(map(id, self._owners.values()))
        reasons = [
            f"node {node.host}:{node.port} with {held[id(server)]} of {len(SLOT_OF_BUCKET)} parts of the"
            f" data: {server.trouble}"
            for node, server in self._nodes.items()
            if server.trouble is not None and id(server) in held
        ]
        if orphans := len(SLOT_OF_BUCKET) - len(self._owners):
            reasons.append(f"no node has {orphans} of {len(SLOT_OF_BUCKET)} parts of the data")
        return "; ".join(reasons) or None

    async def start(self, on_return: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect to the nodes, or begin to look for them; ``on_return`` is as `Server.start` has it."""
        self._on_return = on_return
        await self._look()
        await asyncio.gather(*self._starting.values(), return_exceptions=True)
        self.ask_for_return()
        self._keeper = asyncio.create_task(self._keep(), name="cluster-keeper")

    async def aclose(self) -> None:
        """Close everything; callers that wait for an answer are told."""
        await cancel_and_wait(self._keeper)
        await self._leave(tuple(self._nodes))
        self._unknown = "closed"

    def ask_for_return(self) -> None:
        """Run ``on_return`` again soon: something waits for it."""
        self._wanted = True
        self._attention.set()

    async def run(
        self,
        call: Call,
        patience: float | None = None,
    ) -> RedisReply:
        """Run a script where its keys are; they share one slot.

        Raises:
            StoreUnavailableError: as `Server.run`, when that node does not serve.
            ScriptFailedError: when it serves and this script run failed.

        """
        slot = slot_of(call[1][0])
        owner = self._owners.get(slot)
        if owner is None:
            raise StoreUnavailableError(self.trouble or f"no node has the slot {slot}")
        try:
            return await owner.run(call, patience)
        except RedirectedError as error:
            return await self._follow(error, slot, call, patience)

    async def _follow(
        self,
        error: RedirectedError,
        slot: int,
        call: Call,
        patience: float | None,
    ) -> RedisReply:
        """Run it where it was sent, for as long as one answer may be owed."""
        loop = asyncio.get_running_loop()
        until = loop.time() + (STALL_TIMEOUT if patience is None else min(patience, STALL_TIMEOUT))
        for _ in range(MOST_TURNS):
            server, turn = await self._turned(error.redirection, slot)
            left = until - loop.time()
            if server is None or left <= 0:
                break
            run = server.run_asking if turn is RedirectKind.ASK else server.run
            try:
                return await run(call, left)
            except RedirectedError as another:
                error = another
        raise StoreUnavailableError(f"{error}, and so on: its slot is on its way") from error

    async def _turned(self, redirection: Redirection, slot: int) -> tuple[RedisClient | None, RedirectKind]:
        """Return who is to be asked now."""
        turn, node = redirection
        if node is None:
            await asyncio.sleep(TRY_AGAIN_AFTER)
            return self._owners.get(slot), turn
        server = self._node(node)
        if turn is RedirectKind.MOVED:
            self._owners[slot] = server
            self._invalidate_topology()
        if (starting := self._starting.get(node)) is not None:
            await asyncio.wait({starting}, timeout=STALL_TIMEOUT)
        return server, turn

    def _node(self, node: Node) -> RedisClient:
        """Return a node's server, and begin to connect to one that is new."""
        if (server := self._nodes.get(node)) is None:
            address = replace(self._login, host=node.host, port=node.port)

            async def locate() -> Address:
                return address

            server = self._nodes[node] = RedisClient(
                locate,
                node=str(address),
                on_change=self._invalidate_topology,
                probe=ALL_BUCKETS[0].probe,
                observe=self._observe,
            )
            starting = asyncio.create_task(server.start(self._came_back), name=f"start-{address}")
            self._starting[node] = starting
            starting.add_done_callback(lambda _: self._starting.pop(node, None))
        return server

    async def _came_back(self) -> None:
        self.ask_for_return()

    def _invalidate_topology(self) -> None:
        """Have the Cluster looked at soon: somebody may own other slots than we know."""
        self._doubtful = True
        self._attention.set()

    async def _keep(self) -> None:
        """Look at the Cluster when something has changed; call ``on_return`` when all of it serves again."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest(loop.time())):
                    await self._attention.wait()
            self._attention.clear()
            if self._doubtful or (self.trouble is not None and loop.time() - looked >= LOOK_AGAIN):
                self._doubtful = False
                looked = loop.time()
                await self._look()
            if self._wanted and self.trouble is None and loop.time() >= self._not_before:
                await self._do_what_waited()
            await asyncio.sleep(PAUSE)

    def _rest(self, now: float) -> float | None:
        """Return after how many seconds there is something to do, even if nobody calls."""
        if self.trouble is not None:
            return LOOK_AGAIN
        return max(0.0, self._not_before - now) if self._wanted else None

    async def _do_what_waited(self) -> None:
        self._wanted = False
        try:
            if self._on_return is not None:
                await self._on_return()
            self._wait = LOOK_AGAIN
        except StoreUnavailableError:
            self._wanted = True
            self._not_before = asyncio.get_running_loop().time() + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT)
        except Exception:
            log.exception("work that waited for Redis failed")

    async def _look(self) -> None:
        """Learn who owns what, of the first node that says so; ours that serve are asked first."""
        known = sorted(self._nodes.items(), key=lambda each: each[1].trouble is not None)
        nodes = [replace(self._login, host=node.host, port=node.port) for node, _ in known]
        reasons = []
        for address in dict.fromkeys((*nodes, *self._seeds)):
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    answer = await ask_once(address, ("CLUSTER", "SLOTS"))
            except (OSError, TimeoutError, StoreUnavailableError) as error:
                reasons.append(f"{address}: {str(error) or 'no answer in time'}")
                continue
            if isinstance(answer, hiredis.ReplyError):
                reasons.append(_explained(address, answer))
            elif owners := owners_of(SLOT_OF_BUCKET, answer, address.host):
                await self._apply_topology(owners)
                return
            else:
                reasons.append(f"{address}: knows of no slots; is the Cluster set up?")
        self._unknown = f"no node of the Cluster can be asked: {'; '.join(reasons)}"

    async def _apply_topology(self, owners: Mapping[int, Node]) -> None:
        """Take over who owns what, and leave the nodes that own nothing any more."""
        for slot, node in owners.items():
            self._node(node).probe = _BUCKET_AT[slot].probe
        self._owners = {slot: self._node(node) for slot, node in owners.items()}
        if gone := [node for node in self._nodes if node not in set(owners.values())]:
            await asyncio.sleep(STALL_TIMEOUT)  # nobody is owed an answer for longer
            still = {id(server) for server in self._owners.values()}
            await self._leave([node for node in gone if id(self._nodes[node]) not in still])

    async def _leave(self, nodes: Collection[Node]) -> None:
        leaving = [self._nodes.pop(node) for node in nodes]
        starting = [self._starting[node] for node in nodes if node in self._starting]
        await cancel_and_wait(*starting)
        await asyncio.gather(*(server.aclose() for server in leaving))


def _explained(address: Address, error: hiredis.ReplyError) -> str:
    if "cluster support disabled" in str(error):
        return f"{address} is no node of a Cluster; set REDIS_URL=redis://{address}"
    return f"{address}: {error}"
