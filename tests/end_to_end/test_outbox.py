"""Replies that are sent by REST, as they arrive on the phone: late replies, re-routed replies, API errors."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import aiohttp
import pytest
import redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import (
    CONTACT,
    EMPTY,
    SHORT_DEADLINE,
    SandboxTwilio,
    report_status,
    text_of,
    wait_for_causes,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

# --- late replies ---


async def test_a_late_reply_is_sent_once(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    answer = await router.deliver(parameters)
    assert answer.body == EMPTY
    assert await twilio.phone_messages() == []
    (tmp_path / "release").touch()
    await twilio.expect_messages(("12345", "released"))
    assert (await router.deliver(parameters)).body == EMPTY
    assert router.runs == [parameters["MessageSid"]]


@pytest.mark.slow
async def test_a_late_reply_of_a_killed_worker_is_sent_by_another(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    first, second = (
        start_router(SHORT_DEADLINE, twilio.environment),
        start_router(SHORT_DEADLINE, twilio.environment),
    )
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    assert (await first.deliver(parameters)).body == EMPTY
    first.kill()
    (tmp_path / "release").touch()
    await twilio.expect_messages(("12345", "released"))
    assert second.runs == [parameters["MessageSid"]] * 2


@pytest.mark.slow
async def test_without_a_fallback_url_the_handler_of_a_killed_worker_runs_again_after_a_minute(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey, tmp_path: Path
) -> None:
    first, second = start_router("", twilio.environment), start_router("", twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    lost = asyncio.create_task(first.deliver(parameters))
    await first.wait_for_runs()
    first.kill()
    with pytest.raises(aiohttp.ClientError):
        await lost
    (tmp_path / "release").touch()
    bucket, reference = bucket_of(CONTACT), f"{ACCOUNT}/{parameters['MessageSid']}"
    client = valkey.client()
    client.delete(bucket.journal)  # a minute passes
    client.xadd(bucket.journal, {"message": reference}, id="1-1")
    client.hset(bucket.message(reference), "lease_until", 1)
    await twilio.expect_messages(("12345", "released"))
    assert second.runs == [parameters["MessageSid"]] * 2
    assert json.loads(second.command("messages", "--failed", "--json").stdout) == []


@pytest.mark.slow
async def test_a_late_reply_is_sent_after_a_restart(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    assert (await router.deliver(parameters)).body == EMPTY
    assert router.stop() == 0
    assert await twilio.phone_messages() == []
    (tmp_path / "release").touch()
    router.start()
    await twilio.expect_messages(("12345", "released"))


@pytest.mark.slow
async def test_a_scheduled_message_survives_the_router_and_redis_and_is_sent_once(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(SHORT_DEADLINE, {**twilio.environment, "API_TOKEN": "a-token-of-16-characters"})
    headers = {"Authorization": "Bearer a-token-of-16-characters"}
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    body = json.dumps({"to": CONTACT, "text": "Tomorrow at nine.", "key": "visit", "at": at}).encode()
    assert (await router.send("POST", "/v1/messages", body, headers)).status == 202
    await asyncio.sleep(1.2)  # appendfsync everysec
    router.kill()
    valkey.kill()
    valkey.start()
    router.start()
    assert json.loads((await router.send("POST", "/v1/messages", body, headers)).body) == {
        "result": "duplicate"
    }
    assert await twilio.phone_messages() == []
    scheduled = bucket_of(CONTACT).scheduled
    client = valkey.client()
    (line,) = cast("list[bytes]", client.zrange(scheduled, 0, -1))
    client.zadd(scheduled, {line: 1})
    await twilio.expect_messages(("12345", "Tomorrow at nine."))


@pytest.mark.slow
async def test_a_reply_is_sent_by_rest_when_a_duplicate_got_the_empty_answer(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    """The deadline of the second replica, which has the duplicate, comes before the reply."""
    first, second = (
        start_router("inline_deadline = 6", twilio.environment),
        start_router(SHORT_DEADLINE, twilio.environment),
    )
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    original = asyncio.create_task(first.deliver(parameters))
    await first.wait_for_runs()
    assert (await second.deliver(parameters)).body == EMPTY
    (tmp_path / "release").touch()
    assert (await original).body == EMPTY
    await twilio.expect_messages(("12345", "released"))


@pytest.mark.slow
async def test_a_handler_that_fails_after_the_deadline_gives_the_error_reply_and_a_dead_letter(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook("LATE BOOM")
    assert (await router.deliver(parameters)).body == EMPTY
    await twilio.expect_messages(("12345", "Sorry, that failed."))
    await wait_for_causes(router, parameters["MessageSid"], "failed after the deadline")


@pytest.mark.slow
async def test_a_late_reply_is_not_sent_after_an_opt_out(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    assert (await router.deliver(webhook(f"HOLD {tmp_path / 'release'}"))).body == EMPTY
    await router.deliver(webhook("STOP"))
    (tmp_path / "release").touch()
    await twilio.expect_messages()


@pytest.mark.slow
async def test_a_handler_over_the_late_limit_is_stopped_and_its_message_a_dead_letter(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(f"{SHORT_DEADLINE}\nlate_limit = 1", twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    assert (await router.deliver(parameters)).body == EMPTY
    await wait_for_causes(router, parameters["MessageSid"], "still running after 1 s, and stopped")
    (tmp_path / "release").touch()
    await twilio.expect_messages()


# --- re-routed replies ---


async def fail_reply(router: RouterProcess, code: str = "30006") -> str:
    """Report a failed delivery of a reply; return the sid of the inbound message."""
    parameters = webhook("HOURS")
    assert "9 to 5" in text_of(await router.deliver(parameters))
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", code)
    return parameters["MessageSid"]


async def test_a_reply_that_the_short_code_cannot_deliver_is_sent_from_a_long_code(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await fail_reply(router)
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))
    await report_status(router, f"{sid}.0.again", "undelivered", "30003", From="+14155550100")
    await wait_for_causes(router, sid, "re-routed to +14155550100, which failed as well")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
@pytest.mark.parametrize("code", ["30007", "30005", "30008", "99999"])
async def test_other_errors_do_not_re_route_the_reply(
    start_router: StartRouter, twilio: SandboxTwilio, code: str
) -> None:
    router = start_router(environment=twilio.environment)
    await fail_reply(router, code)
    await twilio.expect_messages()


@pytest.mark.slow
async def test_re_routing_can_be_switched_off(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router("reroute = false", twilio.environment)
    await fail_reply(router)
    await twilio.expect_messages()


@pytest.mark.slow
async def test_duplicates_of_a_receipt_at_two_replicas_re_route_the_reply_once(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    first, second = (
        start_router(environment=twilio.environment),
        start_router(environment=twilio.environment),
    )
    parameters = webhook("HOURS")
    await first.deliver(parameters)
    outgoing, reply = "SM" + "e" * 32, f"{parameters['MessageSid']}.0"
    await asyncio.gather(
        *(
            report_status(router, reply, "undelivered", "30006", MessageSid=outgoing)
            for router in (first, second) * 5
        )
    )
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_the_second_30003_re_routes_the_reply(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    for _ in range(2):
        await fail_reply(router, "30003")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


async def test_a_reply_is_not_re_routed_after_an_opt_out(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    await router.deliver(parameters)
    await router.deliver(webhook("STOP"))
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", "30006")
    await twilio.expect_messages()


# --- errors of Twilio's API ---


async def test_a_request_that_twilio_answers_500_is_not_repeated(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=500, after=True, count=1)
    sid = await fail_reply(router)
    await wait_for_causes(router, sid, "may have been sent, and is not sent again")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_a_request_that_twilio_answers_429_is_repeated_until_it_succeeds(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=429, count=2)
    await fail_reply(router)
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_a_crash_during_the_request_to_twilio_sends_nothing_twice(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    first, second = (
        start_router(environment=twilio.environment),
        start_router(environment=twilio.environment),
    )
    await twilio.add_fault(kind="hang", after=True)
    sid = await fail_reply(first)
    key = bucket_of(CONTACT).message(f"{ACCOUNT}/{sid}")
    with redis.Redis.from_url(valkey.url) as client:

        async def is_marked() -> bool:
            return b'"sending"' in (client.hget(key, "send:0.again") or b"")

        await wait_until(is_marked)
        first.kill()
        second.kill()
        await twilio.add_fault(kind="slow", seconds=0)
        for entry in client.zrange(bucket_of(CONTACT).outbox, 0, -1):
            client.zadd(bucket_of(CONTACT).outbox, {entry: 0})  # due now
    second.start()
    await wait_for_causes(second, sid, "the worker that was sending it is gone")
    assert len(await twilio.phone_messages()) <= 1


@pytest.mark.slow
async def test_late_replies_to_an_automatic_responder_are_stopped_by_the_loop_guard(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(f"{SHORT_DEADLINE}\n[loop_guard]\nreplies = 2\nseconds = 600", twilio.environment)
    for number in range(3):
        assert (await router.deliver(webhook("COUNT 1"))).body == EMPTY
        await wait_until(partial(_is_sent_or_muted, router, number))
    assert len(await twilio.phone_messages()) == 2


async def _is_sent_or_muted(router: RouterProcess, turn: int) -> bool:
    """Whether the log has the late reply of a turn or, in the last turn, the loop guard."""
    return "loop guard:" in router.log if turn == 2 else router.log.count(" was sent from ") > turn
