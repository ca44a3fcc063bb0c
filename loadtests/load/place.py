"""A router of our own to text: as `make run` starts it, on free ports, its data gone afterwards."""

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

from loadtests.crowd.configuration import REPOSITORY, write_configuration
from loadtests.crowd.people import person
from loadtests.crowd.texts import EVERYDAY
from loadtests.crowd.webhook import Account, Caller
from sms_router.sandbox.hosting import free_port
from sms_router.store.embedded import running_at
from sms_router.store.keys import ALL_BUCKETS

STARTS_WITHIN = 30.0
WARM_UP = 300
"""Messages before the clock starts."""

_INHERITED = ("PATH", "HOME", "LANG")


class PlaceError(RuntimeError):
    """The router does not start; says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """A running router, whose account is the sandbox's."""

    account: Account
    data: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What locust needs to know to sign."""
        return environment_of(self.account)

    def journaled(self) -> int:
        """Return how many messages the journal holds."""
        url = running_at(self.data)
        assert url is not None
        with redis.Redis.from_url(url) as client:
            return sum(int(str(client.xlen(bucket.journal))) for bucket in ALL_BUCKETS)


def environment_of(account: Account) -> Mapping[str, str]:
    """Return the variables that tell an account and what Twilio calls."""
    return {
        "TWILIO_ACCOUNT_SID": account.sid,
        "TWILIO_AUTH_TOKEN": account.token,
        "TWILIO_MESSAGING_SERVICE_SID": account.service_sid,
        "PUBLIC_URL": account.public_url,
    }


@contextlib.contextmanager
def running_place(folder: Path, workers: int) -> Iterator[Place]:
    """Start router, embedded Valkey and sandbox in an empty folder; stop them at the end.

    Raises:
        PlaceError: when they do not come up, with the last lines of their log.

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
        yield Place(account, folder / "data")
    finally:
        _stop(process)


def warm_up(account: Account) -> None:
    """Text a few hundred things, one after the other.

    Raises:
        PlaceError: when one is not answered 200.

    """
    caller = Caller(account)
    connection = http.client.HTTPConnection(account.public_url.removeprefix("http://"), timeout=15)
    with contextlib.closing(connection):
        for number in range(WARM_UP):
            sid = f"SM{number:032x}"
            parameters = caller.inbound(sid, person(number), EVERYDAY[number % len(EVERYDAY)])
            request = caller.post("/sms", parameters, sid)
            connection.request("POST", request.path, request.body, dict(request.headers))
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise PlaceError(f"while warming up, a message was answered {response.status}")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if b'"ready"' in connection.getresponse().read():
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").splitlines()[-15:]
    raise PlaceError("\n".join(["The router did not get ready; its last words:", *lines]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
