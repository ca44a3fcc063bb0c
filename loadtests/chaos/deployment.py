"""The target of the faults: two replicas, their Valkey, an offline Twilio, and an upstream application."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import aiohttp
import psutil

from loadtests.chaos.network import Network
from loadtests.chaos.upstream import UpstreamApplication
from loadtests.workload.configuration import REPOSITORY, write_configuration
from loadtests.workload.webhook import Account
from sms_router.sandbox.hosting import free_port
from tests.end_to_end import adjustable_clock
from tests.end_to_end.adjustable_clock import AdjustableClock
from tests.end_to_end.router_process import ACCOUNT, PUBLIC, SERVICE, TOKEN, RouterProcess
from tests.store.private_cluster import PrivateCluster
from tests.store.private_sentinels import PrivateSentinels
from tests.store.private_valkey import PrivateValkey
from tests.store.slow_proxy import SlowProxy
from tests.store.valkey_clock import preload

DEADLINE = 4.0
"""The inline deadline in seconds: short, so that a hanging handler has an effect within a scenario, and
longer than the lease of a claim (3 s)."""

START_TIMEOUT = 30.0

SERVICES = """
[[services]]
sid = "{service}"
account = "{account}"
refresh_after = 1
"""
"""The Sender Pool is read every second, so that faults of Twilio's API have an effect."""

TWILIO_ACCOUNT = Account(ACCOUNT, TOKEN, SERVICE, PUBLIC)


class StoreKind(Enum):
    VALKEY = "one Valkey"
    SENTINEL = "a master and its replica, with three Sentinels"
    CLUSTER = "three nodes with a replica each"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a scenario needs in addition."""

    workers: int = 1
    """Processes of the first replica."""
    has_slow_store: bool = False
    """A proxy before Valkey that can delay its answers."""
    has_adjustable_clocks: bool = False
    """Wall clocks of the replicas and of Valkey that can be set."""
    store: StoreKind = StoreKind.VALKEY
    """Others are behind a network that can be cut."""
    min_replicas: int = 0
    """Replicas without which a master refuses to write."""


NO_REQUIREMENTS = Requirements()


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall clocks of the processes."""

    valkey: AdjustableClock
    replicas: tuple[AdjustableClock, AdjustableClock]


@dataclass(slots=True)
class Deployment:
    """Everything that runs."""

    store: PrivateValkey | PrivateSentinels | PrivateCluster
    network: Network
    proxy: SlowProxy | None
    replicas: tuple[RouterProcess, RouterProcess]
    sandbox_url: str
    upstream: UpstreamApplication
    clocks: Clocks | None = None
    """None if the clocks cannot be set."""
    errors: list[str] = field(default_factory=list)
    """Errors of the routers themselves."""

    @property
    def valkey(self) -> PrivateValkey:
        """The store of scenarios with one server."""
        assert isinstance(self.store, PrivateValkey)
        return self.store

    def workers(self, replica: RouterProcess) -> list[psutil.Process]:
        """Return the running worker processes of a replica."""
        assert replica.process is not None
        if replica.process.poll() is not None:
            return []
        parent = psutil.Process(replica.process.pid)
        return [*filter(_is_worker, parent.children())] or [parent]

    async def set_twilio_faults(self, faults: dict[str, object] | None) -> None:
        """Switch faults of the offline Twilio on; None: switch all off."""
        async with aiohttp.ClientSession() as session:
            url = f"{self.sandbox_url}/sandbox/faults"
            answer = session.delete(url) if faults is None else session.post(url, json=faults)
            async with answer as response:
                response.raise_for_status()


@contextlib.asynccontextmanager
async def running_deployment(folder: Path, requirements: Requirements) -> AsyncIterator[Deployment]:
    """Start everything in an empty folder, and kill it at the end."""
    async with contextlib.AsyncExitStack() as running:
        clocks = _clocks(folder) if requirements.has_adjustable_clocks else None
        environment = {**clocks.valkey.environment, **preload(folder)} if clocks is not None else {}
        store = _store(folder, environment, requirements)
        replicas: tuple[RouterProcess, ...] = ()
        network = Network(lambda: _parties(store, replicas))
        if not isinstance(store, PrivateValkey):
            await running.enter_async_context(network.running(store.ports))
        running.push_async_callback(_in_thread, store.kill)
        await _in_thread(store.start)
        proxy = None
        redis_url = store.url
        if requirements.has_slow_store:
            proxy = SlowProxy(store.url.removeprefix("unix://"), folder / "slow", 0.0)
            await running.enter_async_context(proxy.running())
            redis_url = f"unix://{folder / 'slow'}"
        sandbox_port = free_port()
        sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        upstream = UpstreamApplication()
        await running.enter_async_context(upstream.running())
        dependencies = _Dependencies(redis_url, sandbox_url, upstream.keyword)
        replicas = (
            _replica(folder / "a", dependencies, requirements.workers),
            _replica(folder / "b", dependencies, 1),
        )
        if clocks is not None:
            for replica, clock in zip(replicas, clocks.replicas, strict=True):
                replica.environment = {**replica.environment, **clock.environment}
                replica.module = adjustable_clock.__name__
        running.enter_context(_sandbox(folder, sandbox_port, replicas[0].url))
        await _wait_for_sandbox(sandbox_url)
        for replica in replicas:
            running.push_async_callback(_in_thread, _kill(replica))
        await asyncio.gather(*(_in_thread(replica.start) for replica in replicas))
        yield Deployment(store, network, proxy, replicas, sandbox_url, upstream, clocks)


def _store(
    folder: Path, environment: dict[str, str], requirements: Requirements
) -> PrivateValkey | PrivateSentinels | PrivateCluster:
    match requirements.store:
        case StoreKind.VALKEY:
            return PrivateValkey(folder / "v", environment, appendfsync="everysec")
        case StoreKind.SENTINEL:
            more = "min-replicas-max-lag 2\n" if requirements.min_replicas else ""
            more += f"min-replicas-to-write {requirements.min_replicas}\n"
            return PrivateSentinels(folder / "v", 3, more=more, behind_proxy=True)
        case StoreKind.CLUSTER:
            return PrivateCluster(folder / "v", 3, 3, behind_proxy=True)


def _parties(
    store: PrivateValkey | PrivateSentinels | PrivateCluster, replicas: Sequence[RouterProcess]
) -> dict[str, list[int]]:
    """Return the processes that open connections to the servers."""
    parties = {} if isinstance(store, PrivateValkey) else store.process_ids
    for name, replica in zip("ab", replicas, strict=False):
        if replica.process is not None and replica.process.poll() is None:
            parties[name] = [replica.process.pid]
            with contextlib.suppress(psutil.Error):  # it may end just now
                children = psutil.Process(replica.process.pid).children()
                parties[name] += [child.pid for child in children]
    return parties


@dataclass(frozen=True, slots=True)
class _Dependencies:
    """What both replicas use."""

    redis_url: str
    sandbox_url: str
    keyword: str


def _clocks(folder: Path) -> Clocks:
    valkey, first, second = (AdjustableClock(folder / f"clock-{name}") for name in ("valkey", "a", "b"))
    return Clocks(valkey, (first, second))


def _replica(folder: Path, dependencies: _Dependencies, workers: int) -> RouterProcess:
    more = SERVICES.format(service=SERVICE, account=ACCOUNT)
    write_configuration(folder, folder / "data", DEADLINE, more, dependencies.keyword)
    environment = {
        "TWILIO_API_BASE_URL": dependencies.sandbox_url,
        "WORKERS": str(workers),
        "TICKET_RUNS": str(folder / "runs"),
    }
    return RouterProcess(folder, dependencies.redis_url, environment)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return False


def _kill(replica: RouterProcess) -> Callable[[], object]:
    def kill() -> None:
        if replica.process is not None:
            replica.kill()

    return kill


@contextlib.contextmanager
def _sandbox(folder: Path, port: int, router_url: str) -> Iterator[None]:
    """Run the offline Twilio, which serves the REST API and sends status callbacks."""
    write_configuration(folder / "twilio", folder / "twilio" / "data")
    environment = {
        "PATH": os.environ["PATH"],
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{port}",
        "PUBLIC_URL": PUBLIC,
        "SMS_ROUTER_CONFIG": str(folder / "twilio"),
    }
    with (folder / "twilio" / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "sms_router",
                "sandbox",
                "--port",
                str(port),
                "--router",
                router_url,
                "--quiet",
            ],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _wait_for_sandbox(url: str) -> None:
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/sandbox/alerts"):
                    return
            await asyncio.sleep(0.05)


async def _in_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)
