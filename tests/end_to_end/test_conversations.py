"""Conversations on running routers: in order, once, and with a way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import SERVICE, HttpResponse, RouterProcess, wait_for_its_turn, webhook
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

PERSON = "+14155550123"
TALK = bucket_of(PERSON).conversation(SERVICE, PERSON)
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
FAILED = {"ErrorCode": "11200", "ErrorUrl": "https://sms.example.com/sms"}


@pytest.fixture
def converse(start_router: StartRouter) -> StartRouter:
    """Start routers whose handlers converse."""

    def begin(more: str = "") -> RouterProcess:
        return start_router(more, handlers="tests.end_to_end.conversation_handlers")

    return begin


async def say(router: RouterProcess, *texts: str) -> str:
    """Text one after the other, and return the last answer."""
    answers = [await router.deliver(webhook(text)) for text in texts]
    return answers[-1].text


def has_run(router: RouterProcess, times: int) -> Callable[[], Awaitable[bool]]:
    async def ran() -> bool:
        return len(router.runs) >= times

    return ran


@pytest.mark.slow
async def test_a_step_takes_the_next_message_whichever_router_gets_it(converse: StartRouter) -> None:
    routers = [converse(), converse()]
    assert "Which size?" in await say(routers[0], "ORDER calzone")
    assert "S, M or L?" in await say(routers[1], "large")
    assert "One calzone in M." in await say(routers[0], "m")
    assert "Text HOURS." in await say(routers[1], "m")


@pytest.mark.slow
async def test_other_people_are_not_in_it(converse: StartRouter) -> None:
    router = converse()
    await say(router, "ORDER")
    assert "Text HOURS." in (await router.deliver(webhook("m", From="+14155550124"))).text
    assert "One pizza in M." in await say(router, "m")


async def test_messages_that_come_at_once_are_answered_one_at_a_time_in_their_order(
    converse: StartRouter, valkey: PrivateValkey
) -> None:
    routers = [converse(), converse()]
    await say(routers[0], "ADD 0"), await say(routers[1], "ADD 0")
    tasks: list[asyncio.Task[HttpResponse]] = []
    for number in range(6):
        text = webhook(f"ADD {10**number}")
        tasks.append(asyncio.create_task(routers[number % 2].deliver(text)))
        await wait_for_its_turn(valkey.url, text)
    answers = [answer.text for answer in await asyncio.gather(*tasks)]
    sums = [text.partition("The sum is ")[2].partition(".")[0] for text in answers]
    assert sums == ["1", "11", "111", "1111", "11111", "111111"]


@pytest.mark.slow
async def test_a_message_delivered_many_times_advances_the_conversation_once(converse: StartRouter) -> None:
    routers = [converse(), converse()]
    message = webhook("ADD 1")
    answers = await asyncio.gather(
        *(routers[number % 2].deliver(message) for number in range(10)),
        *(routers[number % 2].deliver({**message, **FAILED}, path="/sms/fallback") for number in range(4)),
    )
    assert len({answer.body for answer in answers}) == 1
    assert "The sum is 2." in await say(routers[0], "ADD 1")


@pytest.mark.slow
async def test_after_a_crash_the_person_is_where_they_were(
    converse: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    routers = [converse(), converse()]
    go = tmp_path / "go"
    await say(routers[0], "ASK")
    lost = asyncio.create_task(routers[0].deliver(webhook(str(go))))
    await wait_until(has_run(routers[0], 1))
    routers[0].kill()
    await asyncio.gather(lost, return_exceptions=True)
    go.touch()
    assert "Held 1 times." in await say(routers[1], str(go))
    assert "Held 2 times." in await say(routers[1], str(go))
    async with Redis.from_url(valkey.url) as client:
        assert await client.hget(TALK, "holder") is None


@pytest.mark.slow
async def test_a_late_answer_advances_it_too_and_the_next_message_waits_for_it(
    converse: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    routers = [converse("inline_deadline = 0.5"), converse("inline_deadline = 0.5")]
    go = tmp_path / "go"
    await say(routers[0], "ASK")
    assert (await routers[0].deliver(webhook(str(go)))).body == EMPTY
    impatient = webhook(str(go))
    assert (await routers[1].deliver(impatient)).body == EMPTY, "it could not wait any longer"
    assert len(routers[0].runs) == 1, "one at a time"
    go.touch()

    async def advanced() -> bool:
        async with Redis.from_url(valkey.url) as client:
            said = await client.hget(TALK, "state")
            return said is not None and json.loads(said)["state"].get("held") == 2

    await wait_until(advanced)
    assert routers[0].runs[-1] == impatient["MessageSid"]
    assert len(routers[0].runs) == 2
    assert "Held 3 times." in await say(routers[1], str(go))


@pytest.mark.slow
async def test_leave_words_leave(converse: StartRouter) -> None:
    router = converse('[conversations]\nleave_words = ["EXIT", "never mind"]\nleave_reply = "As you like."\n')
    assert "As you like." in await say(router, "ORDER", "Never mind!")
    assert "Text HOURS." in await say(router, "m")
    assert "Text HOURS." in await say(router, "exit")


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
async def test_keywords_interrupt_where_the_configuration_says_so(
    converse: StartRouter, setting: str, hours: str, order: str
) -> None:
    router = converse(f"[conversations]\ninterrupted_by = {setting}\n")
    assert order in await say(router, "ORDER one", "ORDER two")
    assert hours in await say(router, "EXIT", "ORDER", "hours")
    after = "One pizza in M." if hours == "S, M or L?" else "Text HOURS."
    assert after in await say(router, "m")


@pytest.mark.slow
async def test_opt_out_words_come_first_and_end_it(converse: StartRouter) -> None:
    router = converse()
    assert "<Message" in await say(router, "ORDER", "HELP")
    assert "One pizza in M." in await say(router, "m")
    assert "<Message" in await say(router, "ORDER", "STOP")
    assert EMPTY.decode() == await say(router, "m")
    assert "<Message" in await say(router, "START")
    assert "Text HOURS." in await say(router, "m")


@pytest.mark.slow
async def test_stop_does_not_wait_for_its_turn_and_what_is_in_work_keeps_nothing(
    converse: StartRouter, tmp_path: Path, valkey: PrivateValkey
) -> None:
    router = converse()
    go = tmp_path / "go"
    await say(router, "ASK")
    held = asyncio.create_task(router.deliver(webhook(str(go))))
    await wait_until(has_run(router, 1))
    assert "<Message" in await say(router, "STOP")
    go.touch()
    await held
    async with Redis.from_url(valkey.url) as client:
        assert await client.exists(TALK) == 0


@pytest.mark.slow
async def test_it_expires_and_may_say_so(converse: StartRouter, valkey: PrivateValkey) -> None:
    router = converse('[conversations]\nexpired_reply = "That took too long."\n')

    async def too_late() -> None:
        async with Redis.from_url(valkey.url) as client:
            assert await client.hexists(TALK, "expires_at")
            await client.hset(TALK, "expires_at", 1)

    await say(router, "ORDER")
    await too_late()
    assert "We are open" in await say(router, "HOURS")
    await say(router, "ORDER")
    await too_late()
    assert "That took too long." in await say(router, "m")
    assert "Text HOURS." in await say(router, "m")


@pytest.mark.slow
async def test_it_is_forgotten_in_time(converse: StartRouter, valkey: PrivateValkey) -> None:
    router = converse("[conversations]\nexpires_after = 7200\n")
    await say(router, "ORDER")
    async with Redis.from_url(valkey.url) as client:
        assert 7_100_000 < await client.pttl(TALK) <= 7_200_000
        await say(router, "m")
        assert await client.exists(TALK) == 0


@pytest.mark.slow
async def test_a_step_that_fails_asks_again(converse: StartRouter) -> None:
    router = converse()
    assert "Sorry, that failed." in await say(router, "ORDER", "fail")
    assert "One pizza in M." in await say(router, "m")


@pytest.mark.slow
async def test_what_cannot_be_kept_is_a_failure_with_the_remedy(converse: StartRouter) -> None:
    router = converse()
    assert "Sorry, that failed." in await say(router, "BIG")
    assert "Sorry, that failed." in await say(router, "ASK nobody")
    letters = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert 'write @step("nobody")' in letters[0]["cause"]
    assert "conversation.state is too large" in letters[1]["cause"]


async def test_without_redis_they_are_asked_to_try_again(
    converse: StartRouter, valkey: PrivateValkey
) -> None:
    router = converse('[conversations]\ntry_again_reply = "In a minute, please."\n')
    assert "Which size?" in await say(router, "ORDER")
    valkey.kill()
    assert "In a minute, please." in await say(router, "m")
    assert "In a minute, please." in await say(router, "ORDER")
    assert "In a minute, please." in await say(router, "ASK")
    assert "We are open" in await say(router, "HOURS")


@pytest.mark.slow
async def test_a_router_without_conversations_keeps_no_turns(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await say(router, "HOURS", "COUNT")
    async with Redis.from_url(valkey.url) as client:
        assert [key async for key in client.scan_iter("*talk*")] == []
