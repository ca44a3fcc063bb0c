"""``sms-router sandbox``, in a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from typer.testing import CliRunner

from sms_router.cli import commands
from sms_router.cli.output import CommandError
from sms_router.sandbox.hosting import free_port, serve
from tests.sandbox.customer_application import CustomerApplication
from tests.sandbox.sandbox_fixture import PHONE

STEP = f'[[steps]]\nphone = "{PHONE}"\ntexts = "HOURS"\nwithin = 0\n'


@asynccontextmanager
async def _command(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "sms_router", "sandbox", *arguments),
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _output(*arguments: str) -> tuple[int | None, str]:
    async with _command(*arguments) as process:
        output, _ = await process.communicate()
        return process.returncode, output.decode()


def _scenario(tmp_path: Path, text: str) -> str:
    path = tmp_path / "scenario.toml"
    path.write_text(f'title = "A test"\n{text}', "utf-8")
    return str(path)


@pytest.mark.slow
async def test_a_scenario_is_played_against_a_running_router(tmp_path: Path) -> None:
    path = _scenario(tmp_path, STEP + 'shows = ["Open"]\n')
    customer = CustomerApplication()
    async with serve(customer.app()) as customer.url:
        customer.set_twiml("/sms", "<Message>Open</Message>")
        code, output = await _output("run", path, "--router", customer.url)
        assert code == 0, output
        assert "✓ +14155550123 texts 12345: HOURS" in output
        assert "1 of 1 scenarios passed" in output


@pytest.mark.slow
async def test_a_difference_is_shown_and_exits_1(tmp_path: Path) -> None:
    path = _scenario(tmp_path, STEP + 'shows = ["Open"]\n')
    customer = CustomerApplication()
    async with serve(customer.app()) as customer.url:
        customer.set_twiml("/sms", "<Message>Closed</Message>")
        code, output = await _output("run", path, "--router", customer.url, "--json")
    (result,) = json.loads(output)
    assert (code, result["passed"], result["steps"][0]["verdict"]) == (1, False, "failed")
    (difference,) = result["steps"][0]["differences"]
    assert difference["expected"] == "text 'Open'"
    assert difference["got"] == "from 12345, text 'Closed', status delivered"


def _error(*arguments: str) -> CommandError:
    result = CliRunner().invoke(commands, ["sandbox", *arguments])
    assert isinstance(result.exception, CommandError)
    return result.exception


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (STEP + "show = 1\n", (), "steps[1].show: unknown key; did you mean shows?"),
        ("[router]\nx = 1\n" + STEP, ("--router", "http://127.0.0.1:1"), "a running router cannot use"),
    ],
)
def test_a_file_that_cannot_be_played_exits_2(
    tmp_path: Path, text: str, arguments: tuple[str, ...], sentence: str
) -> None:
    error = _error("run", _scenario(tmp_path, text), *arguments)
    assert error.code == 2
    assert sentence in str(error)


@pytest.mark.parametrize("arguments", [("run",), ()])
def test_an_invalid_router_url_is_reported_by_its_option(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(commands, ["sandbox", *arguments, "--router", "localhost:8000"])
    assert result.exit_code == 2
    assert "Invalid value for '--router': must start with https:// or http://" in " ".join(
        result.output.split()
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "sms.example.com"])
def test_a_public_address_requires_a_flag(host: str) -> None:
    error = _error("--host", host)
    assert error.code == 2
    assert "--expose-to-everybody" in str(error)


@pytest.mark.slow
async def test_an_interrupted_scenario_leaves_nothing_running(tmp_path: Path) -> None:
    path = _scenario(tmp_path, STEP.replace("within = 0", "within = 60") + 'shows = ["never"]\n')
    async with _command("run", path) as process, asyncio.timeout(30):
        assert process.stdout
        await process.stdout.readuntil(b"A test")
        play = psutil.Process(process.pid)
        while not (started := play.children(recursive=True)):
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        output = await process.stdout.read()
        assert await process.wait() == 130
    assert b"Stopped, with everything that was started." in output
    assert not [child for child in started if child.is_running()]


async def test_it_serves_with_a_manual_clock_and_stops_at_sigterm() -> None:
    port = free_port()
    async with _command("--port", str(port), "--manual-clock") as process, aiohttp.ClientSession() as session:
        assert process.stdout
        assert f"http://127.0.0.1:{port}" in (await process.stdout.readline()).decode()
        url = f"http://127.0.0.1:{port}/sandbox/clock"
        begin = await _begin_when_listening(session, url)
        assert abs((datetime.now(UTC) - begin).total_seconds()) < 60
        async with session.post(url, json={"advance": 30}) as response:
            now = datetime.fromisoformat((await response.json())["now"])
        assert now - begin == timedelta(seconds=30)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await process.wait()


async def _begin_when_listening(session: aiohttp.ClientSession, url: str) -> datetime:
    """Wait until it listens; return the time of its manual clock."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with session.get(url) as response:
                    clock = await response.json()
                    assert clock["manual"] is True
                    return datetime.fromisoformat(clock["now"])
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_an_audit_judges_the_replies_and_writes_the_transcript(tmp_path: Path) -> None:
    path = tmp_path / "audit.txt"
    code, output = await _output("audit", "--output", str(path))
    assert code == 1
    transcript = path.read_text()
    assert transcript.startswith("Audit of config, ")
    assert "12345 (short code), en\n  auditor: HELP\n    router: Reply STOP" in transcript
    assert "objection: the reply does not name the program" in transcript
    assert "replies: " not in transcript, "each word gets one reply"
    assert transcript.splitlines()[0] in output
