"""Twilio's log as the sandbox has it: pages, bounds, media, errors, and what is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from starlette.responses import Response

from sms_router.twilio.message_log import LoggedMessage, MessageLog, describe_webhook_error
from sms_router.twilio.rest import ApiError, build_client
from tests.sandbox.sandbox_fixture import SandboxFixture, run_sandbox

Result = TypeVar("Result")


async def read(
    sandbox: SandboxFixture, call: Callable[[MessageLog], Result], pauses: list[float] | None = None
) -> Result:
    """Call the log in a thread, without its pauses."""
    world, slept = sandbox.world, [] if pauses is None else pauses

    def work() -> Result:
        client = build_client(world.account_sid, world.auth_token, sandbox.url, 5)
        return call(MessageLog(client, world.account_sid, sandbox.url, 0.1, slept.append))

    return await asyncio.to_thread(work)


def inbound(since: int) -> Callable[[MessageLog], list[LoggedMessage]]:
    return lambda log: [each for page in log.inbound("12345", since) for each in page]


async def test_only_the_inbound_messages_of_a_number_since_a_time_are_read() -> None:
    async with run_sandbox() as sandbox:
        begin = int(sandbox.clock.now().timestamp() * 1000)
        for body in ("first", "second", "third"):
            await sandbox.text(body)
            sandbox.clock.advance(60)
        await sandbox.text("another number", to="+14155550100")
        messages = await read(sandbox, inbound(begin + 90_000))
        assert [(each.body, each.received) for each in messages] == [("third", begin + 120_000)]
        (message,) = messages
        parameters = message.parameters("MG" + "9" * 32, [("https://x/1", "image/png")])
        assert parameters["MessageSid"].startswith("SM")
        assert (parameters["From"], parameters["To"]) == ("+14155550123", "12345")
        assert (parameters["NumMedia"], parameters["MediaContentType0"]) == ("1", "image/png")
        assert parameters["MessagingServiceSid"] == "MG00000000000000000000000000000001"


async def test_all_pages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_router.twilio.message_log.PAGE_SIZE", 2)
    async with run_sandbox() as sandbox:
        for number in range(5):
            await sandbox.text(str(number))
        messages = await read(sandbox, inbound(0))
        assert [each.body for each in messages] == ["4", "3", "2", "1", "0"]


async def test_media_and_errors_are_read() -> None:
    async with run_sandbox() as sandbox:
        sandbox.customer.pages = {"/sms": Response(status_code=500)}
        await sandbox.text("look", media=["https://example.com/cat.png"])
        (message,) = await read(sandbox, inbound(0))
        ((url, kind),) = await read(sandbox, lambda log: log.media(message))
        assert (url.startswith(f"{sandbox.url}/2010-04-01/Accounts/"), kind) == (True, "image/png")
        errors = await read(sandbox, lambda log: log.webhook_errors(0))
        assert errors == {message.sid: "error 11200 (no valid HTTP response)"}


@pytest.mark.parametrize(
    ("status", "count", "pauses"),
    [(429, 2, [0.1, 1.0, 0.1, 2.0, 0.1]), (503, 1, [0.1, 1.0, 0.1]), (401, 1, None), (429, 9, None)],
)
async def test_a_request_is_repeated_where_it_may_succeed(
    status: int, count: int, pauses: list[float] | None
) -> None:
    async with run_sandbox() as sandbox:
        fault = {"kind": "status", "path": "/Messages", "status": status, "count": count}
        await sandbox.post("/sandbox/faults", {"rest": fault}, 200)
        slept: list[float] = []
        if pauses is None:
            with pytest.raises(ApiError):
                await read(sandbox, inbound(0), slept)
        else:
            assert await read(sandbox, inbound(0), slept) == []
            assert slept[: len(pauses)] == pauses


def test_an_unknown_error_has_its_code() -> None:
    assert describe_webhook_error("11750") == "error 11750"
