"""A number's way in on a real router: added, followed, passed over, noticed, live, and answering."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from xml.etree.ElementTree import fromstring

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import SandboxTwilio
from tests.waiting import wait_until

NEW = "+13125550111"
CONTACTS = (f"+1312556{number:04}" for number in range(10_000))
"""Somebody new each time, in the area of the new number."""


async def steer(twilio: SandboxTwilio, path: str, **body: Any) -> dict[str, Any]:
    async with twilio.session.post(f"{twilio.url}/sandbox/{path}", json=body) as response:
        assert response.status < 300, await response.text()
        told: dict[str, Any] = await response.json()
        return told


async def run(router: RouterProcess, *words: str) -> str:
    done = await asyncio.to_thread(router.command, *words)  # the offline Twilio is on this loop
    assert done.returncode == 0, done.stderr
    return done.stdout


async def answers_from(router: RouterProcess, texted: str) -> str | None:
    answer = await router.deliver(webhook("HOURS", From=next(CONTACTS), To=texted))
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from")


async def test_a_number_is_used_once_it_is_live_and_answers_who_texts_it_before(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await run(router, "membership", "refresh")  # what the test's Valkey holds has other sids
    await run(router, "senders", "cordon", "12345", "--reason", "long codes are looked at here")
    port = (await steer(twilio, "ports", phone_numbers=[NEW]))["port_in_request_sid"]
    await run(router, "onboarding", "add", NEW, "--port-in", port)
    await steer(twilio, f"ports/{port}", status="port_pending", port_date="2099-12-01")
    await run(router, "onboarding", "refresh")
    await run(router, "senders", "add", NEW)

    why = f"being ported in, expected 2099-12-01; see sms-router onboarding show {NEW}"
    await wait_until(lambda: _told(router, f"{NEW}: skipped: {why}"))

    assert await answers_from(router, NEW) == NEW
    await wait_until(lambda: _noticed(router, NEW))
    await wait_until(lambda: _texted(router))
    assert await answers_from(router, "+18885550100") != NEW

    await steer(twilio, f"ports/{port}", status="completed")
    assert f"{NEW} is live" in await run(router, "onboarding", "refresh")

    async def live() -> bool:
        return await answers_from(router, "+18885550100") == NEW

    await wait_until(live)
    assert not await _noticed(router, NEW)


async def _told(router: RouterProcess, line: str) -> bool:
    """Tell whether a text to another number has this line in its trail; the number itself never answers."""
    assert await answers_from(router, "+18885550100") != NEW
    last = json.loads(await run(router, "messages", "--json", "--limit", "1"))[0]
    return line in last["trail"]


async def _texted(router: RouterProcess) -> bool:
    (known,) = json.loads(await run(router, "onboarding", "list", "--json"))
    return known["texted"] is not None


async def _noticed(router: RouterProcess, number: str) -> bool:
    notices = json.loads((await router.fetch("/readyz")).body)["notices"]
    return any(notice.startswith(f"{number} received a message through Twilio") for notice in notices)
