"""The loop guard of running routers mutes a contact that answers every reply."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
GUARD = """
[loop_guard]
replies = 12
seconds = 600
"""


async def count_replies(*routers: RouterProcess, most: int = 20, **changed: str) -> int:
    """Answer each reply with a message, as an automatic responder does; return the number of replies."""
    for turn in range(most):
        answer = await routers[turn % len(routers)].deliver(webhook("I am out of office.", **changed))
        assert answer.status == 200
        if answer.body == EMPTY:
            return turn
    return most


@pytest.mark.slow
async def test_an_automatic_responder_is_muted_and_another_contact_is_not(start_router: StartRouter) -> None:
    routers = [start_router(GUARD), start_router(GUARD)]
    assert await count_replies(*routers) == 4
    for router in routers:
        assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "We are open" in (await routers[0].deliver(webhook("HOURS", From="+14155550124"))).text

    lines = [line for router in routers for line in router.log.splitlines() if "loop guard" in line]
    assert len(lines) == 1, "it is logged once"
    assert "12 replies without a pause of 600 s" in lines[0]
    assert "4155550123" not in lines[0]
    metrics = [(await router.fetch("/metrics")).text for router in routers]
    assert sum('outcome="muted"} 1.0' in text or 'outcome="muted"} 2.0' in text for text in metrics) == 2
    records = json.loads(routers[0].command("messages", "--json", "--limit", "3").stdout)
    assert any("not sent, by the loop guard" in line for record in records for line in record["trail"])


@pytest.mark.slow
async def test_opt_out_words_of_a_muted_contact_are_answered(start_router: StartRouter) -> None:
    router = start_router(GUARD)
    assert await count_replies(router) == 4
    assert "<Message" in (await router.deliver(webhook("HELP"))).text
    assert "<Message" in (await router.deliver(webhook("STOP"))).text
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "<Message" in (await router.deliver(webhook("START"))).text


@pytest.mark.slow
async def test_the_configured_reply_is_sent_once_to_a_muted_contact(start_router: StartRouter) -> None:
    router = start_router(GUARD + 'reply = "Let us both rest."')
    for number in range(12):
        await router.deliver(webhook(f"HOURS {number}"))
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
    await router.deliver(webhook("HOURS", From="+14155550199"))  # the worker reads the senders
    valkey.kill()
    assert await count_replies(router) == 4
    assert "<Message" in (await router.deliver(webhook("HELP"))).text


@pytest.mark.slow
async def test_a_failed_handler_of_a_muted_contact_is_a_dead_letter(start_router: StartRouter) -> None:
    router = start_router(GUARD)
    assert await count_replies(router) == 4
    broken = webhook("BROKEN")
    assert (await router.deliver(broken)).body == EMPTY
    dead_letters = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert [dead_letter["sid"] for dead_letter in dead_letters] == [broken["MessageSid"]]


@pytest.mark.slow
async def test_the_loop_guard_can_be_switched_off(start_router: StartRouter) -> None:
    router = start_router("[loop_guard]\nreplies = 0\n")
    assert await count_replies(router) == 20
