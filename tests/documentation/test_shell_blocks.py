"""The shell commands of the pages, run in order beside a router and its sandbox."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Serving
from tests.documentation.pages import PAGES, REPOSITORY, Block, code_blocks, page_name

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-a-program"

NOT_RUN = {
    "make": "has a test of its own, or takes minutes",
    "git": "clones a repository of the reader",
    "pip": "needs a package registry; tests/cli has the wheel",
    "docker": "needs a container engine",
    "uvicorn": "tests/end_to_end/test_other_servers.py",
    "ngrok": "a program of somebody else",
    "export": "settings of the reader",
    "CONSOLE_PASSWORD='eight": "make run with a variable",
    ".venv/bin/pip": "needs a package registry",
    'curl -X POST "https://messaging.twilio.com': "Twilio itself",
}
"""Blocks that begin so are not run here, and why."""

EXITS_WITH_1 = ("keywords diff", "keywords try", "keywords test")
"""Commands that exit with 1 for what they find."""

BEFORE = {
    "docs/consent.md": (".venv/bin/sms-router text HOURS",),
    "docs/keywords.md": (".venv/bin/sms-router keywords publish", "echo >> config/keywords.toml"),
    "docs/operating.md": (".venv/bin/sms-router text SLOW",),
}
"""Commands after which there is something to show, to roll back or to replay."""

SLOW = """
from pathlib import Path
from sms_router import keyword

@keyword("SLOW")
def slow() -> str:
    if not (failed := Path("slow.failed")).exists():
        failed.touch()
        raise TimeoutError("timeout")
    return "Here I am."
"""
"""A handler that fails once, so that its message can be replayed."""


def commands(block: Block) -> list[str]:
    """Return the commands of a block; a line that ends in a backslash goes on."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip()]


def runnable(page: Path) -> list[Block]:
    blocks = code_blocks("sh", "console", page=page)
    return [block for block in blocks if not block.text.startswith(tuple(NOT_RUN))]


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Serving]:
    """A router in a folder like that of a clone, with one message that has failed."""
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    (tmp_path / "slow_texts.py").write_text(SLOW)
    settings = tmp_path / "config" / "router.toml"
    settings.write_text(settings.read_text().replace('["handlers"]', '["handlers", "slow_texts"]'))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "sms-router").symlink_to(PROGRAM)
    shutil.copy(tmp_path / "config" / "keywords.toml", tmp_path / "new.toml")
    (tmp_path / "people.csv").write_text("number\n+14155550199\n")
    scenarios = REPOSITORY / "app" / "sms_router" / "sandbox" / "scenarios"
    shutil.copy(scenarios / "hours.toml", tmp_path / "FILE...")
    serving = Serving.start(tmp_path, API_TOKEN=TOKEN)
    yield serving
    serving.stop()


def run(line: str, router: Serving) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=router.folder,
        env={"PATH": os.environ["PATH"], **router.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def with_values(line: str, router: Serving) -> str:
    """Put the ports and the sids of this router in the place of those that a page names."""
    line = line.replace("localhost:8900", f"localhost:{router.environment['SANDBOX_PORT']}")
    line = line.replace("127.0.0.1:8000", f"127.0.0.1:{router.environment['PORT']}")
    line = line.replace("messages forget", "messages forget --yes")  # no terminal for a question
    if "SM..." in line:
        listed = run(".venv/bin/sms-router messages --json", router).stdout
        line = line.replace("SM...", re.findall(r"SM[0-9a-f]{32}", listed)[0])
    if "KW..." in line:
        url = f"localhost:{router.environment['SANDBOX_PORT']}/sandbox/ports"
        body = '{"phone_numbers": ["+13125550111"]}'
        opened = run(f"curl -s {url} -H 'Content-Type: application/json' -d '{body}'", router).stdout
        line = line.replace("KW...", re.findall(r"KW[0-9a-f]{32}", opened)[0])
    return line


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=page_name)
def test_the_commands_of_a_page_succeed(page: Path, router: Serving) -> None:
    for command in BEFORE.get(page_name(page), ()):
        run(command, router)
    failures = []
    for block in runnable(page):
        for line in commands(block):
            result = run(with_values(line, router), router)
            allowed = {0, 1} if any(each in line for each in EXITS_WITH_1) else {0}
            if result.returncode not in allowed or "Traceback" in result.stdout + result.stderr:
                failures.append((str(block), line, result.returncode, result.stdout + result.stderr))
    assert not failures, "\n".join(map(str, failures))
