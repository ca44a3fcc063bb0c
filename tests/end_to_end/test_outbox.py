"""What leaves by REST, seen from the phone: late answers, replies sent once more, and every way to fail."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

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

# --- late answers ---


async def test_a_late_answer_leaves_once_by_itself(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'go'}")
    answer = await router.deliver(parameters)
    assert answer.body == EMPTY
    assert await twilio.phone_messages() == []
    (tmp_path / "go").touch()
    await twilio.expect_messages(("12345", "released"))
    assert (await router.deliver(parameters)).body == EMPTY
    assert router.runs == [parameters["MessageSid"]]


@pytest.mark.slow
async def test_late_work_of_a_killed_worker_is_finished_by_another(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    one, other = (
        start_router(SHORT_DEADLINE, twilio.environment),
        start_router(SHORT_DEADLINE, twilio.environment),
    )
    parameters = webhook(f"HOLD {tmp_path / 'go'}")
    assert (await one.deliver(parameters)).body == EMPTY
    one.kill()
    (tmp_path / "go").touch()
    await twilio.expect_messages(("12345", "released"))
    assert other.runs == [parameters["MessageSid"]] * 2


@pytest.mark.slow
async def test_late_work_survives_a_stop_and_a_start(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'go'}")
    assert (await router.deliver(parameters)).body == EMPTY
    assert router.stop() == 0
    assert await twilio.phone_messages() == []
    (tmp_path / "go").touch()
    router.start()
    await twilio.expect_messages(("12345", "released"))


@pytest.mark.slow
async def test_whoever_waits_for_a_busy_twin_does_not_lose_its_answer(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    """The other replica's deadline comes first: it answers nothing, and the reply in time leaves by REST."""
    one, other = (
        start_router("inline_deadline = 6", twilio.environment),
        start_router(SHORT_DEADLINE, twilio.environment),
    )
    parameters = webhook(f"HOLD {tmp_path / 'go'}")
    first = asyncio.create_task(one.deliver(parameters))
    await wait_until(_has_run(one))
    assert (await other.deliver(parameters)).body == EMPTY
    (tmp_path / "go").touch()
    assert (await first).body == EMPTY
    await twilio.expect_messages(("12345", "released"))


@pytest.mark.slow
async def test_a_handler_that_fails_after_the_deadline_says_so(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook("LATE BOOM")
    assert (await router.deliver(parameters)).body == EMPTY
    await twilio.expect_messages(("12345", "Sorry, that failed."))
    await wait_for_causes(router, parameters["MessageSid"], "failed after the deadline")


@pytest.mark.slow
async def test_nothing_late_reaches_somebody_who_has_opted_out(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    assert (await router.deliver(webhook(f"HOLD {tmp_path / 'go'}"))).body == EMPTY
    await router.deliver(webhook("STOP"))
    (tmp_path / "go").touch()
    await twilio.expect_messages()


@pytest.mark.slow
async def test_what_is_too_late_is_a_dead_letter(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(f"{SHORT_DEADLINE}\nlate_limit = 1", twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'go'}")
    assert (await router.deliver(parameters)).body == EMPTY
    await wait_for_causes(router, parameters["MessageSid"], "still at work after 1 s, and stopped")
    (tmp_path / "go").touch()
    await twilio.expect_messages()


# --- sent once more ---


async def failing_reply(router: RouterProcess, code: str = "30006") -> str:
    """Have a reply fail; return the sid of the message that was answered."""
    parameters = webhook("HOURS")
    assert "9 to 5" in text_of(await router.deliver(parameters))
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", code)
    return parameters["MessageSid"]


async def test_what_the_short_code_cannot_deliver_leaves_from_a_long_code(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await failing_reply(router)
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))
    await report_status(router, f"{sid}.0.again", "undelivered", "30003", From="+14155550100")
    await wait_for_causes(router, sid, "re-routed to +14155550100, which failed as well")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
@pytest.mark.parametrize("code", ["30007", "30005", "30008", "99999"])
async def test_no_other_failure_is_sent_again(
    start_router: StartRouter, twilio: SandboxTwilio, code: str
) -> None:
    router = start_router(environment=twilio.environment)
    await failing_reply(router, code)
    await twilio.expect_messages()


@pytest.mark.slow
async def test_it_can_be_switched_off(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router("reroute = false", twilio.environment)
    await failing_reply(router)
    await twilio.expect_messages()


@pytest.mark.slow
async def test_two_replicas_told_the_same_send_it_once(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    one, other = start_router(environment=twilio.environment), start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    await one.deliver(parameters)
    outgoing, reply = "SM" + "e" * 32, f"{parameters['MessageSid']}.0"
    await asyncio.gather(
        *(
            report_status(router, reply, "undelivered", "30006", MessageSid=outgoing)
            for router in (one, other) * 5
        )
    )
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_a_repeated_30003_is_believed_and_then_sent_again(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    for _ in range(2):
        await failing_reply(router, "30003")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


async def test_nobody_on_the_opt_out_list_gets_it(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    await router.deliver(parameters)
    await router.deliver(webhook("STOP"))
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", "30006")
    await twilio.expect_messages()


# --- Twilio's API in trouble ---


async def test_twilio_s_500_is_not_answered_with_a_second_try(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=500, after=True, count=1)
    sid = await failing_reply(router)
    await wait_for_causes(router, sid, "may have been sent, and is not sent again")
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_429_is_tried_again_until_it_is_taken(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=429, count=2)
    await failing_reply(router)
    await twilio.expect_messages(("+14155550100", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_a_crash_between_the_mark_and_the_answer_sends_nothing_twice(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    one, other = start_router(environment=twilio.environment), start_router(environment=twilio.environment)
    await twilio.add_fault(kind="hang", after=True)
    sid = await failing_reply(one)
    key = bucket_of(CONTACT).message(f"{ACCOUNT}/{sid}")
    with redis.Redis.from_url(valkey.url) as client:

        async def marked() -> bool:
            return b'"sending"' in (client.hget(key, "send:0.again") or b"")

        await wait_until(marked)
        one.kill()
        other.kill()
        await twilio.add_fault(kind="slow", seconds=0)
        for entry in client.zrange(bucket_of(CONTACT).outbox, 0, -1):
            client.zadd(bucket_of(CONTACT).outbox, {entry: 0})  # as if its time had come
    other.start()
    await wait_for_causes(other, sid, "the worker that was sending it is gone")
    assert len(await twilio.phone_messages()) <= 1


def _has_run(router: RouterProcess) -> Any:
    async def has_run() -> bool:
        return bool(router.runs)

    return has_run


@pytest.mark.slow
async def test_late_answers_to_a_machine_that_answers_them_end(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(f"{SHORT_DEADLINE}\n[loop_guard]\nreplies = 2\nseconds = 600", twilio.environment)
    for number in range(3):
        assert (await router.deliver(webhook("COUNT 1"))).body == EMPTY
        await wait_until(partial(_log_tells, router, number))
    assert len(await twilio.phone_messages()) == 2


async def _log_tells(router: RouterProcess, turn: int) -> bool:
    """Tell whether so many late answers have left, or the guard has held one back."""
    return "loop guard:" in router.log if turn == 2 else router.log.count(" left from ") > turn
