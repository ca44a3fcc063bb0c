"""Faults of the network and of the servers, where Redis has several: Sentinel and Cluster sets.

``server0`` is the first master, ``server1`` its replica with Sentinels; in the Cluster ``server3`` is. The
routers are ``a`` and ``b``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from loadtests.chaos.deployment import Deployment, Requirements, StoreKind
from loadtests.chaos.network import Cut, Link
from tests.store.private_cluster import PrivateCluster
from tests.store.private_sentinels import PrivateSentinels
from tests.store.processes import ServerProcess

Action = Callable[[Deployment], Awaitable[None]]

SENTINEL, CLUSTER = Requirements(store=StoreKind.SENTINEL), Requirements(store=StoreKind.CLUSTER)
MIN_REPLICAS = Requirements(store=StoreKind.SENTINEL, min_replicas=1)
_SENTINELS = ("sentinel0", "sentinel1", "sentinel2")
_OTHER_NODES = ("server1", "server2", "server3", "server4", "server5")


def links(parties: Iterable[str], servers: Iterable[str], *, both_ways: bool = False) -> list[Link]:
    """Return the links from each party to each server; with ``both_ways`` also those back."""
    servers = list(servers)
    there = [Link(party, server) for party in parties for server in servers]
    return there + ([Link(link.server, link.party) for link in there] if both_ways else [])


def _cut(cut: Iterable[Link], what: Cut = Cut.ALL) -> Action:
    async def act(deployment: Deployment) -> None:
        deployment.network.cut(cut, what)

    return act


def _flap(flapping: Iterable[Link]) -> Action:
    async def act(deployment: Deployment) -> None:
        deployment.network.flap(flapping)

    return act


def _delay(delayed: Iterable[Link], seconds: float) -> Action:
    async def act(deployment: Deployment) -> None:
        deployment.network.delay(delayed, seconds)

    return act


async def repair(deployment: Deployment) -> None:
    """Repair every link, and start the server that was killed or frozen."""
    await deployment.network.repair()
    first = _servers(deployment)[0]
    first.thaw() if first.is_running else await asyncio.to_thread(first.start)


def _on_first(*methods: str) -> Action:
    """Call methods of the first server, one after the other."""

    async def act(deployment: Deployment) -> None:
        for method in methods:
            await asyncio.to_thread(getattr(_servers(deployment)[0], method))

    return act


async def _kill_behind(deployment: Deployment) -> None:
    """Cut the replica off, and kill the master a moment later: the replica lacks what came between."""
    deployment.network.cut(links(["server1"], ["server0"]))
    await asyncio.sleep(0.4)
    await _on_first("kill")(deployment)


async def _fail_over(deployment: Deployment) -> None:
    store = deployment.store
    if isinstance(store, PrivateSentinels):
        await asyncio.to_thread(store.fail_over)
    else:
        assert isinstance(store, PrivateCluster)
        with store.replicas[0].client() as client:
            await asyncio.to_thread(partial(client.execute_command, "CLUSTER", "FAILOVER"))


def _servers(deployment: Deployment) -> list[ServerProcess]:
    store = deployment.store
    if isinstance(store, PrivateSentinels):
        return store.servers
    assert isinstance(store, PrivateCluster)
    return store.nodes


SPLIT = [
    *links(["a"], ["server1", "sentinel1", "sentinel2"]),
    *links(["b"], ["server0", "sentinel0"]),
    *links(["server1", "sentinel1", "sentinel2"], ["server0"]),
    *links(["sentinel0"], ["server1"]),
    *links(["sentinel0"], ["sentinel1", "sentinel2"], both_ways=True),
]
"""Router a, the master and one Sentinel on one side; router b, the replica and two Sentinels on the other."""

_A = ["a"]
_NODE_CUT_OFF = links(["server0"], _OTHER_NODES, both_ways=True)
PARTITIONS: tuple[tuple[str, Requirements, str, Action], ...] = (
    ("sentinel-failover", SENTINEL, "the master and its replica are exchanged on request", _fail_over),
    ("sentinel-killed", SENTINEL, "the master is killed", _on_first("kill")),
    ("sentinel-frozen", SENTINEL, "the master is frozen; thawed, it takes itself for the master",
     _on_first("freeze")),
    ("sentinel-behind", SENTINEL, "the replica lacks 0.4 s when the master is killed", _kill_behind),
    ("sentinel-emptied", SENTINEL, "the master starts again without its data", _on_first("kill", "start")),
    ("sentinel-cut-off", SENTINEL, "the replica and the Sentinels cannot reach the master, the routers can",
     _cut(links(["server1", *_SENTINELS], ["server0"]))),
    ("sentinel-split", SENTINEL, "a, the master and a Sentinel cannot reach b, the replica, two Sentinels",
     _cut(SPLIT)),
    ("sentinel-split-safe", MIN_REPLICAS, "the same with min-replicas-to-write 1", _cut(SPLIT)),
    ("sentinels-cut", SENTINEL, "the routers cannot reach the Sentinels", _cut(links("ab", _SENTINELS))),
    ("router-cut", SENTINEL, "a cannot reach the master", _cut(links(_A, ["server0"]))),
    ("router-deaf", SENTINEL, "the master receives what a sends, a does not receive the answers",
     _cut(links(_A, ["server0"]), Cut.ANSWERS)),
    ("router-mute", SENTINEL, "the master does not receive what a sends",
     _cut(links(_A, ["server0"]), Cut.REQUESTS)),
    ("router-flaps", SENTINEL, "a reaches Redis for 0.6 s, and not for 0.6 s", _flap(links(_A, ["*"]))),
    ("routers-flap", SENTINEL, "both routers do so", _flap(links("ab", ["*"]))),
    ("router-slow", SENTINEL, "from a to Redis and back takes 160 ms", _delay(links(_A, ["*"]), 0.08)),
    ("cluster-failover", CLUSTER, "a node and its replica are exchanged on request", _fail_over),
    ("cluster-killed", CLUSTER, "a node is killed", _on_first("kill")),
    ("cluster-frozen", CLUSTER, "a node is frozen", _on_first("freeze")),
    ("cluster-cut-off", CLUSTER, "a node cannot reach the others, the routers can", _cut(_NODE_CUT_OFF)),
    ("cluster-split", CLUSTER, "a and a node cannot reach b and the other nodes",
     _cut([*_NODE_CUT_OFF, *links(_A, _OTHER_NODES), *links("b", ["server0"])])),
    ("cluster-router-cut", CLUSTER, "a cannot reach one node", _cut(links(_A, ["server0"]))),
    ("cluster-router-flaps", CLUSTER, "a reaches the nodes for 0.6 s, and not for 0.6 s",
     _flap(links(_A, ["*"]))),
)  # fmt: skip
"""Name, what it needs, description, and how it begins; `repair` ends each."""
