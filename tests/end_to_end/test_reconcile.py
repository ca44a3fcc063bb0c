"""All routers are stopped for an hour while contacts text; then the messages are found and answered once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import free_port, serve
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import TOKEN, webhook
from tests.sandbox.sandbox_fixture import demo_world
from tests.waiting import wait_until

PEOPLE = 500
KEYWORDS = '[[keyword]]\nwords = ["HOURS"]\nreply = "We are open 9 to 5."\n'


@pytest.mark.slow
@pytest.mark.parametrize("by_command", [False, True], ids=["at the start", "by the command"])
async def test_messages_of_an_outage_are_answered_once(start_router: StartRouter, by_command: bool) -> None:
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=1, minutes=2))
    unused = f"http://127.0.0.1:{free_port()}"
    world = replace(demo_world(), auth_token=TOKEN)
    services = tuple(
        replace(service, inbound_request_url=f"{unused}/sms", fallback_url=f"{unused}/sms/fallback")
        for service in world.services
    )
    app = create_sandbox(replace(world, services=services), clock=clock, seed=1)
    async with serve(app) as url, aiohttp.ClientSession() as session:

        async def text(number: int) -> str:
            message = {"to": "12345", "body": "HOURS"}
            async with session.post(
                f"{url}/sandbox/phones/{phone(number)}/messages", json=message
            ) as response:
                return str((await response.json())["sid"])

        sids = []
        for number in range(PEOPLE):
            sids.append(await text(number))
            clock.advance(3600 / PEOPLE)
        clock.advance((datetime.now(UTC) - clock.now()).total_seconds())
        mode = "off" if by_command else "answer"
        more = f'late_limit = 7200\n[reconcile]\non_start = "{mode}"\n'
        routers = [start_router(more, {"TWILIO_API_BASE_URL": url}, keywords=KEYWORDS) for _ in range(2)]
        # Webhooks for some arrive meanwhile: Twilio's retries, or a proxy that has held them.
        delayed = range(0, PEOPLE, 10)

        async def deliver(number: int) -> None:
            parameters = webhook("HOURS", MessageSid=sids[number], From=phone(number))
            await routers[number % 2].deliver(parameters)

        command = None
        if by_command:
            command = asyncio.create_task(
                asyncio.to_thread(routers[0].command, "reconcile", "--answer", "--json")
            )
        for number in delayed:
            await deliver(number)
            await asyncio.sleep(0.2)
        if command is not None:
            listed = json.loads((await command).stdout)
            assert len(listed) + len(delayed) >= PEOPLE

        async def sent() -> list[str]:
            async with session.get(
                f"{url}/2010-04-01/Accounts/{world.account_sid}/Messages.json?From=12345&PageSize=1000",
                headers={"Authorization": aiohttp.encode_basic_auth(world.account_sid, TOKEN)},
            ) as response:
                return [message["to"] for message in (await response.json())["messages"]]

        async def all_answered() -> bool:
            for number in delayed:  # again: each gets the stored answer
                await deliver(number)
            return len(set(await sent())) >= PEOPLE - len(delayed)

        await wait_until(all_answered, seconds=120)
        await asyncio.sleep(2)
        by_rest = Counter(await sent())
        by_webhook = Counter[str]()
        for number in range(PEOPLE):
            parameters = webhook("HOURS", MessageSid=sids[number], From=phone(number))
            answer = await routers[0].deliver(parameters)
            by_webhook[phone(number)] += b"<Message" in answer.body
        answers = [by_rest[phone(number)] + by_webhook[phone(number)] for number in range(PEOPLE)]
        assert Counter(answers) == {1: PEOPLE}


def phone(number: int) -> str:
    return f"+1415556{number:04}"
