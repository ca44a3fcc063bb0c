"""Conversations of running routers: their order, exactly-once, leave words, expiry and failures."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import SERVICE, HttpResponse, RouterProcess, wait_until_known, webhook
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

CONTACT = "+14155550123"
CONVERSATION_KEY = bucket_of(CONTACT).conversation(SERVICE, CONTACT)
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
FALLBACK_PARAMETERS = {"ErrorCode": "11200", "ErrorUrl": "https://sms.example.com/sms"}


@pytest.fixture
def start_conversation_router(start_router: StartRouter) -> StartRouter:
    """A function that starts routers with the conversation handlers."""

    def start(more: str = "") -> RouterProcess:
        return start_router(more, handlers="tests.end_to_end.conversation_handlers")

    return start


async def last_answer(router: RouterProcess, *bodies: str) -> str:
    """Deliver messages one after the other, and return the last answer."""
    answers = [await router.deliver(webhook(body)) for body in bodies]
    return answers[-1].text


@pytest.mark.slow
async def test_a_step_receives_the_next_message_in_any_router(start_conversation_router: StartRouter) -> None:
    routers = [start_conversation_router(), start_conversation_router()]
    assert "Which size?" in await last_answer(routers[0], "ORDER calzone")
    for words, rule in (((CONTACT, "--to", "12345"), "step size"), (("+14155550124",), "default")):
        shown = routers[0].command("keywords", "test", "large", "--json", "--from", *words)
        assert json.loads(shown.stdout)["rule"] == rule
    assert "S, M or L?" in await last_answer(routers[1], "large")
    assert "One calzone in M." in await last_answer(routers[0], "m")
    assert "Text HOURS." in await last_answer(routers[1], "m")


@pytest.mark.slow
async def test_other_contacts_are_not_in_the_conversation(start_conversation_router: StartRouter) -> None:
    router = start_conversation_router()
    await last_answer(router, "ORDER")
    assert "Text HOURS." in (await router.deliver(webhook("m", From="+14155550124"))).text
    assert "One pizza in M." in await last_answer(router, "m")


async def test_messages_that_arrive_together_are_handled_one_at_a_time_in_their_order(
    start_conversation_router: StartRouter, valkey: PrivateValkey
) -> None:
    routers = [start_conversation_router(), start_conversation_router()]
    for router in routers:
        await last_answer(router, "ADD 0")
    tasks: list[asyncio.Task[HttpResponse]] = []
    for number in range(6):
        text = webhook(f"ADD {10**number}")
        tasks.append(asyncio.create_task(routers[number % 2].deliver(text)))
        await wait_until_known(valkey.url, text)
    answers = [answer.text for answer in await asyncio.gather(*tasks)]
    sums = [text.partition("The sum is ")[2].partition(".")[0] for text in answers]
    assert sums == ["1", "11", "111", "1111", "11111", "111111"]


@pytest.mark.slow
async def test_a_message_delivered_many_times_advances_the_conversation_once(
    start_conversation_router: StartRouter,
) -> None:
    routers = [start_conversation_router(), start_conversation_router()]
    message = webhook("ADD 1")
    answers = await asyncio.gather(
        *(routers[number % 2].deliver(message) for number in range(10)),
        *(
            routers[number % 2].deliver({**message, **FALLBACK_PARAMETERS}, path="/sms/fallback")
            for number in range(4)
        ),
    )
    assert len({answer.body for answer in answers}) == 1
    assert "The sum is 2." in await last_answer(routers[0], "ADD 1")


@pytest.mark.slow
async def test_a_conversation_keeps_its_step_after_a_worker_is_killed(
    start_conversation_router: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    routers = [start_conversation_router(), start_conversation_router()]
    release = tmp_path / "release"
    await last_answer(routers[0], "ASK")
    lost = asyncio.create_task(routers[0].deliver(webhook(str(release))))
    await routers[0].wait_for_runs()
    routers[0].kill()
    await asyncio.gather(lost, return_exceptions=True)
    release.touch()
    assert "Held 1 times." in await last_answer(routers[1], str(release))
    assert "Held 2 times." in await last_answer(routers[1], str(release))
    async with Redis.from_url(valkey.url) as client:
        assert await client.hget(CONVERSATION_KEY, "holder") is None


@pytest.mark.slow
async def test_a_late_reply_advances_the_conversation_and_the_next_message_waits_for_it(
    start_conversation_router: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    routers = [
        start_conversation_router("inline_deadline = 0.5"),
        start_conversation_router("inline_deadline = 0.5"),
    ]
    release = tmp_path / "release"
    await last_answer(routers[0], "ASK")
    assert (await routers[0].deliver(webhook(str(release)))).body == EMPTY
    waiting = webhook(str(release))
    assert (await routers[1].deliver(waiting)).body == EMPTY, "its deadline is over before its turn"
    assert len(routers[0].runs) == 1, "one at a time"
    release.touch()

    async def has_advanced() -> bool:
        async with Redis.from_url(valkey.url) as client:
            stored = await client.hget(CONVERSATION_KEY, "state")
            return stored is not None and json.loads(stored)["state"].get("held") == 2

    await wait_until(has_advanced)
    assert routers[0].runs[-1] == waiting["MessageSid"]
    assert len(routers[0].runs) == 2
    assert "Held 3 times." in await last_answer(routers[1], str(release))


@pytest.mark.slow
async def test_a_leave_word_ends_the_conversation(start_conversation_router: StartRouter) -> None:
    router = start_conversation_router(
        '[conversations]\nleave_words = ["EXIT", "never mind"]\nleave_reply = "As you like."\n'
    )
    assert "As you like." in await last_answer(router, "ORDER", "Never mind!")
    assert "Text HOURS." in await last_answer(router, "m")
    assert "Text HOURS." in await last_answer(router, "exit")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "hours", "order"),
    [
        ('"none"', "S, M or L?", "S, M or L?"),
        ('"all"', "We are open", "Which size?"),
        ('["HOURS"]', "We are open", "S, M or L?"),
    ],
    ids=["none", "all", "one"],
)
async def test_the_configured_keywords_interrupt_a_conversation(
    start_conversation_router: StartRouter, setting: str, hours: str, order: str
) -> None:
    router = start_conversation_router(f"[conversations]\ninterrupted_by = {setting}\n")
    assert order in await last_answer(router, "ORDER one", "ORDER two")
    assert hours in await last_answer(router, "EXIT", "ORDER", "hours")
    after = "One pizza in M." if hours == "S, M or L?" else "Text HOURS."
    assert after in await last_answer(router, "m")


@pytest.mark.slow
async def test_opt_out_words_come_before_the_step_and_stop_ends_the_conversation(
    start_conversation_router: StartRouter,
) -> None:
    router = start_conversation_router()
    assert "<Message" in await last_answer(router, "ORDER", "HELP")
    assert "One pizza in M." in await last_answer(router, "m")
    assert "<Message" in await last_answer(router, "ORDER", "STOP")
    assert EMPTY.decode() == await last_answer(router, "m")
    assert "<Message" in await last_answer(router, "START")
    assert "Text HOURS." in await last_answer(router, "m")


@pytest.mark.slow
async def test_stop_does_not_wait_and_work_in_progress_stores_nothing(
    start_conversation_router: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    router = start_conversation_router()
    release = tmp_path / "release"
    await last_answer(router, "ASK")
    running = asyncio.create_task(router.deliver(webhook(str(release))))
    await router.wait_for_runs()
    assert "<Message" in await last_answer(router, "STOP")
    release.touch()
    await running
    async with Redis.from_url(valkey.url) as client:
        assert await client.exists(CONVERSATION_KEY) == 0


@pytest.mark.slow
async def test_a_conversation_expires_with_the_configured_reply(
    start_conversation_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_conversation_router('[conversations]\nexpired_reply = "That took too long."\n')

    async def expire() -> None:
        async with Redis.from_url(valkey.url) as client:
            assert await client.hexists(CONVERSATION_KEY, "expires_at")
            await client.hset(CONVERSATION_KEY, "expires_at", 1)

    await last_answer(router, "ORDER")
    await expire()
    assert "We are open" in await last_answer(router, "HOURS")
    await last_answer(router, "ORDER")
    await expire()
    assert "That took too long." in await last_answer(router, "m")
    assert "Text HOURS." in await last_answer(router, "m")


@pytest.mark.slow
async def test_the_stored_conversation_has_a_time_to_live(
    start_conversation_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_conversation_router("[conversations]\nexpires_after = 7200\n")
    await last_answer(router, "ORDER")
    async with Redis.from_url(valkey.url) as client:
        assert 7_100_000 < await client.pttl(CONVERSATION_KEY) <= 7_200_000
        await last_answer(router, "m")
        assert await client.exists(CONVERSATION_KEY) == 0


@pytest.mark.slow
async def test_a_step_that_fails_receives_the_next_message_again(
    start_conversation_router: StartRouter,
) -> None:
    router = start_conversation_router()
    assert "Sorry, that failed." in await last_answer(router, "ORDER", "fail")
    assert "One pizza in M." in await last_answer(router, "m")


@pytest.mark.slow
async def test_a_state_too_large_and_an_unknown_step_are_dead_letters_with_the_remedy(
    start_conversation_router: StartRouter,
) -> None:
    router = start_conversation_router()
    assert "Sorry, that failed." in await last_answer(router, "BIG")
    assert "Sorry, that failed." in await last_answer(router, "ASK nobody")
    dead_letters = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert 'write @step("nobody")' in dead_letters[0]["cause"]
    assert "conversation.state is too large" in dead_letters[1]["cause"]


async def test_without_redis_a_conversation_gets_the_try_again_reply(
    start_conversation_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_conversation_router('[conversations]\ntry_again_reply = "In a minute, please."\n')
    assert "Which size?" in await last_answer(router, "ORDER")
    valkey.kill()
    assert "In a minute, please." in await last_answer(router, "m")
    assert "In a minute, please." in await last_answer(router, "ORDER")
    assert "In a minute, please." in await last_answer(router, "ASK")
    assert "We are open" in await last_answer(router, "HOURS")


@pytest.mark.slow
async def test_a_router_without_steps_stores_no_conversations(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await last_answer(router, "HOURS", "COUNT")
    async with Redis.from_url(valkey.url) as client:
        assert [key async for key in client.scan_iter("*conversation*")] == []


@pytest.mark.slow
async def test_conversations_survive_a_rolling_deploy_in_both_directions(start_router: StartRouter) -> None:
    old = start_router(handlers="tests.end_to_end.conversation_handlers")
    new = start_router(handlers="tests.end_to_end.next_conversation_handlers")

    async def ask(router: RouterProcess, body: str, contact: str) -> str:
        return (await router.deliver(webhook(body, From=contact))).text

    renamed, added, removed = "+14155550131", "+14155550132", "+14155550133"
    assert "Which size?" in await ask(old, "ORDER calzone", renamed)
    assert "New: one calzone in M." in await ask(new, "m", renamed)

    assert "Which street?" in await ask(new, "ORDER calzone", added)
    assert "Please try again in a minute." in await ask(old, "Green Street", added)
    assert "How large?" in await ask(new, "Green Street", added)
    assert "Please try again in a minute." in await ask(old, "l", added)
    assert "New: one calzone in L." in await ask(new, "l", added)

    assert "Which file?" in await ask(old, "ASK", removed)
    assert "Please try again in a minute." in await ask(new, str(new.folder / "router.toml"), removed)
    assert "Held 1 times." in await ask(old, str(old.folder / "router.toml"), removed)

    differences = [
        (old, "without the steps hold and with the steps diameter, street"),
        (new, "without the steps diameter, street and with the steps hold"),
    ]

    async def is_noticed(router: RouterProcess, difference: str) -> bool:
        return difference in (await router.fetch("/readyz")).text

    for router, difference in differences:
        await wait_until(partial(is_noticed, router, difference))
    old.stop()

    async def is_over() -> bool:
        return not await is_noticed(*differences[1])

    await wait_until(is_over)
