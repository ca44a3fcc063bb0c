"""Each message is handled once and has one answer, for any number of deliveries to any router process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import HttpResponse, webhook

FALLBACK_PARAMETERS = {"ErrorCode": "11200", "ErrorUrl": "https://sms.example.com/sms"}


async def test_fifty_deliveries_to_two_processes_run_the_handler_once(start_router: StartRouter) -> None:
    routers = [start_router(), start_router()]
    parameters = webhook("COUNT 0.3")

    def deliver(number: int) -> asyncio.Task[HttpResponse]:
        router = routers[number % 2]
        if number % 4 < 2:
            return asyncio.create_task(router.deliver(parameters))
        return asyncio.create_task(
            router.deliver({**parameters, **FALLBACK_PARAMETERS}, path="/sms/fallback")
        )

    first = deliver(0)
    await routers[0].wait_for_runs()
    answers = await asyncio.gather(first, *(deliver(number) for number in range(1, 50)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert "run by" in answers[0].text
    assert routers[0].runs == [parameters["MessageSid"]]
    again = await routers[1].deliver({**parameters, **FALLBACK_PARAMETERS}, path="/sms/fallback")
    assert again.body == answers[0].body


@pytest.mark.slow
async def test_simultaneous_deliveries_run_the_handler_once(
    start_router: StartRouter,
) -> None:
    routers = [start_router(), start_router()]
    messages = [webhook(f"COUNT 0.0{number}") for number in range(5)]
    answers = await asyncio.gather(
        *(routers[copy % 2].deliver(message) for message in messages for copy in range(10))
    )
    for number in range(5):
        assert len({answer.body for answer in answers[number * 10 : number * 10 + 10]}) == 1
    assert sorted(routers[0].runs) == sorted(message["MessageSid"] for message in messages)


@pytest.mark.slow
async def test_the_fallback_answers_the_message_of_a_killed_worker_and_the_handler_runs_again(
    start_router: StartRouter, tmp_path: Path
) -> None:
    routers = [start_router(), start_router()]
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    lost = asyncio.create_task(routers[0].deliver(parameters))
    await routers[0].wait_for_runs()
    routers[0].kill()
    with pytest.raises(aiohttp.ClientError):
        await lost
    answer = await routers[1].deliver({**parameters, **FALLBACK_PARAMETERS}, path="/sms/fallback")
    assert "We will answer soon." in answer.text
    again = await routers[1].deliver(parameters)
    assert again.body == answer.body
    await routers[1].wait_for_runs(2)
    (tmp_path / "release").touch()
    assert json.loads(routers[1].command("messages", "--failed", "--json").stdout) == []
    shown = routers[1].command("messages", "show", parameters["MessageSid"]).stdout
    assert "Twilio called the fallback: 11200" in shown


@pytest.mark.slow
async def test_a_duplicate_on_the_inbound_url_is_handled_after_a_worker_was_killed(
    start_router: StartRouter, tmp_path: Path
) -> None:
    routers = [start_router(), start_router()]
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    lost = asyncio.create_task(routers[0].deliver(parameters))
    await routers[0].wait_for_runs()
    duplicate = asyncio.create_task(routers[1].deliver(parameters))
    routers[0].kill()
    (tmp_path / "release").touch()
    with pytest.raises(aiohttp.ClientError):
        await lost
    assert "released" in (await duplicate).text
    assert len(routers[1].runs) == 2


@pytest.mark.slow
async def test_a_lease_is_renewed_while_the_handler_runs(start_router: StartRouter, tmp_path: Path) -> None:
    routers = [start_router(), start_router()]
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    first = asyncio.create_task(routers[0].deliver(parameters))
    await routers[0].wait_for_runs()
    duplicate = asyncio.create_task(routers[1].deliver(parameters))
    await asyncio.sleep(4.5)  # longer than a lease that is not renewed
    (tmp_path / "release").touch()
    assert (await first).body == (await duplicate).body
    assert len(routers[0].runs) == 1


async def test_the_fallback_reply_answers_a_message_that_no_worker_has_received(
    start_router: StartRouter,
) -> None:
    router = start_router()
    parameters = webhook("COUNT")
    answer = await router.deliver({**parameters, **FALLBACK_PARAMETERS}, path="/sms/fallback")
    assert "We will answer soon." in answer.text
    assert (await router.deliver(parameters)).body == answer.body
    await router.wait_for_runs()


async def test_a_failed_handler_gives_the_error_reply_and_a_dead_letter(start_router: StartRouter) -> None:
    router = start_router()
    parameters = webhook("BOOM")
    answer = await router.deliver(parameters)
    assert answer.status == 200
    assert "Sorry, that failed." in answer.text
    assert "secret" not in answer.text
    listing = router.command("messages", "--failed", "--json")
    assert listing.returncode == 0
    dead_letters = json.loads(listing.stdout)
    assert [dead_letter["sid"] for dead_letter in dead_letters] == [parameters["MessageSid"]]
    assert "RuntimeError" in dead_letters[0]["cause"]


async def test_a_handler_cannot_end_the_worker(start_router: StartRouter) -> None:
    router = start_router()
    assert "Sorry, that failed." in (await router.deliver(webhook("LEAVE"))).text
    assert "Sorry, that failed." in (await router.deliver(webhook("INTERRUPT"))).text
    assert "Sorry, that failed." in (await router.deliver(webhook("LEAVE"))).text
    assert (await router.deliver(webhook("THREAD"))).text.count("from a thread") == 1


async def test_a_failed_handler_is_answered_502_where_the_fallback_url_is_configured(
    start_router: StartRouter,
) -> None:
    routers = [start_router('on_error = "twilio-fallback"'), start_router('on_error = "twilio-fallback"')]
    parameters = webhook("BOOM")
    first = await routers[0].deliver(parameters)
    assert (first.status, first.body) == (502, b"")
    assert (await routers[1].deliver(parameters)).status == 502
    answer = await routers[1].deliver({**parameters, **FALLBACK_PARAMETERS}, path="/sms/fallback")
    assert "We will answer soon." in answer.text
    assert (await routers[0].deliver(parameters)).body == answer.body
    assert len(routers[0].runs) == 1


async def test_several_messages_of_a_reply_are_escaped_and_numbered(start_router: StartRouter) -> None:
    answer = await start_router().deliver(webhook("PICTURES"))
    assert "<Body>one &amp; two</Body><Media>https://example.com/a.png?b=1&amp;c=2</Media>" in answer.text
    assert "&lt;three&gt;" in answer.text
    assert ".0" in answer.text
    assert ".1" in answer.text


@pytest.mark.parametrize(
    ("changed", "sender"),
    [
        ({}, "12345"),
        ({"To": "+14155550100"}, "12345"),
        ({"From": "+16475550123", "FromCountry": "CA"}, "+18885550100"),
        ({"From": "+16475550123", "FromCountry": ""}, "+18885550100"),
        ({"Body": "SENDER"}, "+12125550100"),
        ({"MessagingServiceSid": ""}, "12345"),
        ({"From": "whatsapp:+14155550123", "To": "whatsapp:+14155550100"}, "whatsapp:+14155550100"),
        ({"Body": "PICTURES", "From": "+447700900123", "FromCountry": "GB"}, "+12125550100"),
    ],
)
async def test_the_reply_has_the_best_sender(
    start_router: StartRouter, changed: dict[str, str], sender: str
) -> None:
    answer = await start_router().deliver(webhook(**{"body": changed.pop("Body", "HOURS"), **changed}))
    assert f'from="{sender}"' in answer.text


async def test_a_stop_waits_for_a_running_handler(start_router: StartRouter, tmp_path: Path) -> None:
    router = start_router()
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    answering = asyncio.create_task(router.deliver(parameters))
    await router.wait_for_runs()
    assert router.process is not None
    os.kill(router.process.pid, signal.SIGTERM)
    await asyncio.sleep(0.3)
    (tmp_path / "release").touch()
    assert "released" in (await answering).text
    assert router.stop() == 0
