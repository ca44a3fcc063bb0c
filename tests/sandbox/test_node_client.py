"""Twilio's Node client against the sandbox: every operation."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from starlette.routing import Route

from sms_router.sandbox.application import create_sandbox
from tests.membership.recorded import serving
from tests.sandbox.sandbox_fixture import PHONE, SHORT_CODE, demo_world

TESTS = Path(__file__).parents[1]
FOLDER = TESTS / "sandbox/node"

WITHOUT_CLIENT = {"GET /2010-04-01/Accounts/{}/Messages/{}/Media/{}"}
"""The content of media, whose URL is fetched as it is."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node and npm are not installed")
def test_the_node_client_makes_every_call(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.*"):
        shutil.copy(file, tmp_path)
    subprocess.run(["npm", "ci", "--silent", "--no-audit"], cwd=tmp_path, check=True, timeout=300)
    world = demo_world()
    sandbox = create_sandbox(world)
    with serving(sandbox) as url:
        body = {"to": SHORT_CODE, "body": "no application runs, so that there is an alert"}
        assert requests.post(f"{url}/sandbox/phones/{PHONE}/messages", json=body, timeout=30).ok
        ended = subprocess.run(
            ["node", "every_operation.mjs", url, world.account_sid, world.auth_token],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    routes = [route for route in sandbox.routes if isinstance(route, Route)]
    operations = {
        f"{method} {re.sub(r'{[a-z_]+}|AC[0-9a-f]{32}', '{}', route.path)}"
        for route in routes
        if route.path != "/" and not route.path.startswith("/sandbox")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert set(ended.stdout.splitlines()) == operations - WITHOUT_CLIENT


@pytest.mark.parametrize("folder", ["sandbox/node", "web/console/axe"])
def test_a_lock_file_names_no_registry(folder: str) -> None:
    lock = (TESTS / folder / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')
