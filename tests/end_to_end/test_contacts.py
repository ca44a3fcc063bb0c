"""What routers know about people: opt-outs and reachability, across processes, faults and commands."""

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
FAILED = {"ErrorCode": "11200", "ErrorUrl": "https://sms.example.com/sms"}
PERSON = "+14155550123"


def said(answer: HttpResponse) -> tuple[str | None, str]:
    """Return the sender and the text of the one message of an answer."""
    (message,) = fromstring(answer.body).findall("Message")
    return message.get("from"), message.findtext("Body") or ""


async def report(
    router: RouterProcess, parameters: dict[str, str], status: str, code: str = ""
) -> HttpResponse:
    """Report what became of the answer to a message, as Twilio does: here without the Service's sid."""
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


async def test_stop_silence_help_start_on_any_process(start_router: StartRouter) -> None:
    one, other = start_router(), start_router()
    sender, text = said(await one.deliver(webhook("Stop")))
    assert (sender, "unsubscribed" in text) == ("12345", True)
    for router in (one, other):
        assert (await router.deliver(webhook("HOURS"))).body == EMPTY
        assert (await router.deliver(webhook("HOURS", To="+14155550100"))).body == EMPTY
        assert (await router.deliver(webhook("COUNT"))).body == EMPTY
        assert (await router.deliver({**webhook("HOURS"), **FAILED}, path="/sms/fallback")).body == EMPTY
        assert (await router.deliver(webhook("STOP"))).body == EMPTY, "it is confirmed once"
        assert "STOP" in said(await router.deliver(webhook("HELP")))[1]
    assert one.runs == [], "no handler runs for somebody on the list"
    assert said(await other.deliver(webhook("start")))[0] == "12345"
    for router in (one, other):
        assert "9 to 5" in said(await router.deliver(webhook("HOURS")))[1]


async def test_somebody_else_is_not_silenced(start_router: StartRouter) -> None:
    router = start_router()
    await router.deliver(webhook("STOP"))
    assert said(await router.deliver(webhook("HOURS", From="+14155550199")))[0] == "12345"


@pytest.mark.parametrize("changed", [{"OptOutType": "STOP"}, {"To": "+14155550100"}, {"To": "+18885550100"}])
async def test_what_twilio_or_the_network_has_answered_is_noted_without_a_word(
    start_router: StartRouter, changed: dict[str, str]
) -> None:
    router = start_router()
    assert (await router.deliver(webhook("STOP", **changed))).body == EMPTY
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    again = {**changed, "OptOutType": "START"} if "OptOutType" in changed else changed
    assert (await router.deliver(webhook("START", **again))).body == EMPTY
    assert said(await router.deliver(webhook("HOURS")))[0] == "12345"


async def test_stop_on_the_fallback_url_is_an_opt_out_too(start_router: StartRouter) -> None:
    router = start_router()
    answer = await router.deliver({**webhook("STOP"), **FAILED}, path="/sms/fallback")
    assert "unsubscribed" in said(answer)[1]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


async def test_yes_is_an_ordinary_text_but_for_those_who_opted_out(start_router: StartRouter) -> None:
    router = start_router()
    assert said(await router.deliver(webhook("yes")))[1] == "Text HOURS."
    await router.deliver(webhook("STOP"))
    assert "again" in said(await router.deliver(webhook("yes")))[1]
    assert said(await router.deliver(webhook("HOURS")))[0] == "12345"


async def test_an_opt_out_holds_while_redis_is_away_and_is_known_afterwards(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router()
    await router.deliver(webhook("HOURS"))
    valkey.kill()
    assert "unsubscribed" in said(await router.deliver(webhook("STOP")))[1]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    valkey.start()
    listed: list[dict[str, str]] = []
    for _ in range(100):
        listed = json.loads(router.command("opt-outs", "list", "--json", "--reveal").stdout)
        if listed:
            break
        await asyncio.sleep(0.05)
    assert [(each["number"], each["service"], each["source"]) for each in listed] == [
        (PERSON, SERVICE, "STOP")
    ]
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


async def test_who_is_not_reached_by_the_short_code_is_answered_from_a_long_code(
    start_router: StartRouter,
) -> None:
    one, other = start_router(), start_router()
    first = webhook("HOURS")
    assert said(await one.deliver(first))[0] == "12345"
    receipts = [report(router, first, "undelivered", "30006") for router in (one, other) for _ in range(5)]
    assert {answer.status for answer in await asyncio.gather(*receipts)} == {204}
    second = webhook("HOURS")
    assert said(await other.deliver(second))[0] == "+14155550100"
    story = json.loads(other.command("messages", "show", second["MessageSid"], "--json").stdout)
    assert "12345: skipped: earlier messages from it did not reach this contact" in story["trail"]
    assert "messages from 12345 do not reach" in one.log + other.log
    assert PERSON not in one.log + other.log
    page = (await one.fetch("/metrics")).text + (await other.fetch("/metrics")).text
    assert 'sms_router_faults_total{class="sender",sender="12345"}' in page

    await report(one, second, "delivered")
    assert said(await one.deliver(webhook("HOURS")))[0] == "12345", "a text that arrived ends the belief"


async def test_an_opt_out_that_only_twilio_knew_is_learned(start_router: StartRouter) -> None:
    router = start_router()
    first = webhook("HOURS")
    await router.deliver(first)
    await report(router, first, "failed", "21610")
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY


@pytest.mark.slow
async def test_explain_tells_what_is_known_of_a_person_and_when(start_router: StartRouter) -> None:
    router = start_router()

    def explained(*more: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            router.command("explain", PERSON, "HOURS", "--to", "12345", "--json", *more).stdout
        )
        return found

    story = explained()
    assert (story["sender"], story["person"]["unreachable"]) == ("12345", [])  # type: ignore[index]
    assert story["if_it_failed"]["sender"] == "+14155550100"  # type: ignore[index]
    first = webhook("HOURS")
    await router.deliver(first)
    await report(router, first, "undelivered", "30006")
    story = explained()
    assert (story["sender"], story["if_it_failed"]) == ("+14155550100", None)
    (belief,) = story["person"]["unreachable"]  # type: ignore[index]
    assert (belief["sender"], belief["code"], belief["times"]) == ("12345", 30006, 1)
    for when in ("+15d", "-1h", "2020-01-01"):
        assert explained(f"--as-of={when}")["sender"] == "12345"
    assert router.command("explain", PERSON, "HOURS", "--as-of", "soon").returncode == 2
    told = router.command("explain", PERSON, "HOURS", "--to", "12345").stdout
    assert "12345 has not reached the contact since" in told
    await router.deliver(webhook("STOP"))
    story = explained()
    assert (story["rule"], story["sender"]) == ("opted out: no reply", None)


async def test_operators_move_the_list_in_and_out(start_router: StartRouter) -> None:
    router = start_router()
    folder = router.folder
    assert router.command("opt-outs", "add", "+1 415 555 0123").returncode == 0
    assert (await router.deliver(webhook("HOURS"))).body == EMPTY
    assert "+1415•••0123" in router.command("opt-outs", "list").stdout
    exported = router.command("opt-outs", "export").stdout.splitlines()
    assert exported[0] == "number,service,since,source"
    assert exported[1].startswith(f"{PERSON},{SERVICE},20")
    assert router.command("opt-outs", "remove", PERSON).returncode == 0
    assert router.command("opt-outs", "remove", PERSON).returncode == 1
    assert said(await router.deliver(webhook("HOURS")))[0] == "12345"

    file = folder / "list.csv"
    file.write_text(
        f"number,since\n{PERSON},2026-01-02T03:04:05Z\n4155550123,\n+14155550124,soon\n+14155550125\n"
    )
    refused = router.command("opt-outs", "import", str(file))
    assert refused.returncode == 1
    assert "2 invalid lines; nothing was changed" in refused.stderr
    assert "line 3: number: '4155550123'" in refused.stderr
    assert "line 4: since: 'soon'" in refused.stderr
    assert said(await router.deliver(webhook("HOURS")))[0] == "12345"

    numbers = [f"+1415555{number:04}" for number in range(1200)]
    file.write_text("number,source\n" + "".join(f"{number},old system\n" for number in numbers))
    for new in (1200, 0):
        taken = router.command("opt-outs", "import", str(file))
        assert f"1200 lines read, {new} added to the list." in taken.stdout
    exported = router.command("opt-outs", "export").stdout.splitlines()
    assert sorted(line.partition(",")[0] for line in exported[1:]) == sorted(numbers)
    assert (await router.deliver(webhook("HOURS", From=numbers[7]))).body == EMPTY


@pytest.mark.slow
async def test_a_carrier_that_has_recovered_gets_the_short_code_again(
    start_router: StartRouter, valkey: PrivateValkey
) -> None:
    router = start_router("reroute = false")
    first = webhook()
    await router.deliver(first)
    await report(router, first, "undelivered", "30006")
    assert said(await router.deliver(webhook()))[0] == "+14155550100"
    with valkey.client() as client:  # as if it had been long ago
        known = bucket_of(PERSON).contact(SERVICE, PERSON)
        failed = cast("bytes", client.hget(known, "12345"))
        client.hset(known, "12345", b"30006@%d" % (int(failed.partition(b"@")[2]) - 365 * 86_400_000))
    again = webhook()
    assert said(await router.deliver(again))[0] == "12345", "half-open: tried once more"
    await report(router, again, "delivered")
    assert said(await router.deliver(webhook()))[0] == "12345"
