"""A router as `make run` starts it, on free ports, whose data are deleted at the end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

from loadtests.workload.configuration import REPOSITORY, write_configuration
from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import EVERYDAY_TEXTS
from loadtests.workload.webhook import Account, WebhookBuilder
from sms_router.sandbox.hosting import free_port
from sms_router.store.embedded import running_at
from sms_router.store.keys import ALL_BUCKETS

START_TIMEOUT = 30.0
"""Seconds."""

WARM_UP = 300
"""Messages before anything is measured."""

_INHERITED = ("PATH", "HOME", "LANG")


class LoadTestError(RuntimeError):
    """The load test cannot run; the message has the reason."""


@dataclass(frozen=True, slots=True)
class LocalRouter:
    """A running router with the sandbox's account."""

    account: Account
    data: Path

    def count_journaled(self) -> int:
        """Return how many messages the journal holds."""
        url = running_at(self.data)
        assert url is not None
        with redis.Redis.from_url(url) as client:
            return sum(int(str(client.xlen(bucket.journal))) for bucket in ALL_BUCKETS)


def credentials_environment(account: Account) -> Mapping[str, str]:
    """Return the environment variables of the account and of the public URL."""
    return {
        "TWILIO_ACCOUNT_SID": account.sid,
        "TWILIO_AUTH_TOKEN": account.token,
        "TWILIO_MESSAGING_SERVICE_SID": account.service_sid,
        "PUBLIC_URL": account.public_url,
    }


@contextlib.contextmanager
def running_router(folder: Path, workers: int) -> Iterator[LocalRouter]:
    """Start the router, the embedded Valkey and the sandbox in an empty folder; stop them at the end.

    Raises:
        LoadTestError: if they do not start, with the last lines of the log.

    """
    port, sandbox_port = free_port(), free_port()
    write_configuration(folder / "config", folder / "data")
    world = tomllib.loads((folder / "config" / "sandbox.toml").read_text())
    account = Account(
        world["account"]["sid"],
        world["account"]["auth_token"],
        world["services"][0]["sid"],
        f"http://127.0.0.1:{port}",
    )
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "SMS_ROUTER_CONFIG": str(folder / "config"),
        "PORT": str(port),
        "SANDBOX_PORT": str(sandbox_port),
        "WORKERS": str(workers),
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sms_router", "serve"],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, port, log)
        yield LocalRouter(account, folder / "data")
    finally:
        _stop(process)


def warm_up(account: Account) -> None:
    """Send a few hundred texts, one after the other.

    Raises:
        LoadTestError: if the status of an answer is not 200.

    """
    builder = WebhookBuilder(account)
    connection = http.client.HTTPConnection(account.public_url.removeprefix("http://"), timeout=15)
    with contextlib.closing(connection):
        for number in range(WARM_UP):
            sid = f"SM{number:032x}"
            parameters = builder.inbound_parameters(
                sid, make_contact(number), EVERYDAY_TEXTS[number % len(EVERYDAY_TEXTS)]
            )
            request = builder.post("/sms", parameters, sid)
            connection.request("POST", request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise LoadTestError(f"a message of the warm-up was answered with {response.status}")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if b'"ready"' in connection.getresponse().read():
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").splitlines()[-15:]
    raise LoadTestError("\n".join(["The router did not start; the end of its log:", *lines]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
