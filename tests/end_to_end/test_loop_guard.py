"""Two machines that answer each other, on running routers."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
GUARD = """
[loop_guard]
replies = 4
seconds = 600
"""


async def rally(*routers: RouterProcess, most: int = 20, **changed: str) -> int:
    """Text again whenever an answer comes, as an automatic responder does; return how many came."""
    for turn in range(most):
        answer = await routers[turn % len(routers)].deliver(webhook("I am out of office.", **changed))
        assert answer.status == 200
        if answer.body == EMPTY:
            return turn
    return most


@pytest.mark.slow
async def test_two_responders_fall_silent_and_people_do_not(start_router: StartRouter) -> None:
    routers = [start_router(GUARD), start_router(GUARD)]
    assert await rally(*routers) == 4
    for router in routers:
        assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "We are open" in (await routers[0].deliver(webhook("HOURS", From="+14155550124"))).text

    told = [line for router in routers for line in router.log.splitlines() if "loop guard" in line]
    assert len(told) == 1, "it is said once"
    assert "4 replies in 600 s" in told[0]
    assert "4155550123" not in told[0]
    figures = [(await router.fetch("/metrics")).text for router in routers]
    assert sum('outcome="muted"} 1.0' in text or 'outcome="muted"} 2.0' in text for text in figures) == 2
    story = json.loads(routers[0].command("messages", "--json", "--limit", "3").stdout)
    assert any("not sent, by the loop guard" in line for each in story for line in each["trail"])


@pytest.mark.slow
async def test_opt_out_words_are_answered_however_many_replies_there_were(start_router: StartRouter) -> None:
    router = start_router(GUARD)
    assert await rally(router) == 4
    assert "<Message" in (await router.deliver(webhook("HELP"))).text
    assert "<Message" in (await router.deliver(webhook("STOP"))).text
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "<Message" in (await router.deliver(webhook("START"))).text


@pytest.mark.slow
async def test_the_person_may_be_told_once(start_router: StartRouter) -> None:
    router = start_router(GUARD + 'reply = "Let us both rest."')
    for _ in range(4):
        await router.deliver(webhook("HOURS"))
    last = webhook("HOURS")
    answer = await router.deliver(last)
    assert "Let us both rest." in answer.text
    assert (await router.deliver(last)).body == answer.body
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


@pytest.mark.slow
async def test_without_redis_each_worker_counts_for_itself(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router(GUARD)
    await router.deliver(webhook("HOURS", From="+14155550199"))  # the senders are known from now on
    valkey.kill()
    assert await rally(router) == 4
    assert "<Message" in (await router.deliver(webhook("HELP"))).text


@pytest.mark.slow
async def test_a_failed_handler_of_a_muted_person_is_a_dead_letter_still(start_router: StartRouter) -> None:
    router = start_router(GUARD)
    assert await rally(router) == 4
    broken = webhook("BROKEN")
    assert (await router.deliver(broken)).body == EMPTY
    letters = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert [each["sid"] for each in letters] == [broken["MessageSid"]]


@pytest.mark.slow
async def test_the_guard_can_be_off(start_router: StartRouter) -> None:
    router = start_router("[loop_guard]\nreplies = 0\n")
    assert await rally(router) == 20
