"""Losses of data after which no contact who has opted out may be texted, and one warning is logged.

Their messages are not in the journal afterwards, so that the audit of the other faults does not fit them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadtests.chaos.deployment import NO_REQUIREMENTS, TWILIO_ACCOUNT, Deployment, running_deployment
from loadtests.chaos.twilio_client import MessageExchange, TwilioClient
from loadtests.workload.contacts import Contact, make_contact
from loadtests.workload.texts import HOURS, START, STOP, Text

EARLY, LATE = 40, 40
"""Contacts who opt out before, and after, a copy is made of Valkey's data."""

SECONDS = 4.0
"""For so long they text after a loss."""

TOLD = "Redis had lost opt-outs"

Action = Callable[[Deployment, Path], Awaitable[None]]


def _in_restart(change: Callable[[Path], object]) -> Action:
    """Return an action that kills Valkey, changes its files and starts it."""

    async def act(deployment: Deployment, folder: Path) -> None:
        def restart() -> None:
            deployment.valkey.kill()
            change(folder / "v")
            deployment.valkey.start()

        await asyncio.to_thread(restart)

    return act


def _remove_data(folder: Path) -> None:
    shutil.rmtree(folder / "appendonlydir")


def _empty_append_only_file(folder: Path) -> None:
    for file in (folder / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"")


def _use_copy(folder: Path) -> None:
    _remove_data(folder)
    shutil.copytree(folder.parent / "copy", folder / "appendonlydir")


async def _flush(deployment: Deployment, _: Path) -> None:
    with deployment.valkey.client() as client:
        client.flushall()


async def _evict(deployment: Deployment, _: Path) -> None:
    with deployment.valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "1mb")
        client.config_set("maxmemory", "0")


async def _use_new_server(deployment: Deployment, folder: Path) -> None:
    await asyncio.gather(*(asyncio.to_thread(replica.stop) for replica in deployment.replicas))
    await _in_restart(_remove_data)(deployment, folder)
    await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in deployment.replicas))


async def _restart_without_redis(deployment: Deployment, folder: Path) -> None:
    await asyncio.to_thread(deployment.valkey.kill)
    _remove_data(folder / "v")
    await asyncio.gather(*(asyncio.to_thread(replica.stop) for replica in deployment.replicas))
    await asyncio.gather(*(asyncio.to_thread(replica.start) for replica in deployment.replicas))


async def _start_valkey(deployment: Deployment, _: Path) -> None:
    await asyncio.to_thread(deployment.valkey.start)


async def _limit_files(deployment: Deployment, size: int) -> None:
    for replica in deployment.replicas:
        for process in deployment.workers(replica):
            _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (size, hard))


async def _fill_the_disk(deployment: Deployment, _: Path) -> None:
    await _limit_files(deployment, 4096)


async def _free_the_disk_and_lose(deployment: Deployment, folder: Path) -> None:
    await _limit_files(deployment, psutil.RLIM_INFINITY)
    await asyncio.sleep(3)  # the routers store every two seconds
    await _use_new_server(deployment, folder)


async def _do_nothing(_: Deployment, __: Path) -> None:
    return


@dataclass(frozen=True, slots=True)
class Loss:
    """One way to lose data.

    Attributes:
        before: comes after the first opt-outs, ``lose`` after all of them, ``after`` once all have texted.
        is_recent: whether the routers write all of it again as their runs of the last 30 seconds.

    """

    name: str
    description: str
    lose: Action
    before: Action = _do_nothing
    after: Action = _do_nothing
    is_recent: bool = False


LOSSES = (
    Loss("consent-flushed", "FLUSHALL", _flush),
    Loss("consent-not-persisted", "Valkey is killed and keeps nothing on disk", _in_restart(_remove_data)),
    Loss("consent-evicted", "Valkey evicts keys (allkeys-lru)", _evict),
    Loss("consent-aof-emptied", "Valkey's append-only file is emptied",
         _in_restart(_empty_append_only_file)),
    Loss("consent-replica-lags", "a failover to a replica that lacks the last opt-outs",
         _in_restart(_use_copy), is_recent=True),
    Loss("consent-new-server", "the routers move to a new, empty Redis", _use_new_server),
    Loss("consent-redis-away", "the routers start while Redis is away, which is empty afterwards",
         _restart_without_redis, after=_start_valkey),
    Loss("consent-disk-full", "the routers' disk is full and freed again, then Redis is new",
         _free_the_disk_and_lose, _fill_the_disk),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LossResult:
    """What was observed after a loss."""

    loss: Loss
    sent: int
    texted: int
    """Replies to contacts who have opted out; must be 0."""
    unanswered: int
    warnings: int
    """Log lines about the loss, of both routers; must be 1."""
    notices: int
    """Routers whose `/readyz` reports it; at least 1."""
    returned: bool
    """Whether a contact got replies again after START, and those who never opted out got theirs."""
    restored: float
    """Seconds until Redis had every opt-out again."""

    @property
    def passed(self) -> bool:
        return (
            not self.texted
            and not self.unanswered
            and self.warnings == 1
            and bool(self.notices)
            and self.returned
        )


async def run_loss(loss: Loss, folder: Path) -> LossResult:
    """Run one loss in an empty folder."""
    async with running_deployment(folder, NO_REQUIREMENTS) as deployment:
        urls = [replica.url for replica in deployment.replicas]
        async with TwilioClient(TWILIO_ACCOUNT, urls) as twilio:
            early = [make_contact(number) for number in range(EARLY)]
            late = [make_contact(EARLY + number) for number in range(LATE)]
            await _send(twilio, early, STOP)
            shutil.copytree(folder / "v/appendonlydir", folder / "copy")
            await loss.before(deployment, folder)
            await _send(twilio, late, STOP)
            await asyncio.sleep(2.5)  # the routers store every two seconds
            lost_at = time.monotonic()
            await loss.lose(deployment, folder)
            exchanges = await _send(twilio, early + late, HOURS)
            await loss.after(deployment, folder)
            restored, ends = 0.0, time.monotonic() + SECONDS
            while time.monotonic() < ends:
                exchanges += await _send(twilio, early + late, HOURS)
                if not restored and await asyncio.to_thread(_count_listed, deployment) >= EARLY + LATE:
                    restored = time.monotonic() - lost_at
            after = await _send(twilio, early[:1], START)
            after += await _send(twilio, [early[0], make_contact(EARLY + LATE)], HOURS)
            notices = [await _has_notice(url) for url in urls]
        return LossResult(
            loss,
            sent=len(exchanges) + len(after),
            texted=sum(map(_is_texted, exchanges)),
            unanswered=sum(not exchange.answers for exchange in (*exchanges, *after)),
            warnings=sum(replica.log.count(TOLD) for replica in deployment.replicas),
            notices=sum(notices),
            returned=all(map(_is_texted, after)),
            restored=restored,
        )


async def _send(twilio: TwilioClient, contacts: Sequence[Contact], text: Text) -> list[MessageExchange]:
    return await asyncio.gather(*(twilio.deliver(contact, text) for contact in contacts))


def _is_texted(exchange: MessageExchange) -> bool:
    return any(b"<Message" in body for body in exchange.bodies)


def _count_listed(deployment: Deployment) -> int:
    listed = deployment.replicas[0].command("opt-outs", "list", "--json", "--limit", "1000")
    with contextlib.suppress(ValueError):
        return len(json.loads(listed.stdout))
    return 0


async def _has_notice(url: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as response:
        return "Redis had lost opt-outs" in await response.text()


def table(results: Sequence[LossResult]) -> Table:
    """Return the results for the terminal; failed rows are red."""
    shown = Table(title="opt-outs after a loss of data", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(("loss", "sent", "texted", "warnings", "notices", "START", "restored s")):
        shown.add_column(column, justify="right" if number else "left")
    for result in results:
        figures = (
            result.sent,
            result.texted,
            result.warnings,
            result.notices,
            "yes" if result.returned else "no",
        )
        row = (result.loss.name, *map(str, figures), f"{result.restored:.1f}")
        shown.add_row(*row, style="" if result.passed else "bold red")
    return shown
