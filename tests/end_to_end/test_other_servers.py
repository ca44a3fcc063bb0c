"""The application under other ASGI servers, over real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.router_process import RouterProcess, webhook, write_configuration
from tests.store.private_valkey import PrivateValkey

FACTORY = "sms_router.factory:create_app"
WORKER = "sms_router.server.gunicorn_worker.RouterWorker"


@pytest.fixture(params=["uvicorn", "gunicorn"])
def router(request: pytest.FixtureRequest, tmp_path: Path, valkey: PrivateValkey) -> Iterator[RouterProcess]:
    running = RouterProcess(write_configuration(tmp_path / "config"), valkey.url)
    running.server = {
        "uvicorn": ("uvicorn", "--factory", FACTORY, "--port", str(running.port)),
        "gunicorn": (
            "gunicorn", f"{FACTORY}()", "--worker-class", WORKER, "--workers", "2",
            "--keep-alive", "75", "--bind", f"127.0.0.1:{running.port}",
        ),
    }[request.param]  # fmt: skip
    yield running.start()
    running.kill()


async def test_another_server_answers_each_message_once(router: RouterProcess) -> None:
    message = webhook("HOURS")
    answers = [await router.deliver(message) for _ in range(6)]
    assert {answer.status for answer in answers} == {200}
    assert "We are open 9 to 5" in answers[0].text
    assert len({answer.body for answer in answers}) == 1
    assert (await router.deliver(webhook("HOURS"), token="another")).status == 403
    assert (await router.fetch("/readyz")).status == 200
    assert "a request refused" in router.log


async def test_another_server_stops_on_sigterm(router: RouterProcess) -> None:
    assert (await router.deliver(webhook("HOURS"))).status == 200
    assert router.stop() in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set"),
        (
            {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t" * 32},
            "REDIS_URL is not set: `sms-router serve` starts an embedded Valkey without,",
        ),
    ],
)
def test_another_server_does_not_start_without_redis_and_credentials(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    folder = write_configuration(tmp_path / "config")
    result = subprocess.run(
        [sys.executable, "-m", "uvicorn", "--factory", FACTORY, "--port", "0"],
        env={"PATH": os.environ["PATH"], "SMS_ROUTER_CONFIG": str(folder), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode != 0
    assert sentence in result.stderr.decode().splitlines()[-1]
