"""What is broken, and how it is mended: data, so that the next fault is a few lines."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import psutil

from loadtests.chaos.application import Mood
from loadtests.chaos.site import NOTHING_MORE, Needs, Site
from loadtests.crowd.texts import BLOCKING, BROKEN, FORWARDED, HANGING, Text
from tests.store.turned_valkey import HAS_COMPILER

STOPS_WITHIN = 30
"""Seconds: requests in flight get 15, late handlers and what is being sent 5 and 10."""

Act = Callable[[Site], Awaitable[None]]


class Victim(Enum):
    """Whom a fault strikes. Pairs are made of faults with different victims."""

    STORE = "Valkey"
    ROUTER = "the router"
    SURROUNDINGS = "what surrounds it"


async def _nothing(_: Site) -> None:
    return


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for a while."""

    name: str
    victim: Victim
    does: str
    strike: Act = _nothing
    mend: Act = _nothing
    texts: tuple[Text, ...] = ()
    """What some people text while it lasts: the fault is in its handler."""
    paired: bool = False
    """True when it also takes part in pairs."""
    blinds: bool = False
    """True when replicas cannot tell each other what they have answered while it lasts."""
    deafens: bool = False
    """True when nobody can know whether a late answer was sent while it lasts: it is not sent again."""
    needs: Needs = NOTHING_MORE


async def _kill_valkey(site: Site) -> None:
    await asyncio.to_thread(site.valkey.kill)


async def _start_valkey(site: Site) -> None:
    await asyncio.to_thread(site.valkey.start)


async def _restart_valkey(site: Site) -> None:
    await _kill_valkey(site)
    await _start_valkey(site)


async def _freeze(site: Site) -> None:
    site.valkey.freeze()


async def _thaw(site: Site) -> None:
    site.valkey.thaw()


def _configure(name: str, value: str) -> Act:
    async def act(site: Site) -> None:
        def configure() -> None:
            with site.valkey.client() as client:
                client.config_set(name, value)

        await asyncio.to_thread(configure)

    return act


async def _forget(site: Site) -> None:
    """Cut every connection, and forget the scripts."""

    def cut() -> None:
        with site.valkey.client() as client:
            client.script_flush()
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)

    await asyncio.to_thread(cut)


def _delay(seconds: float) -> Act:
    async def act(site: Site) -> None:
        assert site.proxy is not None
        site.proxy.delay = seconds

    return act


async def _kill_worker(site: Site) -> None:
    """Kill the newest worker, unless it is the last one: a replica without any is lost, not wounded."""
    workers = site.workers(site.replicas[0])
    if len(workers) > 1:
        workers[-1].kill()


async def _lose_replica(site: Site) -> None:
    await asyncio.to_thread(site.replicas[1].kill)


async def _stop_replica(site: Site) -> None:
    process = site.replicas[1].process
    assert process is not None
    process.terminate()


async def _start_replica(site: Site) -> None:
    replica = site.replicas[1]
    assert replica.process is not None
    try:
        await asyncio.to_thread(replica.process.wait, STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        site.notes.append(f"a replica that was told to stop still ran after {STOPS_WITHIN} s")
        await asyncio.to_thread(replica.kill)
    await asyncio.to_thread(replica.start)


def _rest(**fault: object) -> Act:
    async def act(site: Site) -> None:
        await site.faults({"rest": fault})

    return act


async def _twilio_well(site: Site) -> None:
    await site.faults(None)


def _feel(mood: Mood) -> Act:
    async def act(site: Site) -> None:
        site.application.mood = mood

    return act


def _limit_files(size: int) -> Act:
    async def act(site: Site) -> None:
        for replica in site.replicas:
            for process in site.workers(replica):
                _, most = process.rlimit(psutil.RLIMIT_FSIZE)
                process.rlimit(psutil.RLIMIT_FSIZE, (size, most))

    return act


HOUR, DAY = 3600.0, 86_400.0


def _turn(*steps: float, replicas: int = 0, valkey: bool = False) -> Act:
    """Set the wall clocks of so many replicas, or of Valkey, so many seconds ahead, one step a second."""

    async def act(site: Site) -> None:
        assert site.clocks is not None
        clocks = [*site.clocks.replicas[:replicas], *([site.clocks.valkey] if valkey else [])]
        for step in steps:
            for clock in clocks:
                clock.turn(step)
            await asyncio.sleep(1 if step != steps[-1] else 0)

    return act


_STORE, _ROUTER, _AROUND = Victim
_CLOCKS = Needs(turned=True)

_VALKEY_CLOCK = (
    Fault("valkey-clock-ahead", _STORE, "Valkey's clock jumps an hour ahead, then a day, and back",
          _turn(HOUR, DAY, valkey=True), _turn(0, valkey=True), needs=_CLOCKS),
    Fault("valkey-clock-back", _STORE, "Valkey's clock jumps an hour back, and then ahead",
          _turn(-HOUR, valkey=True), _turn(0, valkey=True), needs=_CLOCKS),
)  # fmt: skip
"""Without a C compiler nothing can turn it."""

FAULTS = (
    Fault("valkey-killed", _STORE, "Valkey is killed, and started again on its data",
          _kill_valkey, _start_valkey, paired=True, blinds=True),
    Fault("valkey-restarted", _STORE, "Valkey is killed and is back at once", _restart_valkey, blinds=True),
    Fault("valkey-frozen", _STORE, "Valkey keeps its connections and does nothing (SIGSTOP)",
          _freeze, _thaw, paired=True, blinds=True),
    Fault("valkey-full", _STORE, "Valkey is out of memory and refuses to write",
          _configure("maxmemory", "1mb"), _configure("maxmemory", "0"), paired=True, blinds=True),
    Fault("valkey-slow", _STORE, "each answer of Valkey's comes 150 ms late",
          _delay(0.15), _delay(0.0), paired=True, blinds=True, needs=Needs(slow=True)),
    Fault("valkey-forgets", _STORE, "Valkey cuts every connection and forgets the scripts",
          _forget, _forget, blinds=True),
    *(_VALKEY_CLOCK if HAS_COMPILER else ()),
    Fault("worker-killed", _ROUTER, "one of a replica's two workers is killed, twice",
          _kill_worker, _kill_worker, paired=True, needs=Needs(workers=2)),
    Fault("replica-lost", _ROUTER, "one of two replicas is killed, and started again",
          _lose_replica, _start_replica, paired=True),
    Fault("replica-stopped", _ROUTER, "one of two replicas is told to stop (SIGTERM), and started again",
          _stop_replica, _start_replica, paired=True),
    Fault("clock-ahead", _ROUTER, "the clock of one replica jumps an hour ahead, then a day, and back",
          _turn(HOUR, DAY, replicas=1), _turn(0, replicas=1), paired=True, needs=_CLOCKS),
    Fault("clock-back", _ROUTER, "the clock of one replica jumps an hour back, and then ahead",
          _turn(-HOUR, replicas=1), _turn(0, replicas=1), paired=True, needs=_CLOCKS),
    Fault("clocks-ahead", _ROUTER, "the clocks of both replicas jump an hour ahead, then a day, and back",
          _turn(HOUR, DAY, replicas=2), _turn(0, replicas=2), needs=_CLOCKS),
    Fault("clocks-back", _ROUTER, "the clocks of both replicas jump an hour back, and then ahead",
          _turn(-HOUR, replicas=2), _turn(0, replicas=2), needs=_CLOCKS),
    Fault("twilio-500", _AROUND, "Twilio's API answers 500",
          _rest(kind="status"), _twilio_well, deafens=True),
    Fault("twilio-obeys-and-fails", _AROUND, "Twilio's API does what it is asked, and answers 500",
          _rest(kind="status", after=True), _twilio_well, deafens=True),
    Fault("twilio-429", _AROUND, "Twilio's API answers 429",
          _rest(kind="status", status=429), _twilio_well),
    Fault("twilio-garbage", _AROUND, "Twilio's API answers something that is not JSON",
          _rest(kind="garbage"), _twilio_well, deafens=True),
    Fault("twilio-half", _AROUND, "Twilio's API breaks off in the middle of its answers",
          _rest(kind="half"), _twilio_well, deafens=True),
    Fault("twilio-slow", _AROUND, "Twilio's API takes 3 s longer",
          _rest(kind="slow", seconds=3), _twilio_well, deafens=True),
    Fault("twilio-hangs", _AROUND, "Twilio's API does not answer",
          _rest(kind="hang"), _twilio_well, deafens=True, paired=True),
    Fault("handler-hangs", _AROUND, "some handlers take longer than anybody waits",
          texts=(HANGING, HANGING, BLOCKING), paired=True),
    Fault("handler-raises", _AROUND, "some handlers raise", texts=(BROKEN,)),
    Fault("application-hangs", _AROUND, "an application that texts are forwarded to does not answer",
          _feel(Mood.HANGING), _feel(Mood.WELL), texts=(FORWARDED,), paired=True),
    Fault("application-fails", _AROUND, "an application that texts are forwarded to answers 500",
          _feel(Mood.FAILING), _feel(Mood.WELL), texts=(FORWARDED,)),
    Fault("disk-full", _AROUND, "files of the routers cannot grow beyond 16 KB (RLIMIT_FSIZE)",
          _limit_files(16_384), _limit_files(psutil.RLIM_INFINITY), paired=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, or two at once."""

    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """The names of the faults."""
        return " + ".join(fault.name for fault in self.faults)

    @property
    def needs(self) -> Needs:
        """What must run for all of them."""
        every = [fault.needs for fault in self.faults]
        return Needs(
            max(needs.workers for needs in every),
            any(needs.slow for needs in every),
            any(needs.turned for needs in every),
        )

    @property
    def blinds(self) -> bool:
        """Whether replicas may not know of each other's answers."""
        return any(fault.blinds for fault in self.faults)

    @property
    def texts(self) -> tuple[Text, ...]:
        """What some people text meanwhile."""
        return tuple(text for fault in self.faults for text in fault.texts)


class UnknownFaultError(ValueError):
    """A name that no scenario has."""


def scenarios(only: str = "") -> tuple[Scenario, ...]:
    """Return every fault by itself, then the pairs; with names, comma-separated, what has one of them.

    A pair is named ``one+other``.

    Raises:
        UnknownFaultError: with the names that there are.

    """
    every = (*((fault,) for fault in FAULTS), *_pairs())
    named = {"+".join(fault.name for fault in faults): Scenario(faults) for faults in every}
    wanted = [name.replace(" ", "") for name in only.split(",") if name.strip()]
    if not wanted:
        return tuple(named.values())
    groups = {
        "singles": [scenario for scenario in named.values() if len(scenario.faults) == 1],
        "pairs": [scenario for scenario in named.values() if len(scenario.faults) > 1],
    }
    chosen: list[Scenario] = []
    for name in wanted:
        if name in groups:
            chosen += groups[name]
        elif name in named:
            chosen.append(named[name])
        else:
            names = ", ".join(fault.name for fault in FAULTS)
            raise UnknownFaultError(
                f"nothing is called {name!r}; there are {names}, pairs of them written one+other "
                "in this order, singles and pairs"
            )
    return tuple(dict.fromkeys(chosen))


def _pairs() -> list[tuple[Fault, Fault]]:
    paired = [fault for fault in FAULTS if fault.paired]
    order = list(Victim)
    return [
        (one, other)
        for one in paired
        for other in paired
        if order.index(one.victim) < order.index(other.victim)
    ]
