"""The onboarding of a number with a running router: no reply leaves from it before it is live."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from xml.etree.ElementTree import fromstring

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import SandboxTwilio
from tests.waiting import wait_until

NUMBER = "+13125550111"
CONTACTS = (f"+1312556{number:04}" for number in range(10_000))
"""A new contact for each message, in the area of the number."""


async def post_to_sandbox(twilio: SandboxTwilio, path: str, **body: Any) -> dict[str, Any]:
    async with twilio.session.post(f"{twilio.url}/sandbox/{path}", json=body) as response:
        assert response.status < 300, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def run(router: RouterProcess, *words: str) -> str:
    result = await asyncio.to_thread(router.command, *words)  # the sandbox runs on this event loop
    assert result.returncode == 0, result.stderr
    return result.stdout


async def reply_sender(router: RouterProcess, to: str) -> str | None:
    """Return the sender of the reply to a message to a number."""
    answer = await router.deliver(webhook("HOURS", From=next(CONTACTS), To=to))
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from")


async def test_a_number_answers_messages_to_itself_before_it_is_live_and_others_afterwards(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await run(router, "membership", "refresh")  # the snapshot in the test's Valkey has other sids
    await run(router, "senders", "cordon", "12345", "--reason", "replies leave from long codes")
    port = (await post_to_sandbox(twilio, "ports", phone_numbers=[NUMBER]))["port_in_request_sid"]
    await run(router, "onboarding", "add", NUMBER, "--port-in", port)
    await post_to_sandbox(twilio, f"ports/{port}", status="port_pending", port_date="2099-12-01")
    await run(router, "onboarding", "refresh")
    await run(router, "senders", "add", NUMBER)

    reason = f"being ported in, expected 2099-12-01; see sms-router onboarding show {NUMBER}"
    await wait_until(lambda: _is_in_trail(router, f"{NUMBER}: skipped: {reason}"))

    assert await reply_sender(router, NUMBER) == NUMBER
    await wait_until(lambda: _has_notice(router, NUMBER))
    await wait_until(lambda: _has_received_a_message(router))
    assert await reply_sender(router, "+18885550100") != NUMBER

    await post_to_sandbox(twilio, f"ports/{port}", status="completed")
    refreshed = await run(router, "onboarding", "refresh")  # unless the router was first
    assert f"{NUMBER} is live" in refreshed or refreshed == "No number is in onboarding.\n"

    async def is_live() -> bool:
        return await reply_sender(router, "+18885550100") == NUMBER

    await wait_until(is_live)
    assert not await _has_notice(router, NUMBER)


async def _is_in_trail(router: RouterProcess, line: str) -> bool:
    """Whether the trail of a message to another number has this line; the reply has another sender."""
    assert await reply_sender(router, "+18885550100") != NUMBER
    last = json.loads(await run(router, "messages", "--json", "--limit", "1"))[0]
    return line in last["trail"]


async def _has_received_a_message(router: RouterProcess) -> bool:
    (onboarding,) = json.loads(await run(router, "onboarding", "list", "--json"))
    return onboarding["texted"] is not None


async def _has_notice(router: RouterProcess, number: str) -> bool:
    notices = json.loads((await router.fetch("/readyz")).body)["notices"]
    return any(notice.startswith(f"{number} received a message through Twilio") for notice in notices)
