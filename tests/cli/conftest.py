from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import pytest

from sms_router.cli import main
from sms_router.cli.output import tables
from sms_router.cli.times import shown_times
from sms_router.config.environment import VARIABLES
from sms_router.sandbox.hosting import free_port
from tests.cli.sandbox_cli import SandboxCli, sandbox_cli

PROGRAM = Path(sys.executable).with_name("sms-router")
OWN_VARIABLES = (
    *VARIABLES,
    "SMS_ROUTER_CONFIG",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_AUTH_TOKEN_SECONDARY",
    "TWILIO_MESSAGING_SERVICE_SID",
)

ROUTER_TOML = """
[router]
handlers = ["my_handlers"]
error_reply = "Sorry."
inline_deadline = 1.0

[loop_guard]
replies = 0  # one phone sends all the texts of these tests
"""

KEYWORDS_TOML = """
[[keyword]]
words = ["HOURS", "OPEN"]
reply = "We are open 9 to 5, {{ message.from_city or 'friend' }}."

[[keyword]]
words = ["MENU"]
template = "menu.txt"
media = ["https://example.com/menu.png"]

[[keyword]]
words = ["THIRD"]
reply = "{{ words[2] if words[1] == 'SAMPLE' else 1 // (words | length - 2) }}"

[[keyword]]
words = ["BONJOUR"]
countries = ["CA"]
reply = "Bonjour !"

[default]
reply = "Text HOURS or MENU."
"""

HANDLERS = """
import asyncio

from sms_router import InboundMessage, Sms, keyword

@keyword("ECHO")
async def echo(argument: str) -> str:
    return f"You said {argument}"

@keyword("BOOM")
def boom() -> None:
    raise LookupError("no balance for +14155550123")

@keyword("QUIET")
def quiet() -> None: ...

@keyword("TWICE")
async def twice(message: InboundMessage, sms: Sms) -> str:
    await asyncio.sleep(1.2)
    await sms.send(message.sender, "one")
    return "two"
"""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Cli = Callable[..., CommandResult]


def write_folder(folder: Path) -> Path:
    """Write a configuration and handlers into a folder that a router may be started in."""
    (folder / "config" / "templates").mkdir(parents=True)
    (folder / "config" / "router.toml").write_text(ROUTER_TOML)
    (folder / "config" / "keywords.toml").write_text(KEYWORDS_TOML)
    (folder / "config" / "templates" / "menu.txt").write_text("Soup: 5\n")
    (folder / "my_handlers.py").write_text(HANDLERS)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and no data."""
    return write_folder(tmp_path)


@pytest.fixture
def cli(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command in a folder, as from a terminal of 80 columns."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(tables, "width", 80)
    monkeypatch.setattr(shown_times, "zone", UTC)
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, inside: Path = folder, **environment: str) -> CommandResult:
        monkeypatch.chdir(inside)
        monkeypatch.setattr(sys, "argv", ["sms-router", *words])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        result = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, result.out, result.err)

    yield run
    for name in set(sys.modules) - before:
        if name.startswith("my_handlers"):
            del sys.modules[name]


def is_listening(port: int) -> bool:
    """Return whether a server listens on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@dataclass(slots=True)
class Serving:
    """A real ``sms-router serve`` without Twilio credentials, with Valkey and the sandbox."""

    folder: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, program: Path = PROGRAM, *words: str, **more: str) -> Serving:
        port, sandbox_port = free_port(), free_port()
        environment = {"PORT": str(port), "SANDBOX_PORT": str(sandbox_port), **more}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, "serve", *words],
                cwd=folder,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        serving = cls(folder, environment, process)
        for _ in range(1500):
            if is_listening(port) or process.poll() is not None:
                break
            time.sleep(0.02)
        assert process.poll() is None, serving.log
        assert is_listening(port), serving.log
        return serving

    @property
    def log(self) -> str:
        """Everything it has printed."""
        return (self.folder / "log").read_text()

    def stop(self) -> int:
        """Stop it as a process manager does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running router with two workers, for the tests that only use it."""
    folder = write_folder(tmp_path_factory.mktemp("serving"))
    router = Serving.start(folder, WORKERS="2")
    yield router
    router.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def live(cli: Cli, serving: Serving) -> Cli:
    """Run a command beside the running router."""

    def run(*words: str, **environment: str) -> CommandResult:
        return cli(*words, inside=serving.folder, **{**serving.environment, **environment})

    return run


@pytest.fixture
def twilio(cli: Cli, valkey_url: str) -> Iterator[SandboxCli]:
    with sandbox_cli(cli, valkey_url) as side:
        yield side
