"""The console in a real browser, as somebody uses it: log in, look, have a message answered once more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sms_router.sandbox.hosting import free_port
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook
from tests.end_to_end.sandbox_twilio import SandboxTwilio, add_missed_message
from tests.waiting import wait_until
from tests.web.console.browser import MISSING, browsing
from tests.web.console.client import PASSWORD

EVIL = "<img src=x onerror=\"document.title='taken'\"> MEND"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


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


async def test_every_page_fits_on_a_phone(start_router: StartRouter, tmp_path: Path) -> None:
    port = free_port()
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD, "PRIVATE_PORT": str(port)})
    parameters = webhook("BROKEN")
    await router.deliver(parameters)
    url = f"http://127.0.0.1:{port}/console"
    with browsing() as browser:
        browser.open(url)
        browser.write("#password", PASSWORD)
        browser.press("main button")
        message = f"/messages/{parameters['MessageSid']}"
        for path in ("", "/messages", message, f"{message}/replay", "/senders", "/keywords", "/people"):
            browser.open(url + path)
            browser.picture(tmp_path / "page.png", 500, 900)
            wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, path
            unnamed = "return [...document.querySelectorAll('input, select')].filter(each => !each.hidden"
            unnamed += " && each.type != 'hidden' && !each.labels.length).map(each => each.name)"
            assert browser.run(unnamed) == [], path
