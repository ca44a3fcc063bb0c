"""What is broken: two replicas, their Valkey, an offline Twilio, and an application behind them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from loadtests.chaos.application import Application
from loadtests.crowd.configuration import REPOSITORY, write_configuration
from loadtests.crowd.webhook import Account
from sms_router.sandbox.hosting import free_port
from tests.end_to_end import turned_clock
from tests.end_to_end.running import ACCOUNT, PUBLIC, SERVICE, TOKEN, RunningRouter
from tests.end_to_end.turned_clock import TurnedClock
from tests.store.private_valkey import PrivateValkey
from tests.store.slow_proxy import SlowProxy
from tests.store.turned_valkey import preload

DEADLINE = 4.0
"""Seconds until the empty answer: short, so that a hanging handler shows within a scenario, and longer
than the 3 s after which the claim of a lost worker is free."""

STARTS_WITHIN = 30.0

SERVICES = """
[[services]]
sid = "{service}"
account = "{account}"
refresh_after = 1
"""
"""The numbers are read again every second, so that Twilio's faults meet a reader."""

THE_ACCOUNT = Account(ACCOUNT, TOKEN, SERVICE, PUBLIC)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a scenario needs beside what always runs."""

    workers: int = 1
    """Processes of the first replica."""
    slow: bool = False
    """A proxy before Valkey that can delay it."""
    turned: bool = False
    """Wall clocks of the replicas and of Valkey that can be set."""


NOTHING_MORE = Needs()


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall clocks of the processes."""

    valkey: TurnedClock
    replicas: tuple[TurnedClock, TurnedClock]


@dataclass(slots=True)
class Site:
    """All that runs."""

    valkey: PrivateValkey
    proxy: SlowProxy | None
    replicas: tuple[RunningRouter, RunningRouter]
    sandbox_url: str
    application: Application
    clocks: Clocks | None = None
    """None where no clock can be set."""
    notes: list[str] = field(default_factory=list)
    """What went wrong with the site itself."""

    def workers(self, replica: RunningRouter) -> list[psutil.Process]:
        """Return a replica's processes that answer and live."""
        assert replica.process is not None
        if replica.process.poll() is not None:
            return []
        parent = psutil.Process(replica.process.pid)
        return [*filter(_is_worker, parent.children())] or [parent]

    async def faults(self, faults: dict[str, object] | None) -> None:
        """Switch faults of the offline Twilio on, or all off."""
        async with aiohttp.ClientSession() as session:
            url = f"{self.sandbox_url}/sandbox/faults"
            answer = session.delete(url) if faults is None else session.post(url, json=faults)
            async with answer as response:
                response.raise_for_status()

    @property
    def spooled(self) -> list[Path]:
        """The spool files that are there."""
        return [file for replica in self.replicas for file in (replica.folder / "data" / "spool").glob("*")]

    def logs(self) -> str:
        """Return what the replicas have printed."""
        return "\n".join(replica.log for replica in self.replicas)


@contextlib.asynccontextmanager
async def running_site(folder: Path, needs: Needs) -> AsyncIterator[Site]:
    """Start everything, and kill it at the end."""
    async with contextlib.AsyncExitStack() as running:
        clocks = _clocks(folder) if needs.turned else None
        environment = {**clocks.valkey.environment, **preload(folder)} if clocks is not None else {}
        valkey = PrivateValkey(folder / "v", environment, appendfsync="everysec")
        await _in_thread(valkey.start)
        running.push_async_callback(_in_thread, valkey.kill)
        proxy = None
        redis_url = valkey.url
        if needs.slow:
            proxy = SlowProxy(valkey.url.removeprefix("unix://"), folder / "slow", 0.0)
            await running.enter_async_context(proxy.running())
            redis_url = f"unix://{folder / 'slow'}"
        sandbox_port = free_port()
        sandbox_url = f"http://127.0.0.1:{sandbox_port}"
        application = Application()
        await running.enter_async_context(application.running())
        services = _Services(redis_url, sandbox_url, application.keyword)
        replicas = (_replica(folder / "a", services, needs.workers), _replica(folder / "b", services, 1))
        if clocks is not None:
            for replica, clock in zip(replicas, clocks.replicas, strict=True):
                replica.environment = {**replica.environment, **clock.environment}
                replica.module = turned_clock.__name__
        running.enter_context(_sandbox(folder, sandbox_port, replicas[0].url))
        await _answers(sandbox_url)
        for replica in replicas:
            running.push_async_callback(_in_thread, _killing(replica))
        await asyncio.gather(*(_in_thread(_starting(replica)) for replica in replicas))
        yield Site(valkey, proxy, replicas, sandbox_url, application, clocks)


@dataclass(frozen=True, slots=True)
class _Services:
    """What both replicas need beside them."""

    redis_url: str
    sandbox_url: str
    keyword: str


def _clocks(folder: Path) -> Clocks:
    valkey, first, second = (TurnedClock(folder / f"clock-{name}") for name in ("valkey", "a", "b"))
    return Clocks(valkey, (first, second))


def _replica(folder: Path, services: _Services, workers: int) -> RunningRouter:
    more = SERVICES.format(service=SERVICE, account=ACCOUNT)
    write_configuration(folder, folder / "data", DEADLINE, more, services.keyword)
    environment = {"TWILIO_API_BASE_URL": services.sandbox_url, "WORKERS": str(workers)}
    return RunningRouter(folder, services.redis_url, environment)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # gone in between
        return False


def _starting(replica: RunningRouter) -> Callable[[], object]:
    return replica.start


def _killing(replica: RunningRouter) -> Callable[[], object]:
    def kill() -> None:
        if replica.process is not None:
            replica.kill()

    return kill


@contextlib.contextmanager
def _sandbox(folder: Path, port: int, router_url: str) -> Iterator[None]:
    """Run the offline Twilio; nobody texts through it, it serves the REST API and reports what it sent."""
    write_configuration(folder / "twilio", folder / "twilio" / "data")
    environment = {
        "PATH": os.environ["PATH"],
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
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


async def _answers(url: str) -> None:
    async with asyncio.timeout(STARTS_WITHIN), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/sandbox/alerts"):
                    return
            await asyncio.sleep(0.05)


async def _in_thread(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)
