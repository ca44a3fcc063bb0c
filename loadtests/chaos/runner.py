"""Runs a scenario: steady traffic, the faults, their repair, and the audit of answers and journal."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from loadtests.chaos.audit import Audit, Partition, audit, read_stored_messages
from loadtests.chaos.deployment import START_TIMEOUT, TWILIO_ACCOUNT, Deployment, running_deployment
from loadtests.chaos.faults import Scenario
from loadtests.chaos.late_replies import count_late_replies
from loadtests.chaos.opt_outs import OptOutTraffic, StopTraffic
from loadtests.chaos.twilio_client import MessageExchange, TwilioClient
from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import EVERYDAY_TEXTS, HOURS, LATE, SLOW_TICKET, STOP, Text
from sms_router.store.redis_py import CLIENT_ERRORS
from sms_router.tasks import cancel_and_wait

OPTED_OUT_CONTACTS = 10
"""Contacts who opt out before the fault."""

DUPLICATE_SHARE = 0.1
PARTITION_DUPLICATE_SHARE = 0.2
"""Share of the messages that are delivered twice at once."""

FAULTY_HANDLER_SHARE = 0.15
"""Share of the messages that go to a faulty handler, if the fault is in handlers."""

TRUE_ERRORS = ("answered twice", "Redis had lost opt-outs")
"""Errors in the log that report what a partition causes."""

SETTLE_TIMEOUT = 25.0
"""Seconds after the traffic in which the journal and late replies must be complete."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rate in messages a second, and the seconds of each phase."""

    rate: float = 60.0
    before: float = 1.5
    during: float = 4.0
    after: float = 2.0


class Traffic:
    """Sends messages at a steady rate."""

    def __init__(self, twilio: TwilioClient, scenario: Scenario, rate: float) -> None:
        self._twilio = twilio
        self._scenario = scenario
        self._rate = rate
        self._rng = random.Random(scenario.name)
        self._tasks: list[asyncio.Task[MessageExchange]] = []
        self.uses_faulty_handlers = False
        self.exchanges: list[MessageExchange] = []
        self.opted_out: list[MessageExchange] = []
        """Messages of contacts who have opted out."""

    async def opt_out(self) -> None:
        """Opt some contacts out, and wait for the answers."""
        stops = [self._twilio.deliver(make_contact(number), STOP) for number in range(OPTED_OUT_CONTACTS)]
        self.exchanges += await asyncio.gather(*stops)

    async def send_for(self, seconds: float) -> None:
        """Send messages for some seconds."""
        began = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - began) < seconds:
            while sent < elapsed * self._rate:
                self._tasks.append(asyncio.create_task(self._send(len(self._tasks))))
                sent += 1
            await asyncio.sleep(0.005)

    async def finish(self) -> None:
        """Wait for all answers."""
        opted_out = {make_contact(number) for number in range(OPTED_OUT_CONTACTS)}
        for exchange in await asyncio.gather(*self._tasks):
            (self.opted_out if exchange.contact in opted_out else self.exchanges).append(exchange)

    async def aclose(self) -> None:
        """Cancel what has not ended, after an error."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, number: int) -> MessageExchange:
        if number % 20 == 0:
            return await self._twilio.deliver(make_contact(number // 20 % OPTED_OUT_CONTACTS), HOURS)
        text = self._choose_text()
        is_partition = self._scenario.is_partition
        twice = self._rng.random() < (PARTITION_DUPLICATE_SHARE if is_partition else DUPLICATE_SHARE)
        if text is LATE if is_partition else text.is_unique and self._scenario.isolates_replicas:
            twice = False
        return await self._twilio.deliver(make_contact(OPTED_OUT_CONTACTS + number), text, twice=twice)

    def _choose_text(self) -> Text:
        if self.uses_faulty_handlers and self._rng.random() < FAULTY_HANDLER_SHARE:
            return self._rng.choice(self._scenario.texts)
        return self._rng.choice((*EVERYDAY_TEXTS, SLOW_TICKET, LATE))


async def run_scenario(scenario: Scenario, schedule: Schedule, folder: Path) -> Audit:
    """Run a scenario in an empty folder, and return the audit."""
    async with running_deployment(folder, scenario.requirements) as deployment:
        urls = [replica.url for replica in deployment.replicas]
        async with TwilioClient(TWILIO_ACCOUNT, urls) as twilio:
            traffic = Traffic(twilio, scenario, schedule.rate)
            opt_outs = OptOutTraffic(twilio) if not scenario.isolates_replicas else None
            stops = StopTraffic(twilio)
            try:
                await _wait_until_ready(deployment)
                await traffic.opt_out()
                await _wait_until_ready(deployment)  # Redis has the opt-outs, on a slow machine too
                if scenario.is_partition:
                    return await _run_partition(deployment, scenario, traffic, schedule, stops)
                await _inject_and_repair(deployment, scenario, traffic, schedule, opt_outs)
                await traffic.finish()
            finally:
                await traffic.aclose()
        if opt_outs is not None:
            traffic.exchanges += opt_outs.exchanges
            traffic.opted_out += opt_outs.opted_out
        settled = await _audit_when_settled(deployment, traffic, scenario)
        return replace(settled, deployment_errors=tuple(deployment.errors))


async def _run_partition(
    deployment: Deployment, scenario: Scenario, traffic: Traffic, schedule: Schedule, stops: StopTraffic
) -> Audit:
    """Run a scenario whose fault is in the network, and return its audit with the figures of `Partition`."""
    watch = _ReadinessWatch(deployment)
    running = [asyncio.create_task(stops.run()), asyncio.create_task(watch.run())]
    try:
        began = time.monotonic() + schedule.before
        await _inject_and_repair(deployment, scenario, traffic, schedule, None)
        running[0].cancel()
        await traffic.finish()
        await stops.finish()
        traffic.exchanges += stops.exchanges
        settled = await _audit_when_settled(deployment, traffic, scenario)
    finally:
        await cancel_and_wait(*running)
    every = (*traffic.exchanges, *traffic.opted_out)
    stored = await asyncio.to_thread(read_stored_messages, deployment, every)
    once = {exchange.sid for exchange in every if len(exchange.answers) == 1 and not exchange.failures}
    runs = Counter(_read_runs(deployment))
    repaired = began + schedule.during
    partition = Partition(
        second_answers=sum(message.second is not None for message in stored.values()),
        run_again=tuple(sid for sid, count in runs.items() if count > 1 and sid in once),
        stops=len(stops.exchanges),
        stops_lost=tuple(await stops.find_lost()),
        recovery=max(0.0, watch.last_unready - (repaired if watch.last_unready > repaired else began)),
        false_log_lines=tuple(line for replica in deployment.replicas for line in _false_lines(replica.log)),
    )
    return replace(settled, partition=partition, deployment_errors=tuple(deployment.errors))


async def _lacks_redis(session: aiohttp.ClientSession, deployment: Deployment) -> bool:
    """Return whether a replica lacks Redis, by its probe."""
    for replica in deployment.replicas:
        async with session.get(f"{replica.url}/readyz") as answer:
            reasons = str((await answer.json())["reasons"])
        if "Redis" in reasons or "spool" in reasons:
            return True
    return False


async def _wait_until_ready(deployment: Deployment) -> None:
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
        while await _lacks_redis(session, deployment):
            await asyncio.sleep(0.05)


class _ReadinessWatch:
    """Watches when a replica lacks Redis."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.last_unready = 0.0
        """By the monotonic clock."""

    async def run(self) -> None:
        """Watch until it is cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                if await _lacks_redis(session, self._deployment):
                    self.last_unready = time.monotonic()
                await asyncio.sleep(0.1)


def _read_runs(deployment: Deployment) -> list[str]:
    files = [Path(replica.environment["TICKET_RUNS"]) for replica in deployment.replicas]
    return [sid for file in files if file.exists() for sid in file.read_text().split()]


def _false_lines(log: str) -> list[str]:
    lines = [line for line in log.splitlines() if " ERROR " in line or "Traceback" in line]
    return [line for line in lines if not any(sentence in line for sentence in TRUE_ERRORS)]


async def _inject_and_repair(
    deployment: Deployment,
    scenario: Scenario,
    traffic: Traffic,
    schedule: Schedule,
    opt_outs: OptOutTraffic | None,
) -> None:
    if opt_outs is not None:
        await opt_outs.before_fault()
    await traffic.send_for(schedule.before)
    traffic.uses_faulty_handlers = bool(scenario.texts)
    during = asyncio.create_task(traffic.send_for(schedule.during))
    for fault in scenario.faults:
        await fault.inject(deployment)
        await asyncio.sleep(0.2)
    if opt_outs is not None:
        await opt_outs.during_fault()
    await during
    traffic.uses_faulty_handlers = False
    after = asyncio.create_task(traffic.send_for(schedule.after))
    for fault in scenario.faults:
        await fault.repair(deployment)
    if opt_outs is not None:
        await opt_outs.after_repair()
    await after


async def _audit_when_settled(deployment: Deployment, traffic: Traffic, scenario: Scenario) -> Audit:
    """Return the audit when nothing is missing, or after the timeout."""
    excused = any(fault.hides_send_result for fault in scenario.faults)
    give_up = time.monotonic() + SETTLE_TIMEOUT
    while True:
        try:
            result = await asyncio.to_thread(
                audit, deployment, traffic.exchanges, traffic.opted_out, scenario.isolates_replicas
            )
        except CLIENT_ERRORS:
            if time.monotonic() > give_up:
                raise
            continue
        late = await count_late_replies(deployment, traffic.exchanges, excused=excused)
        if not (result.lost or late.missing) or time.monotonic() > give_up:
            return replace(result, late=late)
        await asyncio.sleep(1.0 if scenario.is_partition else 0.25)
