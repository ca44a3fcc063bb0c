"""Opt-outs and unreachable contacts, across router processes, Redis faults and commands."""

from __future__ import annotations

import asyncio
import json
from typing import cast
from uuid import uuid4
from xml.etree.ElementTree import fromstring

import pytest

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, SERVICE, HttpResponse, RouterProcess, webhook
from tests.store.private_valkey import PrivateValkey

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
FALLBACK_PARAMETERS = {"ErrorCode": "11200", "ErrorUrl": "https://sms.example.com/sms"}
CONTACT = "+14155550123"


def sender_and_text(answer: HttpResponse) -> tuple[str | None, str]:
    """Return the sender and the text of the one message of an answer."""
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from"), message.findtext("Body") or ""


async def report(
    router: RouterProcess, parameters: dict[str, str], status: str, code: str = ""
) -> HttpResponse:
    """Send a status callback about the reply to a message, without the sid of the Service."""
    receipt = {
        "MessageSid": "SM" + uuid4().hex,
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": parameters["From"],
        "MessageStatus": status,
        "ApiVersion": "2010-04-01",
    }
    if code:
        receipt["ErrorCode"] = code
    return await router.deliver(receipt, path=f"/sms/status?reply={parameters['MessageSid']}.0")


async def test_stop_help_and_start_take_effect_in_every_process(start_router: StartRouter) -> None:
    first, second = start_router(), start_router()
    sender, text = sender_and_text(await first.deliver(webhook("Stop")))
    assert (sender, "unsubscribed" in text) == ("12345", True)
    for router in (first, second):
        assert (await router.deliver(webhook("HOURS"))).body == EMPTY
        assert (await router.deliver(webhook("HOURS", To="+14155550100"))).body == EMPTY
        assert (await router.deliver(webhook("COUNT"))).body == EMPTY
        assert (
            await router.deliver({**webhook("HOURS"), **FALLBACK_PARAMETERS}, path="/sms/fallback")
        ).body == EMPTY
        assert (await router.deliver(webhook("STOP"))).body == EMPTY, "the first STOP alone is confirmed"
        assert "STOP" in sender_and_text(await router.deliver(webhook("HELP")))[1]
    assert first.runs == [], "no handler runs for a contact on the opt-out list"
    assert sender_and_text(await second.deliver(webhook("start")))[0] == "12345"
    for router in (first, second):
        assert "9 to 5" in sender_and_text(await router.deliver(webhook("HOURS")))[1]


async def test_an_opt_out_applies_to_its_contact_alone_by_sms_and_by_rcs(start_router: StartRouter) -> None:
    router, rcs, whatsapp = start_router(), f"rcs:{CONTACT}", f"whatsapp:{CONTACT}"
    await router.deliver(webhook("STOP", From=rcs, To="rcs:acme_agent"))
    for sender in (CONTACT, rcs):
        assert (await router.deliver(webhook("HOURS", From=sender))).body == EMPTY
    assert sender_and_text(await router.deliver(webhook("HOURS", From="+14155550199")))[0] == "12345"
    answer = await router.deliver(webhook("HOURS", From=whatsapp, To="whatsapp:+14155550100"))
    assert "9 to 5" in sender_and_text(answer)[1]
    listed = json.loads(
        router.command("messages", "--from", "+1 (415) 555-0123", "--reveal", "--json").stdout
    )
    assert {message["from"] for message in listed} == {CONTACT, rcs}


@pytest.mark.parametrize("changed", [{"OptOutType": "STOP"}, {"To": "+14155550100"}, {"To": "+18885550100"}])
async def test_an_opt_out_word_that_twilio_or_the_carrier_answers_is_stored_without_a_reply(
    start_router: StartRouter, changed: dict[str, str]
) -> None:
    router = start_router()
    assert (await router.deliver(webhook("STOP", **changed))).body == EMPTY
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    again = {**changed, "OptOutType": "START"} if "OptOutType" in changed else changed
    assert (await router.deliver(webhook("START", **again))).body == EMPTY
    assert sender_and_text(await router.deliver(webhook("HOURS")))[0] == "12345"


async def test_stop_on_the_fallback_url_is_an_opt_out(start_router: StartRouter) -> None:
    router = start_router()
    answer = await router.deliver({**webhook("STOP"), **FALLBACK_PARAMETERS}, path="/sms/fallback")
    assert "unsubscribed" in sender_and_text(answer)[1]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


async def test_yes_opts_in_only_a_contact_that_has_opted_out(start_router: StartRouter) -> None:
    router = start_router()
    assert sender_and_text(await router.deliver(webhook("yes")))[1] == "Text HOURS."
    await router.deliver(webhook("STOP"))
    assert "again" in sender_and_text(await router.deliver(webhook("yes")))[1]
    assert sender_and_text(await router.deliver(webhook("HOURS")))[0] == "12345"


async def test_an_opt_out_takes_effect_while_redis_is_down_and_is_stored_afterwards(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await router.deliver(webhook("HOURS"))
    valkey.kill()
    assert "unsubscribed" in sender_and_text(await router.deliver(webhook("STOP")))[1]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    valkey.start()
    listed: list[dict[str, str]] = []
    for _ in range(100):
        listed = json.loads(router.command("opt-outs", "list", "--json", "--reveal").stdout)
        if listed:
            break
        await asyncio.sleep(0.05)
    assert [(entry["number"], entry["service"], entry["source"]) for entry in listed] == [
        (CONTACT, SERVICE, "STOP")
    ]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


async def test_a_contact_that_the_short_code_does_not_reach_gets_replies_from_a_long_code(
    start_router: StartRouter,
) -> None:
    routers = [start_router(), start_router()]
    first = webhook("HOURS")
    assert sender_and_text(await routers[0].deliver(first))[0] == "12345"
    receipts = [report(router, first, "undelivered", "30006") for router in routers for _ in range(5)]
    assert {answer.status for answer in await asyncio.gather(*receipts)} == {204}
    second = webhook("HOURS")
    assert sender_and_text(await routers[1].deliver(second))[0] == "+14155550100"
    record = json.loads(routers[1].command("messages", "show", second["MessageSid"], "--json").stdout)
    assert "12345: skipped: earlier messages from it did not reach this contact" in record["trail"]
    logs = routers[0].log + routers[1].log
    assert "messages from 12345 do not reach" in logs
    assert CONTACT not in logs
    metrics = [(await router.fetch("/metrics")).text for router in routers]
    assert 'sms_router_faults_total{class="sender",sender="12345"}' in "".join(metrics)

    await report(routers[0], second, "delivered")
    sender, _ = sender_and_text(await routers[0].deliver(webhook("HOURS")))
    assert sender == "12345", "a delivered message makes it reachable again"


async def test_error_21610_stores_an_opt_out_that_only_twilio_had(start_router: StartRouter) -> None:
    router = start_router()
    first = webhook("HOURS")
    await router.deliver(first)
    await report(router, first, "failed", "21610")
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


@pytest.mark.slow
async def test_explain_shows_which_senders_do_not_reach_a_contact_at_a_time(
    start_router: StartRouter,
) -> None:
    router = start_router()

    def explain(*options: str) -> dict[str, object]:
        output = router.command("explain", CONTACT, "HOURS", "--to", "12345", "--json", *options).stdout
        explanation: dict[str, object] = json.loads(output)
        return explanation

    explanation = explain()
    assert (explanation["sender"], explanation["person"]["unreachable"]) == ("12345", [])  # type: ignore[index]
    assert explanation["if_it_failed"]["sender"] == "+14155550100"  # type: ignore[index]
    first = webhook("HOURS")
    await router.deliver(first)
    await report(router, first, "undelivered", "30006")
    explanation = explain()
    assert (explanation["sender"], explanation["if_it_failed"]) == ("+14155550100", None)
    (unreachable,) = explanation["person"]["unreachable"]  # type: ignore[index]
    assert (unreachable["sender"], unreachable["code"], unreachable["times"]) == ("12345", 30006, 1)
    for when in ("+15d", "-1h", "2020-01-01"):
        assert explain(f"--as-of={when}")["sender"] == "12345"
    assert router.command("explain", CONTACT, "HOURS", "--as-of", "soon").returncode == 2
    output = router.command("explain", CONTACT, "HOURS", "--to", "12345").stdout
    assert "12345 has not reached the contact since" in output
    await router.deliver(webhook("STOP"))
    explanation = explain()
    assert (explanation["rule"], explanation["sender"]) == ("opted out: no reply", None)


async def test_the_opt_out_list_is_edited_exported_and_imported_by_commands(
    start_router: StartRouter,
) -> None:
    router = start_router()
    folder = router.folder
    assert router.command("opt-outs", "add", "+1 415 555 0123").returncode == 0
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "+1415•••0123" in router.command("opt-outs", "list").stdout
    exported = router.command("opt-outs", "export").stdout.splitlines()
    assert exported[0] == "number,service,since,source"
    assert exported[1].startswith(f"{CONTACT},{SERVICE},20")
    assert router.command("opt-outs", "remove", CONTACT).returncode == 0
    assert router.command("opt-outs", "remove", CONTACT).returncode == 1
    assert sender_and_text(await router.deliver(webhook("HOURS")))[0] == "12345"

    file = folder / "list.csv"
    file.write_text(
        f"number,since\n{CONTACT},2026-01-02T03:04:05Z\n4155550123,\n+14155550124,soon\n+14155550125\n"
    )
    refused = router.command("opt-outs", "import", str(file))
    assert refused.returncode == 1
    assert "2 invalid lines; nothing was changed" in refused.stderr
    assert "line 3: '4155550123' is not a number" in refused.stderr
    assert "line 4: since: 'soon'" in refused.stderr
    assert sender_and_text(await router.deliver(webhook("HOURS")))[0] == "12345"

    numbers = [f"+1415555{number:04}" for number in range(1200)]
    file.write_text("number,source\n" + "".join(f"{number},old system\n" for number in numbers))
    for added in (1200, 0):
        imported = router.command("opt-outs", "import", str(file))
        assert f"1200 lines read, {added} added to the list." in imported.stdout
    exported = router.command("opt-outs", "export").stdout.splitlines()
    assert sorted(line.partition(",")[0] for line in exported[1:]) == sorted(numbers)
    assert (await router.deliver(webhook("HOURS", From=numbers[7]))).body == EMPTY


@pytest.mark.slow
async def test_an_unreachable_sender_is_tried_again_after_its_time(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router("reroute = false")
    first = webhook()
    await router.deliver(first)
    await report(router, first, "undelivered", "30006")
    assert sender_and_text(await router.deliver(webhook()))[0] == "+14155550100"
    with valkey.client() as client:  # makes the failure a year old
        key = bucket_of(CONTACT).contact(SERVICE, CONTACT)
        failure = cast("bytes", client.hget(key, "12345"))
        client.hset(key, "12345", b"30006@%d" % (int(failure.partition(b"@")[2]) - 365 * 86_400_000))
    again = webhook()
    assert sender_and_text(await router.deliver(again))[0] == "12345", "one reply tries it"
    await report(router, again, "delivered")
    assert sender_and_text(await router.deliver(webhook()))[0] == "12345"
