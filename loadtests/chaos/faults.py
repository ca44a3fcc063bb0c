"""The faults, how they are injected and repaired, and the scenarios that combine them."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import psutil

from loadtests.chaos.deployment import NO_REQUIREMENTS, Deployment, Requirements
from loadtests.chaos.partitions import PARTITIONS, repair
from loadtests.chaos.upstream import UpstreamState
from loadtests.workload.texts import BLOCKING, BROKEN, FORWARDED, HANGING, Text
from tests.store.valkey_clock import HAS_COMPILER

STOP_TIMEOUT = 30
"""Seconds: requests in flight have 15, late handlers and REST sends 5 and 10."""

Action = Callable[[Deployment], Awaitable[None]]


class Component(Enum):
    """What a fault is injected into. A pair has faults of two components."""

    STORE = "Valkey"
    ROUTER = "the router"
    ENVIRONMENT = "what the router uses"


async def _do_nothing(_: Deployment) -> None:
    return


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        texts: sent by some contacts while it lasts, if the fault is in their handler.
        in_pairs: whether it is also part of pairs.
        isolates_replicas: whether replicas cannot share their answers while it lasts.
        hides_send_result: whether the result of a REST send is unknown while it lasts, so that a late reply
            is not sent again.

    """

    name: str
    component: Component
    description: str
    inject: Action = _do_nothing
    repair: Action = _do_nothing
    texts: tuple[Text, ...] = ()
    in_pairs: bool = False
    isolates_replicas: bool = False
    hides_send_result: bool = False
    requirements: Requirements = NO_REQUIREMENTS


async def _kill_valkey(deployment: Deployment) -> None:
    await asyncio.to_thread(deployment.valkey.kill)


async def _start_valkey(deployment: Deployment) -> None:
    await asyncio.to_thread(deployment.valkey.start)


async def _restart_valkey(deployment: Deployment) -> None:
    await _kill_valkey(deployment)
    await _start_valkey(deployment)


async def _freeze_valkey(deployment: Deployment) -> None:
    deployment.valkey.freeze()


async def _thaw_valkey(deployment: Deployment) -> None:
    deployment.valkey.thaw()


def _configure_valkey(name: str, value: str) -> Action:
    async def act(deployment: Deployment) -> None:
        def configure() -> None:
            with deployment.valkey.client() as client:
                client.config_set(name, value)

        await asyncio.to_thread(configure)

    return act


async def _flush_valkey(deployment: Deployment) -> None:
    """Flush the scripts, and close every connection."""

    def flush() -> None:
        with deployment.valkey.client() as client:
            client.script_flush()
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)

    await asyncio.to_thread(flush)


def _delay_valkey(seconds: float) -> Action:
    async def act(deployment: Deployment) -> None:
        assert deployment.proxy is not None
        deployment.proxy.delay = seconds

    return act


async def _kill_worker(deployment: Deployment) -> None:
    """Kill the newest worker, unless it is the only one."""
    workers = deployment.workers(deployment.replicas[0])
    if len(workers) > 1:
        workers[-1].kill()


async def _kill_replica(deployment: Deployment) -> None:
    await asyncio.to_thread(deployment.replicas[1].kill)


async def _stop_replica(deployment: Deployment) -> None:
    process = deployment.replicas[1].process
    assert process is not None
    process.terminate()


async def _start_replica(deployment: Deployment) -> None:
    replica = deployment.replicas[1]
    assert replica.process is not None
    try:
        await asyncio.to_thread(replica.process.wait, STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        deployment.errors.append(f"a replica was still running {STOP_TIMEOUT} s after SIGTERM")
        await asyncio.to_thread(replica.kill)
    await asyncio.to_thread(replica.start)


def _fail_rest_calls(**fault: object) -> Action:
    async def act(deployment: Deployment) -> None:
        await deployment.set_twilio_faults({"rest": fault})

    return act


async def _repair_twilio(deployment: Deployment) -> None:
    await deployment.set_twilio_faults(None)


def _set_upstream(state: UpstreamState) -> Action:
    async def act(deployment: Deployment) -> None:
        deployment.upstream.state = state

    return act


def _limit_file_size(size: int) -> Action:
    async def act(deployment: Deployment) -> None:
        for replica in deployment.replicas:
            for process in deployment.workers(replica):
                _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
                process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))

    return act


HOUR, DAY = 3600.0, 86_400.0


def _set_clocks(*offsets: float, replicas: int = 0, valkey: bool = False) -> Action:
    """Set the wall clocks of so many replicas, or of Valkey, to each offset in seconds, one per second."""

    async def act(deployment: Deployment) -> None:
        assert deployment.clocks is not None
        clocks = [
            *deployment.clocks.replicas[:replicas],
            *([deployment.clocks.valkey] if valkey else []),
        ]
        for offset in offsets:
            for clock in clocks:
                clock.set_offset(offset)
            await asyncio.sleep(1 if offset != offsets[-1] else 0)

    return act


_STORE, _ROUTER, _ENVIRONMENT = Component
_CLOCKS = Requirements(has_adjustable_clocks=True)

_VALKEY_CLOCK = (
    Fault("valkey-clock-ahead", _STORE, "Valkey's clock jumps an hour ahead, then a day, and back",
          _set_clocks(HOUR, DAY, valkey=True), _set_clocks(0, valkey=True), requirements=_CLOCKS),
    Fault("valkey-clock-back", _STORE, "Valkey's clock jumps an hour back, and then ahead",
          _set_clocks(-HOUR, valkey=True), _set_clocks(0, valkey=True), requirements=_CLOCKS),
)  # fmt: skip
"""These need a C compiler."""

SINGLE_SERVER_FAULTS = (
    Fault("valkey-killed", _STORE, "Valkey is killed, and started again with its data",
          _kill_valkey, _start_valkey, in_pairs=True, isolates_replicas=True),
    Fault("valkey-restarted", _STORE, "Valkey is killed and started again at once",
          _restart_valkey, isolates_replicas=True),
    Fault("valkey-frozen", _STORE, "Valkey keeps its connections and does nothing (SIGSTOP)",
          _freeze_valkey, _thaw_valkey, in_pairs=True, isolates_replicas=True),
    Fault("valkey-full", _STORE, "Valkey is out of memory and refuses writes",
          _configure_valkey("maxmemory", "1mb"), _configure_valkey("maxmemory", "0"),
          in_pairs=True, isolates_replicas=True),
    Fault("valkey-slow", _STORE, "each answer of Valkey is 150 ms late",
          _delay_valkey(0.15), _delay_valkey(0.0), in_pairs=True, isolates_replicas=True,
          requirements=Requirements(has_slow_store=True)),
    Fault("valkey-flushed", _STORE, "Valkey closes every connection and flushes its scripts",
          _flush_valkey, _flush_valkey, isolates_replicas=True),
    *(_VALKEY_CLOCK if HAS_COMPILER else ()),
    Fault("worker-killed", _ROUTER, "one of the two workers of a replica is killed, twice",
          _kill_worker, _kill_worker, in_pairs=True, requirements=Requirements(workers=2)),
    Fault("replica-lost", _ROUTER, "one of two replicas is killed, and started again",
          _kill_replica, _start_replica, in_pairs=True),
    Fault("replica-stopped", _ROUTER, "one of two replicas is stopped (SIGTERM), and started again",
          _stop_replica, _start_replica, in_pairs=True),
    Fault("clock-ahead", _ROUTER, "the clock of one replica jumps an hour ahead, then a day, and back",
          _set_clocks(HOUR, DAY, replicas=1), _set_clocks(0, replicas=1),
          in_pairs=True, requirements=_CLOCKS),
    Fault("clock-back", _ROUTER, "the clock of one replica jumps an hour back, and then ahead",
          _set_clocks(-HOUR, replicas=1), _set_clocks(0, replicas=1), in_pairs=True, requirements=_CLOCKS),
    Fault("clocks-ahead", _ROUTER, "the clocks of both replicas jump an hour ahead, then a day, and back",
          _set_clocks(HOUR, DAY, replicas=2), _set_clocks(0, replicas=2), requirements=_CLOCKS),
    Fault("clocks-back", _ROUTER, "the clocks of both replicas jump an hour back, and then ahead",
          _set_clocks(-HOUR, replicas=2), _set_clocks(0, replicas=2), requirements=_CLOCKS),
    Fault("twilio-500", _ENVIRONMENT, "Twilio's API answers 500",
          _fail_rest_calls(kind="status"), _repair_twilio, hides_send_result=True),
    Fault("twilio-500-after-send", _ENVIRONMENT, "Twilio's API does what was requested, and answers 500",
          _fail_rest_calls(kind="status", after=True), _repair_twilio, hides_send_result=True),
    Fault("twilio-429", _ENVIRONMENT, "Twilio's API answers 429",
          _fail_rest_calls(kind="status", status=429), _repair_twilio),
    Fault("twilio-garbage", _ENVIRONMENT, "Twilio's API answers with something that is not JSON",
          _fail_rest_calls(kind="garbage"), _repair_twilio, hides_send_result=True),
    Fault("twilio-half", _ENVIRONMENT, "Twilio's API closes the connection in the middle of its answers",
          _fail_rest_calls(kind="half"), _repair_twilio, hides_send_result=True),
    Fault("twilio-slow", _ENVIRONMENT, "Twilio's API takes 3 s longer",
          _fail_rest_calls(kind="slow", seconds=3), _repair_twilio, hides_send_result=True),
    Fault("twilio-hangs", _ENVIRONMENT, "Twilio's API does not respond",
          _fail_rest_calls(kind="hang"), _repair_twilio, hides_send_result=True, in_pairs=True),
    Fault("handler-hangs", _ENVIRONMENT, "some handlers take longer than Twilio waits",
          texts=(HANGING, HANGING, BLOCKING), in_pairs=True),
    Fault("handler-raises", _ENVIRONMENT, "some handlers raise", texts=(BROKEN,)),
    Fault("application-hangs", _ENVIRONMENT, "an application that messages are forwarded to does not respond",
          _set_upstream(UpstreamState.HANGING), _set_upstream(UpstreamState.WORKING),
          texts=(FORWARDED,), in_pairs=True),
    Fault("application-fails", _ENVIRONMENT, "an application that messages are forwarded to answers 500",
          _set_upstream(UpstreamState.FAILING), _set_upstream(UpstreamState.WORKING), texts=(FORWARDED,)),
    Fault("disk-full", _ENVIRONMENT, "files of the routers cannot grow beyond 16 KB (RLIMIT_FSIZE)",
          _limit_file_size(16_384), _limit_file_size(psutil.RLIM_INFINITY), in_pairs=True),
)  # fmt: skip


NETWORK_FAULTS = tuple(
    Fault(name, _STORE, description, begin, repair, isolates_replicas=True, requirements=requirements)
    for name, requirements, description, begin in PARTITIONS
)
FAULTS = (*SINGLE_SERVER_FAULTS, *NETWORK_FAULTS)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, or two at once."""

    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """The names of the faults."""
        return " + ".join(fault.name for fault in self.faults)

    @property
    def requirements(self) -> Requirements:
        """The requirements of all faults."""
        every = [fault.requirements for fault in self.faults]
        return Requirements(
            max(requirements.workers for requirements in every),
            any(requirements.has_slow_store for requirements in every),
            any(requirements.has_adjustable_clocks for requirements in every),
            every[0].store,
            every[0].min_replicas,
        )

    @property
    def is_partition(self) -> bool:
        """Whether it is one of `NETWORK_FAULTS`."""
        return self.faults[0] in NETWORK_FAULTS

    @property
    def isolates_replicas(self) -> bool:
        """Whether replicas cannot share their answers."""
        return any(fault.isolates_replicas for fault in self.faults)

    @property
    def texts(self) -> tuple[Text, ...]:
        """The texts for faulty handlers."""
        return tuple(text for fault in self.faults for text in fault.texts)


class UnknownFaultError(ValueError):
    """A name that no scenario has."""


def select_scenarios(only: str = "") -> tuple[Scenario, ...]:
    """Return the scenarios of these names, comma-separated; without names each fault alone, then the pairs.

    A pair is named ``one+other``.

    Raises:
        UnknownFaultError: with the existing names.

    """
    every = (*((fault,) for fault in FAULTS), *_pairs())
    by_name = {"+".join(fault.name for fault in faults): Scenario(faults) for faults in every}
    names = [name.replace(" ", "") for name in only.split(",") if name.strip()]
    if not names:
        return tuple(by_name.values())
    groups = {
        "singles": [scenario for scenario in by_name.values() if len(scenario.faults) == 1],
        "partitions": [scenario for scenario in by_name.values() if scenario.is_partition],
        "pairs": [scenario for scenario in by_name.values() if len(scenario.faults) > 1],
    }
    selected: list[Scenario] = []
    for name in names:
        if name in groups:
            selected += groups[name]
        elif name in by_name:
            selected.append(by_name[name])
        else:
            known = ", ".join(fault.name for fault in FAULTS)
            raise UnknownFaultError(
                f"unknown scenario {name!r}; there are {known}, pairs of them as one+other in this order, "
                "singles, pairs and partitions"
            )
    return tuple(dict.fromkeys(selected))


def _pairs() -> list[tuple[Fault, Fault]]:
    paired = [fault for fault in FAULTS if fault.in_pairs]
    order = list(Component)
    return [
        (one, other)
        for one in paired
        for other in paired
        if order.index(one.component) < order.index(other.component)
    ]
