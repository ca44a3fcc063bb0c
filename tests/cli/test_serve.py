"""``serve`` and ``sandbox``: starting, refusing to start, and stopping with nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import PROGRAM, Cli, Serving, free_ports, opens


def test_it_starts_with_everything_beside_it_and_leaves_nothing_behind(folder: Path) -> None:
    serving = Serving.start(folder)
    port, sandbox_port = int(serving.environment["PORT"]), int(serving.environment["SANDBOX_PORT"])
    assert opens(sandbox_port)
    assert serving.stop() == 0
    assert not opens(port)
    assert not opens(sandbox_port)
    assert not (folder / ".data" / "valkey" / "valkey.sock").exists()
    assert "Traceback" not in serving.log


def test_it_says_where_to_point_twilio_and_what_to_paste(serving: Serving) -> None:
    port, sandbox_port = serving.environment["PORT"], serving.environment["SANDBOX_PORT"]
    assert f"listens on http://127.0.0.1:{port}" in serving.log
    assert f"the sandbox, an offline Twilio, runs on http://127.0.0.1:{sandbox_port}" in " ".join(
        serving.log.split()
    )
    for line in ("/sms          (POST)", "/sms/fallback (POST)", "/sms/status"):
        assert f"http://127.0.0.1:{port}{line}" in serving.log
    assert "sms-router text HOURS" in serving.log


def test_a_port_in_use_is_told_with_the_line_to_paste(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        spoken = cli("serve", PORT=str(port))
        assert spoken.code == 1
        assert f"127.0.0.1:{port} cannot be used: Address already in use." in spoken.err
        assert f"PORT={port + 1} make run" in spoken.err
        spoken = cli("sandbox", "--port", str(port))
        assert spoken.code == 1
        assert f"sms-router sandbox --port {port + 1}" in spoken.err


def test_a_second_router_on_the_same_data_is_refused_while_commands_may_look(
    cli: Cli, serving: Serving
) -> None:
    port, sandbox_port = free_ports(2)
    spoken = cli("serve", inside=serving.folder, PORT=str(port), SANDBOX_PORT=str(sandbox_port))
    assert spoken.code == 1
    said = " ".join(spoken.err.split())
    assert f"process {serving.process.pid} runs the Valkey of" in said
    assert "set REDIS_URL" in said
    assert cli("messages", inside=serving.folder).code == 0


def test_a_host_that_is_none_is_told(cli: Cli) -> None:
    spoken = cli("serve", HOST="no such host")
    assert spoken.code == 1
    assert spoken.err.startswith("no such host:8000 cannot be used")


def test_the_sandbox_runs_by_itself(folder: Path) -> None:
    (port,) = free_ports(1)
    account = {"TWILIO_ACCOUNT_SID": "AC" + "0a" * 16, "TWILIO_AUTH_TOKEN": "token"}
    with subprocess.Popen(
        [PROGRAM, "sandbox", "--port", str(port)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **account},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        assert f"http://127.0.0.1:{port}" in said[0]
        assert account["TWILIO_ACCOUNT_SID"] in said[2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)


def test_a_modules_folder_hides_nothing_of_ours(folder: Path) -> None:
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
    assert "good: 7 rules" in done.stdout


def test_handlers_in_the_current_folder_are_found_once(cli: Cli) -> None:
    cli("check")
    cli("check")
    assert sys.path.count(str(Path.cwd())) <= 1
