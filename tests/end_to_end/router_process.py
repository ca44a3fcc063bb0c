"""Real routers in processes of their own, and the signed requests that Twilio would send them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import psutil
from twilio.request_validator import RequestValidator

from sms_router.cli import main
from sms_router.sandbox.hosting import free_port
from sms_router.store.keys import bucket_of
from sms_router.store.redis_py import async_client

ACCOUNT = "AC" + "0" * 31 + "1"
SERVICE = "MG" + "0" * 31 + "1"
TOKEN = "the-primary-token"
SECONDARY = "the-secondary-token"
PUBLIC = "https://sms.example.com"
REPOSITORY = Path(__file__).parents[2]

ROUTER_TOML = """
[router]
handlers = ["{handlers}"]
error_reply = "Sorry, that failed."
fallback_reply = "We will answer soon."
{more}
"""

KEYWORDS_TOML = """
[[keyword]]
words = ["HOURS"]
reply = "We are open 9 to 5, {{ message.from_city or 'friend' }}."

[[keyword]]
words = ["BROKEN"]
reply = "{{ 1 // (message.segments - 1) }}"

[default]
reply = "Text HOURS."
"""


def webhook(body: str = "HOURS", **changed: str) -> dict[str, str]:
    """Return the parameters of a new message; a name given as keyword replaces Twilio's value."""
    sid = "SM" + uuid4().hex
    return {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": sid,
        "NumMedia": "0",
        "ToCity": "",
        "FromZip": "94105",
        "SmsSid": sid,
        "FromState": "CA",
        "SmsStatus": "received",
        "FromCity": "SAN FRANCISCO",
        "Body": body,
        "FromCountry": "US",
        "To": "12345",
        "ToZip": "",
        "NumSegments": "1",
        "MessageSid": sid,
        "AccountSid": ACCOUNT,
        "MessagingServiceSid": SERVICE,
        "From": "+14155550123",
        "ApiVersion": "2010-04-01",
        **changed,
    }


def signature(url: str, parameters: Mapping[str, str], token: str = TOKEN) -> str:
    """Sign as the official library does."""
    return str(RequestValidator(token).compute_signature(url, parameters))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


_one_at_a_time = threading.Lock()
"""The environment and the streams are the process's; a process for each command would cost a second."""


def _spoken(words: Sequence[str], environment: Mapping[str, str]) -> Spoken:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        _one_at_a_time,
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["sms-router", *words]),
        contextlib.chdir(REPOSITORY),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Spoken(code, out.getvalue(), err.getvalue())


@dataclass(slots=True)
class RunningRouter:
    """One `sms-router serve` on a port of its own."""

    folder: Path
    redis_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    module: str = "sms_router"
    """What is started."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def figures(self) -> Path | None:
        """Where its several workers keep their figures; None before the first of them."""
        assert self.process is not None
        for running in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it may end in this moment
                if found := running.environ().get("PROMETHEUS_MULTIPROC_DIR"):
                    return Path(found)
        return None

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return (self.folder / f"log-{self.port}").read_text()

    def start(self) -> RunningRouter:
        """Start it and wait until it serves."""
        environment = {
            "PATH": os.environ["PATH"],
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_AUTH_TOKEN_SECONDARY": SECONDARY,
            "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
            "TWILIO_API_BASE_URL": "http://127.0.0.1:9",
            "PUBLIC_URL": PUBLIC,
            "REDIS_URL": self.redis_url,
            "SMS_ROUTER_CONFIG": str(self.folder),
            "PORT": str(self.port),
            "RUNS": str(self.folder / "runs"),
            **self.environment,
        }
        with (self.folder / f"log-{self.port}").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "serve"],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_it_serves()
        return self

    def wait_until_it_serves(self) -> None:
        """Wait for its port; fail with its log when it does not open."""
        assert self.process is not None
        for _ in range(1500):
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the router did not start:\n{self.log}")

    def stop(self) -> int:
        """Stop it gracefully and return its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """Kill it and everything it started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    @property
    def runs(self) -> list[str]:
        """The sids of the messages whose handlers ran, once for each run."""
        file = self.folder / "runs"
        return file.read_text().split() if file.exists() else []

    def command(self, *words: str) -> Spoken:
        """Run a command of the router against the same configuration and store."""
        environment = {
            "PATH": os.environ["PATH"],
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
            "TWILIO_API_BASE_URL": self.environment.get("TWILIO_API_BASE_URL", "http://127.0.0.1:9"),
            "PUBLIC_URL": PUBLIC,
            "REDIS_URL": self.redis_url,
            "SMS_ROUTER_CONFIG": str(self.folder),
            "PORT": str(self.port),
        }
        with ThreadPoolExecutor(1) as apart:  # some commands run a loop of their own
            return apart.submit(_spoken, words, environment).result(timeout=60)

    async def deliver(
        self,
        parameters: Mapping[str, str],
        path: str = "/sms",
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        token: str = TOKEN,
    ) -> Answer:
        """Send a signed request as Twilio would."""
        if method == "GET":
            target = f"{path}{'&' if '?' in path else '?'}{urlencode(parameters)}"
            signed = signature(PUBLIC + target, {}, token)
            return await self.send("GET", target, b"", {"X-Twilio-Signature": signed, **(headers or {})})
        signed = signature(PUBLIC + path, parameters, token)
        return await self.send(
            method,
            path,
            urlencode(parameters).encode(),
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Twilio-Signature": signed,
                **(headers or {}),
            },
        )

    async def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send any request at all."""
        from yarl import URL  # noqa: PLC0415 - aiohttp's own, to keep the query as it is

        timeout = aiohttp.ClientTimeout(total=30)
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            session.request(
                method, URL(self.url + target, encoded=True), data=body or None, headers=headers,
                allow_redirects=False,
            ) as response,
        ):  # fmt: skip
            content = await response.read()
            return Answer(response.status, response.content_type, content, dict(response.headers))

    async def fetch(self, path: str) -> Answer:
        """Fetch a page."""
        return await self.send("GET", path, b"", {})


def write_configuration(
    folder: Path,
    more: str = "",
    handlers: str = "tests.end_to_end.handlers",
    keywords: str = KEYWORDS_TOML,
) -> Path:
    """Write the configuration of these tests into a folder; ``more`` goes below ``[router]``.

    Unless it says otherwise nothing guards against loops: tests text faster than people do.
    """
    if "[loop_guard]" not in more:
        more += "\n[loop_guard]\nreplies = 0\n"
    folder.mkdir(parents=True, exist_ok=True)
    text = ROUTER_TOML.format(more=f'data_dir = "{folder / "data"}"\n{more}', handlers=handlers)
    (folder / "router.toml").write_text(text)
    (folder / "keywords.toml").write_text(keywords)
    return folder


async def has_its_turn(url: str, parameters: Mapping[str, str]) -> None:
    """Wait until a message has its turn among its person's, stands in line for it, or has had it."""
    person, reference = parameters["From"], f"{ACCOUNT}/{parameters['MessageSid']}"
    bucket = bucket_of(person)
    async with async_client(url, connect_within=2) as client:

        async def there() -> bool:
            line = await client.hmget(bucket.conversation(SERVICE, person), "holder", "queue")
            known = any(reference.encode() in each for each in line if each)
            return known or bool(await client.exists(bucket.message(reference)))

        await until(there)


async def until(condition: object, *, seconds: float = 20) -> None:
    """Wait until an async condition is true; fail after a bounded time."""
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
