"""Router processes, and signed requests to them as Twilio sends them."""

from __future__ import annotations

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
from tests.end_to_end.forked import ForkedProcess, parent
from tests.waiting import wait_until

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
    """Return the parameters of a new message; ``changed`` replaces some of them."""
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
    """Return the signature of Twilio's own library."""
    return str(RequestValidator(token).compute_signature(url, parameters))


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response of a router."""

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a command, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


_command_lock = threading.Lock()
"""Commands run in this process, which saves a second each; they share its environment and its streams."""


def _run_command(words: Sequence[str], environment: Mapping[str, str]) -> CommandResult:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        _command_lock,
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["sms-router", *words]),
        contextlib.chdir(REPOSITORY),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    return CommandResult(code, out.getvalue(), err.getvalue())


@dataclass(slots=True)
class RouterProcess:
    """One ``sms-router serve`` on its own port."""

    folder: Path
    redis_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | ForkedProcess | None = None
    module: str = "sms_router"
    """The module that is started."""
    server: Sequence[str] = ()
    """The arguments of another server that is started instead, as a module of Python."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_dir(self) -> Path | None:
        """The directory of its workers' metrics; None before the first worker has started."""
        assert self.process is not None
        for worker in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # the worker may be ending
                if directory := worker.environ().get("PROMETHEUS_MULTIPROC_DIR"):
                    return Path(directory)
        return None

    @property
    def log(self) -> str:
        """What it has printed so far, to stdout and stderr."""
        return (self.folder / f"log-{self.port}").read_text()

    @property
    def _variables(self) -> dict[str, str]:
        """The environment of its commands."""
        return {
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

    def start(self) -> RouterProcess:
        """Start it and wait until it accepts connections."""
        own = {"TWILIO_AUTH_TOKEN_SECONDARY": SECONDARY, "RUNS": str(self.folder / "runs")}
        environment = {**self._variables, **own, **self.environment}
        log_file = self.folder / f"log-{self.port}"
        if sys.platform == "linux" and self.module == "sms_router" and not self.server:
            self.process = parent().start(environment, log_file)
        else:
            with log_file.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *(self.server or (self.module, "serve"))],
                    cwd=REPOSITORY,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.wait_until_serving()
        return self

    def wait_until_serving(self) -> None:
        """Wait until it accepts connections; fail with its log if it does not."""
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
        """Kill it and its workers."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    @property
    def runs(self) -> list[str]:
        """The sid of the message of each run of a handler."""
        file = self.folder / "runs"
        return file.read_text().split() if file.exists() else []

    async def wait_for_runs(self, count: int = 1) -> None:
        """Wait until handlers have run this often."""
        await wait_until(lambda: len(self.runs) >= count)

    def command(self, *words: str) -> CommandResult:
        """Run a command with the configuration and the Redis of the router."""
        with ThreadPoolExecutor(1) as thread:  # some commands run an event loop
            return thread.submit(_run_command, words, self._variables).result(timeout=60)

    async def deliver(
        self,
        parameters: Mapping[str, str],
        path: str = "/sms",
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        token: str = TOKEN,
    ) -> HttpResponse:
        """Send a signed request as Twilio does."""
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

    async def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Send a request; the target is sent as it is."""
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
            return HttpResponse(response.status, response.content_type, content, dict(response.headers))

    async def fetch(self, path: str) -> HttpResponse:
        return await self.send("GET", path, b"", {})


def write_configuration(
    folder: Path,
    more: str = "",
    handlers: str = "tests.end_to_end.handlers",
    keywords: str = KEYWORDS_TOML,
) -> Path:
    """Write the configuration of these tests into a folder; ``more`` is appended to ``[router]``.

    The loop guard is off unless ``more`` configures it, because tests text faster than contacts do.
    """
    if "[loop_guard]" not in more:
        more += "\n[loop_guard]\nreplies = 0\n"
    folder.mkdir(parents=True, exist_ok=True)
    text = ROUTER_TOML.format(more=f'data_dir = "{folder / "data"}"\n{more}', handlers=handlers)
    (folder / "router.toml").write_text(text)
    (folder / "keywords.toml").write_text(keywords)
    return folder


async def wait_until_known(url: str, parameters: Mapping[str, str]) -> None:
    """Wait until a message is being handled, waits in its contact's queue, or is stored."""
    contact, reference = parameters["From"], f"{ACCOUNT}/{parameters['MessageSid']}"
    bucket = bucket_of(contact)
    async with async_client(url, connect_within=2) as client:

        async def is_known() -> bool:
            fields = await client.hmget(bucket.conversation(SERVICE, contact), "holder", "queue")
            is_in_queue = any(reference.encode() in field for field in fields if field)
            return is_in_queue or bool(await client.exists(bucket.message(reference)))

        await wait_until(is_known)
