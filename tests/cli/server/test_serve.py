"""``serve`` and ``sandbox``: starting, refusing to start, and stopping with nothing left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest
import requests

from sms_router.cli.server.serve import first_text_lines
from sms_router.sandbox.hosting import free_port
from sms_router.server.metrics_dir import SHARED_MEMORY
from tests.cli.conftest import OWN_VARIABLES, PROGRAM, Cli, Serving, is_listening
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until_blocking

REPOSITORY = Path(__file__).parents[3]


def test_serve_starts_valkey_and_the_sandbox_and_stops_them(folder: Path) -> None:
    serving = Serving.start(folder)
    port, sandbox_port = int(serving.environment["PORT"]), int(serving.environment["SANDBOX_PORT"])
    assert is_listening(sandbox_port)
    assert serving.stop() == 0
    assert not is_listening(port)
    assert not is_listening(sandbox_port)
    assert not (folder / ".data" / "valkey" / "valkey.sock").exists()
    assert "Traceback" not in serving.log


def test_serve_prints_the_webhook_urls_and_a_command(serving: Serving) -> None:
    port, sandbox_port = serving.environment["PORT"], serving.environment["SANDBOX_PORT"]
    assert f"listens on http://127.0.0.1:{port}" in serving.log
    assert f"the sandbox, an offline Twilio, runs on http://127.0.0.1:{sandbox_port}" in " ".join(
        serving.log.split()
    )
    for line in ("/sms          (POST)", "/sms/fallback (POST)", "/sms/status"):
        assert f"http://127.0.0.1:{port}{line}" in serving.log
    assert f"  PORT={port} {PROGRAM} text HOURS" in serving.log


def test_the_printed_command_has_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in OWN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "8001")
    monkeypatch.setenv("SMS_ROUTER_CONFIG", "my folder")
    monkeypatch.setenv("REDIS_URL", "redis://:s3cret@10.0.0.1/0")
    monkeypatch.setattr(sys, "argv", ["sms-router", "serve"])
    assert first_text_lines() == [
        "\nSend the first text from another terminal, with the same TWILIO_* and REDIS_URL:",
        "  SMS_ROUTER_CONFIG='my folder' PORT=8001 sms-router text HOURS",
        "Then see why it got its reply:",
        "  SMS_ROUTER_CONFIG='my folder' PORT=8001 sms-router messages\n",
    ]


def test_serve_without_credentials_prints_a_stable_console_password(serving: Serving) -> None:
    file = serving.folder / ".data" / "console-password"
    password = file.read_text().strip()
    url = f"http://127.0.0.1:{serving.environment['PORT']}/console"
    assert f"Console: {url} (password: {password})" in serving.log
    assert (file.stat().st_mode & 0o777, len(password)) == (0o600, 16)
    with requests.Session() as browser:
        browser.trust_env = False
        page = browser.post(f"{url}/login", data={"password": password}, timeout=30)
    assert "The router is" in page.text


def begun(folder: Path, *program: str, terminal: int | None = None, **more: str) -> Serving:
    """Start a router from the command line in a folder, on a terminal if one is given, and wait for it."""

    def sit_down() -> None:
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    port, sandbox_port = free_port(), free_port()
    environment = {"PORT": str(port), "SANDBOX_PORT": str(sandbox_port), **more}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*program, "serve", *(["--sandbox"] if {"HOST", "PUBLIC_URL"} & more.keys() else [])],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=sit_down,  # noqa: PLW1509 (one system call, which takes no lock)
        )
    serving = Serving(folder, environment, process)
    host = "::1" if more.get("HOST") == "::" else "127.0.0.1"
    for _ in range(1500):
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return serving
        assert process.poll() is None, serving.log
        time.sleep(0.02)
    raise AssertionError(serving.log)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="this system has none")
def test_workers_write_their_metrics_to_memory(folder: Path) -> None:
    serving = Serving.start(folder, WORKERS="2")
    children = psutil.Process(serving.process.pid).children()
    figures = {each.environ().get("PROMETHEUS_MULTIPROC_DIR", "") for each in children}
    (place,) = {Path(each) for each in figures if Path(each).parent == SHARED_MEMORY}
    assert place.is_dir()
    assert serving.stop() == 0
    assert not place.exists()


@pytest.mark.slow
def test_workers_run_without_a_writable_data_folder(
    folder: Path, cli: Cli, private_valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    router = folder / "config" / "router.toml"
    router.write_text(
        router.read_text().replace("[router]\n", '[router]\ndata_dir = "config/router.toml/data"\n')
    )
    serving = Serving.start(folder, WORKERS="2", REDIS_URL=private_valkey.url, TMPDIR=str(folder))
    try:
        assert "open 9 to 5" in cli("text", "HOURS", inside=folder, **serving.environment).out
        metrics = f"http://127.0.0.1:{serving.environment['PORT']}/metrics"
        reported = 'sms_router_messages_total{outcome="reply"} 1.0'
        wait_until_blocking(lambda: reported in requests.get(metrics, timeout=30).text)
    finally:
        assert serving.stop() == 0
    assert "Traceback" not in serving.log


@pytest.mark.slow
def test_workers_that_end_while_the_rules_have_mistakes_are_replaced(folder: Path, cli: Cli) -> None:
    serving = Serving.start(folder, WORKERS="2")
    try:
        wait_until_blocking(lambda: len(serve_in(serving.log)) == 2)
        (folder / "config" / "keywords.toml").write_text("[[keyword")
        wait_until_blocking(lambda: "the changed configuration is refused" in serving.log)
        lost = workers_of(serving)
        assert len(lost) == 2
        for each in lost:
            each.kill()
        wait_until_blocking(
            lambda: all(f"worker {each.pid} has ended (exit code -9)" in serving.log for each in lost)
        )
        wait_until_blocking(
            lambda: "open 9 to 5" in cli("text", "HOURS", inside=folder, **serving.environment).out
        )
        assert "Traceback" not in serving.log
    finally:
        assert serving.stop() == 0


@pytest.mark.slow
def test_a_replaced_worker_has_the_settings_of_the_first_start(
    folder: Path,
) -> None:
    serving = Serving.start(folder, WORKERS="2")
    try:
        wait_until_blocking(lambda: len(serve_in(serving.log)) == 2)
        (folder / "config" / "router.toml").write_text("[router")
        lost = workers_of(serving)[0]
        lost.kill()
        wait_until_blocking(lambda: len(serve_in(serving.log)) == 3)
        assert f"worker {lost.pid} has ended (exit code -9); another one starts" in serving.log
        assert "Traceback" not in serving.log
    finally:
        assert serving.stop() == 0


@pytest.mark.slow
def test_failed_starts_are_delayed_while_other_workers_serve(folder: Path) -> None:
    handlers = folder / "my_handlers.py"
    right = handlers.read_text()
    serving = Serving.start(folder, WORKERS="2")
    try:
        wait_until_blocking(lambda: len(serve_in(serving.log)) == 2)
        handlers.write_text("def half(")
        workers_of(serving)[0].kill()
        wait_until_blocking(lambda: "another one starts in 2 s" in serving.log)
        assert "a worker cannot start: " in serving.log
        assert "my_handlers" in serving.log.partition("a worker cannot start: ")[2].partition("\n")[0]
        assert requests.get(f"http://127.0.0.1:{serving.environment['PORT']}/healthz", timeout=30).ok
        handlers.write_text(right)
        wait_until_blocking(lambda: len(serve_in(serving.log)) == 3)
        assert "Traceback" not in serving.log
    finally:
        assert serving.stop() == 0


def serve_in(text: str) -> list[str]:
    return re.findall(r"worker (\d+) serves", text)


def workers_of(serving: Serving) -> list[psutil.Process]:
    children = psutil.Process(serving.process.pid).children()
    return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("program", [(".venv/bin/sms-router",), (".venv/bin/python", "-m", "sms_router")])
def test_the_printed_command_works_in_the_current_folder(folder: Path, program: tuple[str, ...]) -> None:
    (folder / ".venv").symlink_to(PROGRAM.parents[1])
    (folder / "app").symlink_to(REPOSITORY / "app")
    (folder / "config" / "sandbox.toml").symlink_to(REPOSITORY / "config" / "sandbox.toml")
    serving = begun(folder, *program)
    try:
        (line,) = [line.strip() for line in serving.log.splitlines() if line.endswith(" text HOURS")]
        assert line == f"PORT={serving.environment['PORT']} {' '.join(program)} text HOURS"
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=folder,
            env={"PATH": os.environ["PATH"]},  # another terminal
            capture_output=True,
            text=True,
            check=False,
        )
        assert "We are open 9 to 5" in done.stdout, done.stderr
    finally:
        assert serving.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("public_url", ["http://sms.test:1/twilio", "https://sms.example.com:8443/x"])
def test_text_reaches_the_router_with_any_public_url(folder: Path, public_url: str) -> None:
    serving = begun(folder, str(PROGRAM), PUBLIC_URL=public_url)
    try:
        sandbox = f"http://127.0.0.1:{serving.environment['SANDBOX_PORT']}"
        texted = requests.post(
            f"{sandbox}/sandbox/phones/+14155550123/messages",
            json={"to": "12345", "body": "HOURS"},
            timeout=30,
        ).json()
        assert texted["webhook"]["requests"][0]["url"] == f"{public_url}/sms"
        assert texted["messages"][0]["body"].startswith("We are open 9 to 5"), texted
    finally:
        assert serving.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_closed_terminal_stops_everything(folder: Path, workers: str) -> None:
    terminal, end = pty.openpty()
    serving = begun(folder, str(PROGRAM), terminal=end, WORKERS=workers)
    os.close(end)
    started = psutil.Process(serving.process.pid).children(recursive=True)
    os.close(terminal)
    assert serving.process.wait(timeout=30) == 0
    assert not psutil.wait_procs(started, timeout=20)[1]
    assert "Traceback" not in serving.log


@pytest.mark.slow
def test_a_router_on_all_ipv6_addresses_prints_a_loopback_url(folder: Path) -> None:
    serving = begun(folder, str(PROGRAM), HOST="::")
    try:
        assert f"listens on http://[::1]:{serving.environment['PORT']}" in serving.log
        done = subprocess.run(
            [PROGRAM, "text", "HOURS"],
            cwd=folder,
            env=serving.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "We are open 9 to 5" in done.stdout, done.stderr
    finally:
        assert serving.stop() == 0


def are_free(*ports: int) -> bool:
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return True


@pytest.mark.parametrize("distance", [1, 2])
def test_all_used_ports_are_reported_with_one_command(cli: Cli, distance: int) -> None:
    with socket.socket() as taken, socket.socket() as other:
        first = next(port for port in range(21_000, 30_000, 4) if are_free(port, port + distance))
        taken.bind(("127.0.0.1", first))
        other.bind(("127.0.0.1", first + distance))
        taken.listen()
        other.listen()
        port, sandbox_port = taken.getsockname()[1], other.getsockname()[1]
        result = cli("serve", PORT=str(port), SANDBOX_PORT=str(sandbox_port))
    assert result.code == 1
    assert f"127.0.0.1:{port} cannot be used" in result.err
    assert f"127.0.0.1:{sandbox_port} cannot be used" in result.err
    proposed = re.search(r"Use another one: PORT=(\d+) SANDBOX_PORT=(\d+) make run", result.err)
    assert proposed is not None, result.err
    assert port < int(proposed[1]) != int(proposed[2]) > sandbox_port  # the next ones that are free


def test_a_port_that_is_configured_twice_is_reported(cli: Cli) -> None:
    port = free_port()
    result = cli("serve", PORT=str(port), SANDBOX_PORT=str(port))
    assert result.code == 1
    assert result.err.splitlines() == [
        f"SANDBOX_PORT and PORT are both {port}.",
        f"Use another one: SANDBOX_PORT={port + 1} make run",
    ]


def test_a_used_port_is_reported_with_a_command(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = cli("serve", PORT=str(port))
        assert result.code == 1
        assert f"127.0.0.1:{port} cannot be used: Address already in use." in result.err
        proposed = re.search(r"Use another one: PORT=(\d+) make run", result.err)
        assert proposed is not None, result.err
        assert port < int(proposed[1])
        result = cli("sandbox", "--port", str(port))
        assert result.code == 1
        assert f"sms-router sandbox --port {port + 1}" in result.err


def test_a_second_router_on_the_same_data_is_refused_and_commands_are_not(cli: Cli, serving: Serving) -> None:
    port, sandbox_port = free_port(), free_port()
    result = cli("serve", inside=serving.folder, PORT=str(port), SANDBOX_PORT=str(sandbox_port))
    assert result.code == 1
    output = " ".join(result.err.split())
    assert f"process {serving.process.pid} runs the Valkey of" in output
    assert "set REDIS_URL" in output
    assert cli("messages", inside=serving.folder).code == 0


def test_a_second_start_names_the_running_router(cli: Cli, serving: Serving) -> None:
    result = cli("serve", inside=serving.folder, **serving.environment)
    assert result.code == 1
    assert result.err.splitlines() == [
        f"127.0.0.1:{serving.environment['PORT']} cannot be used: Address already in use.",
        f"127.0.0.1:{serving.environment['SANDBOX_PORT']} cannot be used: Address already in use.",
        "A router with this data folder runs already: use it, or stop it first (Ctrl-C in its terminal).",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HOST", "0.0.0.0", "HOST=0.0.0.0 can be reached from other machines"),
        ("HOST", "::", "HOST=:: can be reached from other machines"),
        ("PUBLIC_URL", "https://sms.example.com", "PUBLIC_URL=https://sms.example.com is a public one"),
    ],
)
def test_the_sandbox_is_not_started_where_others_reach_the_router(
    cli: Cli, variable: str, value: str, reason: str
) -> None:
    result = cli("serve", **{variable: value, "PORT": str(free_port()), "SANDBOX_PORT": str(free_port())})
    assert result.code == 1
    assert f"No Twilio credentials are set, and {reason}." in result.err.replace("\n", " ")
    assert "sms-router serve --sandbox" in result.err.replace("\n", " ")


def test_an_invalid_host_is_reported(cli: Cli) -> None:
    for host in ("no such host", "203.0.113.1"):
        result = cli("serve", HOST=host, SANDBOX_PORT=str(free_port()))
        assert result.code == 1
        assert result.err.startswith(f"{host}:8000 cannot be used")
        assert "Use another one: HOST=127.0.0.1 make run" in result.err


def test_the_sandbox_runs_alone(folder: Path) -> None:
    port = free_port()
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0a" * 16, "TWILIO_AUTH_TOKEN": "token"}
    with subprocess.Popen(
        [PROGRAM, "sandbox", "--port", str(port)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **account},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = [process.stdout.readline() for _ in range(3)]
        assert f"http://127.0.0.1:{port}" in output[0]
        assert account["TWILIO_ACCOUNT_SID"] in output[2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)


def test_a_module_in_the_current_folder_replaces_none_of_ours(folder: Path) -> None:
    for name in ("queue.py", "redis.py", "typer.py"):
        (folder / name).write_text("raise SystemExit('the wrong module')")
    done = subprocess.run(
        [PROGRAM, "check", "--no-twilio"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "good: 8 rules" in done.stdout


def test_handlers_in_the_current_folder_are_found_once(cli: Cli) -> None:
    cli("check")
    cli("check")
    assert sys.path.count(str(Path.cwd())) <= 1
