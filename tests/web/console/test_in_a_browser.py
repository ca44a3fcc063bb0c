"""The console in a real browser, as an operator uses it: log in, read, replay a message."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sms_router.sandbox.hosting import free_port
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import SandboxTwilio, add_missed_message, report_status
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until
from tests.web.console.browser import MISSING, Browser, browsing
from tests.web.console.client import PASSWORD

EVIL = "<img src=x onerror=\"document.title='taken'\"> MEND"

AXE = Path(__file__).parent / "axe"

PICTURES = os.environ.get("PICTURES")
"""A folder where the pages are stored as they look, for somebody who changes them."""

WIDEST = """return [...document.querySelectorAll("main *")]
    .filter(each => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(each => each.outerHTML.slice(0, 80)).at(-1)"""

FIND_BARRIERS = """; return axe.run().then(results => results.violations.flatMap(
    violation => violation.nodes.map(node => `${violation.id}: ${node.html.slice(0, 120)}`)))"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture
def axe(tmp_path: Path) -> str:
    """The script of axe-core, which finds barriers for people with disabilities."""
    if shutil.which("npm") is None:
        pytest.skip("npm, which installs axe-core, is not installed")
    for file in AXE.iterdir():
        shutil.copy(file, tmp_path)
    subprocess.run(["npm", "ci", "--silent", "--no-audit"], cwd=tmp_path, check=True, timeout=300)
    return (tmp_path / "node_modules/axe-core/axe.min.js").read_text("utf-8")


async def test_login_list_replay_and_logout_in_a_browser(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    port = free_port()
    environment = {**twilio.environment, "CONSOLE_PASSWORD": PASSWORD, "PRIVATE_PORT": str(port)}
    router = start_router(environment=environment)
    url = f"http://127.0.0.1:{port}/console"
    await router.deliver(webhook(EVIL))
    missed = webhook("HOURS")
    await asyncio.to_thread(add_missed_message, router, missed)
    with browsing() as browser:
        browser.open(url)
        assert browser.title.startswith("Log in")
        browser.write("#password", "wrong")
        browser.press("main button")
        assert "The password is wrong." in browser.text
        browser.write("#password", PASSWORD)
        browser.press("main button")
        assert browser.title.startswith("Overview")
        assert browser.run("return document.cookie") == ""
        assert browser.run("return getComputedStyle(document.querySelector('.badge')).borderRadius") != "0px"

        browser.follow("Messages")
        browser.follow("Show numbers and texts in full")
        assert EVIL in browser.text
        assert browser.title.startswith("Messages")

        browser.open(f"{url}/messages/{missed['MessageSid']}")
        assert "never arrived" in browser.text
        browser.follow("Replay…")
        browser.press("main form button")
        assert "The replay is requested." in browser.text

        async def reported() -> bool:
            browser.open(f"{url}/messages/{missed['MessageSid']}")
            return "the replay was sent from 12345" in browser.text

        await wait_until(reported)

        browser.run("document.querySelector('header button').click()")

        async def is_out() -> bool:
            browser.open(url)
            return browser.title.startswith("Log in")

        await wait_until(is_out)


async def test_every_page_fits_every_screen_and_has_no_barriers(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey, axe: str
) -> None:
    port = free_port()
    environment = {**twilio.environment, "CONSOLE_PASSWORD": PASSWORD, "PRIVATE_PORT": str(port)}
    router = start_router(environment=environment)
    sids = await _deliver_messages(router)
    findings: dict[str, str] = {}
    with browsing() as browser:
        for name in _open_pages(browser, f"http://127.0.0.1:{port}/console", sids, valkey):
            for width, dark in (
                (360, False),
                (390, True),
                (768, False),
                (834, False),
                (1024, True),
                (1440, False),
            ):
                browser.resize(width, dark=dark)
                if PICTURES:
                    browser.picture(Path(PICTURES) / f"{name}-{width}.png")
                if (
                    wide := browser.run(
                        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
                    )
                ) > 0:
                    findings[f"{name}: {wide} px too wide: {browser.run(WIDEST)}"] = f"{width} px"
                for barrier in browser.run(axe + FIND_BARRIERS):
                    findings.setdefault(barrier, f"{name}, {width} px")
    assert not findings, "\n".join(f"{finding} ({place})" for finding, place in findings.items())


async def _deliver_messages(router: RouterProcess) -> dict[str, str]:
    """Deliver messages with every kind of end, and return their sids."""
    messages = {
        "answered": webhook("HOURS"),
        "broken": webhook("BROKEN " + "x" * 200),
        "suspected": webhook("I said stop texting", From="+14155550171"),
        "long": webhook("https://example.com/" + "path/" * 60 + EVIL, From="+14155550172"),
    }
    for parameters in messages.values():
        await router.deliver(parameters)
    await report_status(router, f"{messages['answered']['MessageSid']}.0", "undelivered", "30003")
    messages["missed"] = webhook("HOURS", From="+14155550173")
    await asyncio.to_thread(add_missed_message, router, messages["missed"])
    router.command("senders", "cordon", "+18885550100", "--reason", "the carrier filters " * 8)
    router.command("onboarding", "add", "67890", "--kind", "short-code-migration")
    router.command("opt-outs", "add", "+14155550172")
    return {name: parameters["MessageSid"] for name, parameters in messages.items()}


def _open_pages(browser: Browser, url: str, sids: dict[str, str], valkey: PrivateValkey) -> Iterator[str]:
    """Open one page after another, and yield its name."""
    browser.open(url)
    yield "login"
    browser.write("#password", PASSWORD)
    browser.press("main button")
    yield "overview"
    for path in ("x", "messages?reveal=1", "messages?failed=1", "messages?scheduled=1", "senders", "keywords",
                 "suspected", "people", "sessions", f"messages/{sids['missed']}/replay",
                 *(f"messages/{sid}?reveal=1" for sid in sids.values())):  # fmt: skip
        browser.open(f"{url}/{path}")
        yield path.replace("/", "-")
    for page, action, fields in (
        ("messages", "/console/messages", {"number": "(415) 555-0123"}),
        ("messages", "/console/messages", {"text": "nothing like it"}),
        ("keywords", "/console/keywords", {"text": "hours"}),
        ("people", "/console/people", {"number": "+14155550123"}),
        ("", "/console/people/opt-out", {}),
        ("people", "/console/people", {"number": "+14155550172"}),
        ("senders", f"/console/senders/SC{'1' * 32}/cordon", {"reason": "carrier incident"}),
    ):
        if page:
            browser.open(f"{url}/{page}")
        browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
        browser.submit(action, fields)
        yield f"{action.replace('/', '-')[1:]}-{'-'.join(fields.values())}"
    valkey.kill()
    browser.open(f"{url}/messages")
    yield "away"
