"""A Valkey that is killed, frozen, slow or full: every message is answered, and every record is stored."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest
import redis
from redis.asyncio import Redis

from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import HttpResponse, RouterProcess, webhook, write_configuration
from tests.store.private_valkey import PrivateValkey
from tests.store.slow_proxy import SlowProxy
from tests.waiting import wait_until

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


async def _deliver_many(router: RouterProcess, count: int) -> list[asyncio.Task[HttpResponse]]:
    """Deliver messages of ``count`` contacts, one each 10 ms."""
    tasks = []
    for number in range(count):
        parameters = webhook("HOURS", From=f"+1415555{number:04}")
        tasks.append(asyncio.create_task(router.deliver(parameters)))
        await asyncio.sleep(0.01)
    return tasks


async def _assert_answered(tasks: list[asyncio.Task[HttpResponse]]) -> None:
    for answer in await asyncio.gather(*tasks):
        assert answer.status == 200
        assert "We are open 9 to 5, SAN FRANCISCO." in answer.text
        assert 'from="12345"' in answer.text


def _records(valkey: PrivateValkey) -> list[MessageRecord]:
    with redis.Redis.from_url(valkey.url) as client:
        return HistoryReader(client).recent(10_000)


async def _is_ready(router: RouterProcess) -> bool:
    return bool(json.loads((await router.fetch("/readyz")).body)["status"] == "ready")


async def _is_degraded(router: RouterProcess) -> bool:
    return not await _is_ready(router)


async def _is_not_answered(router: RouterProcess, contact: str) -> bool:
    return (await router.deliver(webhook(From=contact))).body == EMPTY


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_without_valkey_every_message_is_answered_and_its_record_is_stored_later(
    start_router: StartRouter, valkey: PrivateValkey, fault: str
) -> None:
    router = start_router()
    before = await _deliver_many(router, 30)
    await asyncio.to_thread(valkey.kill if fault == "killed" else valkey.freeze)
    during = await _deliver_many(router, 60)
    await _assert_answered(before + during)
    await wait_until(lambda: _is_degraded(router))
    status = json.loads((await router.fetch("/readyz")).body)
    assert any("Redis is not available" in reason for reason in status["reasons"])
    await asyncio.to_thread(valkey.start if fault == "killed" else valkey.thaw)
    await wait_until(lambda: _is_ready(router))
    after = await _deliver_many(router, 30)
    await _assert_answered(after)
    records = _records(valkey)
    assert len({record.sid for record in records}) == len(records) == 120
    assert {record.outcome for record in records} == {"reply"}
    assert not list((router.folder / "data" / "spool").glob("*"))


async def test_a_duplicate_gets_the_same_answer_while_valkey_is_down(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    before, during = webhook("COUNT"), webhook("COUNT 0.2")
    first = await router.deliver(before)
    await asyncio.to_thread(valkey.kill)
    assert (await router.deliver(before)).body == first.body
    answers = await asyncio.gather(router.deliver(during), router.deliver(during, path="/sms/fallback"))
    assert answers[0].body == answers[1].body
    assert len(router.runs) == 2


async def test_an_opt_out_at_one_router_takes_effect_at_another_while_valkey_is_down(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    first = start_router()
    await first.deliver(webhook("STOP", From="+14155550101"))
    second = start_router()
    for digits, body in (("102", "STOP"), ("103", "STOP"), ("103", "START")):
        await first.deliver(webhook(body, From=f"+14155550{digits}"))
    await second.deliver(webhook())
    await asyncio.to_thread(valkey.kill)
    for digits in ("101", "102"):
        assert (await second.deliver(webhook(From=f"+14155550{digits}"))).body == EMPTY
    assert "We are open" in (await second.deliver(webhook(From="+14155550103"))).text


async def test_spooled_records_are_stored_after_a_restart(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await asyncio.to_thread(valkey.kill)
    parameters = webhook("BOOM")
    await router.deliver(parameters)
    router.stop()
    await asyncio.to_thread(valkey.start)
    router.start()
    await wait_until(lambda: _is_ready(router))
    dead_letters = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert [dead_letter["sid"] for dead_letter in dead_letters] == [parameters["MessageSid"]]


async def test_with_a_full_valkey_every_message_is_answered(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    async with Redis.from_url(valkey.url) as redis:
        await redis.config_set("maxmemory", "1mb")
        await _assert_answered(await _deliver_many(router, 20))
        await wait_until(lambda: _is_degraded(router))
        await redis.config_set("maxmemory", "0")
    await wait_until(lambda: _is_ready(router))
    assert len(_records(valkey)) == 20


async def test_an_opt_out_while_valkey_is_full_takes_effect_at_another_machine(
    start_router: StartRouter, valkey: PrivateValkey, tmp_path: Path
) -> None:
    first = start_router()
    second = RouterProcess(write_configuration(tmp_path / "second"), valkey.url)
    second.start()
    try:
        async with Redis.from_url(valkey.url) as redis:
            await redis.config_set("maxmemory", "1mb")
            for digits, body in (("101", "STOP"), ("102", "STOP"), ("102", "START")):
                await first.deliver(webhook(body, From=f"+14155550{digits}"))
            await wait_until(lambda: _is_not_answered(second, "+14155550101"))
            assert "We are open" in (await second.deliver(webhook(From="+14155550102"))).text
            await redis.config_set("maxmemory", "0")
        await wait_until(lambda: _is_ready(first))
        assert (await second.deliver(webhook(From="+14155550101"))).body == EMPTY
    finally:
        second.kill()


@pytest.mark.slow
async def test_with_a_slow_valkey_every_message_is_answered_and_stored(
    tmp_path: Path, valkey: PrivateValkey, start_router: StartRouter
) -> None:
    async with SlowProxy(valkey.url.removeprefix("unix://"), tmp_path / "slow.sock", 0.15).running():
        folder = write_configuration(tmp_path / "config")
        router = RouterProcess(folder, f"unix://{tmp_path / 'slow.sock'}")
        await asyncio.to_thread(router.start)
        try:
            await _assert_answered(await _deliver_many(router, 40))
            await wait_until(lambda: _is_spool_empty(router))
        finally:
            await asyncio.to_thread(router.stop)
    assert len(_records(valkey)) == 40


async def test_the_router_starts_and_answers_without_valkey_and_without_twilio(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    await asyncio.to_thread(valkey.kill)
    router = start_router()
    answer = await router.deliver(webhook())
    assert 'from="12345"' in answer.text
    reasons = " ".join(json.loads((await router.fetch("/readyz")).body)["reasons"])
    assert "Redis is not available" in reasons
    assert "are not known" in reasons


@pytest.mark.slow
async def test_an_opt_out_takes_effect_in_a_router_that_starts_without_valkey(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await router.deliver(webhook("STOP"))
    await asyncio.to_thread(router.stop)
    await asyncio.to_thread(valkey.kill)
    await asyncio.to_thread(router.start)
    assert "<Message" not in (await router.deliver(webhook("HOURS"))).text
    assert "<Message" in (await router.deliver(webhook("HOURS", From="+14155550199"))).text


async def test_a_flood_of_forged_requests_does_not_delay_others(start_router: StartRouter) -> None:
    router = start_router()
    started_at = time.monotonic()
    forged = [asyncio.create_task(router.deliver(webhook(), token="another")) for _ in range(200)]
    await _assert_answered(await _deliver_many(router, 20))
    assert {answer.status for answer in await asyncio.gather(*forged)} == {403}
    seconds = int(time.monotonic() - started_at) + 2
    assert router.log.count("a request refused") <= 3 * seconds


async def _is_spool_empty(router: RouterProcess) -> bool:
    return not list((router.folder / "data" / "spool").glob("*"))


async def test_redis_that_returns_with_data_of_another_version_is_reported_and_not_used(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    with valkey.client() as client:
        client.set("sms-router:schema", "2")
        client.waitaof(1, 0, 5000)
    await asyncio.to_thread(valkey.kill)
    router = start_router()
    await asyncio.to_thread(valkey.start)

    async def is_reported() -> bool:
        return b"Redis has data of schema 2" in (await router.fetch("/readyz")).body

    await wait_until(is_reported)
    await _assert_answered(await _deliver_many(router, 3))
    assert "Redis has data of schema 2, and this sms-router needs schema 1" in router.log
    with valkey.client() as client:
        assert list(client.scan_iter("sms-router:*:message:*")) == []
        client.delete("sms-router:schema")
    await wait_until(lambda: _is_ready(router))
    assert len(_records(valkey)) == 3
