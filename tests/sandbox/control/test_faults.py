"""Faults on request, over HTTP and from the configuration."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from starlette.responses import Response
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sms_router.sandbox import load_world
from tests.sandbox.bench import PHONE, SERVICE, SHORT_CODE, WORLD, Bench, running
from tests.sandbox.customer import twiml


def fetch(client: Client) -> str:
    return str(client.messaging.v1.services(SERVICE).fetch().sid)


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (500, 20500), (503, 20503), (502, 20502)])
async def test_twilio_answers_a_status_for_some_calls(bench: Bench, status: int, code: int) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "status", "status": status, "count": 2}}, 200)
    for _ in range(2):
        with pytest.raises(TwilioRestException) as refused:
            await bench.twilio(fetch)
        assert (refused.value.status, refused.value.code) == (status, code)
    assert await bench.twilio(fetch) == SERVICE


async def test_twilio_answers_garbage_until_it_is_cleared(bench: Bench) -> None:
    assert await bench.post("/sandbox/faults", {"rest": {"kind": "garbage"}}) == {
        "rest": {"kind": "garbage", "path": "", "after": False}
    }
    for _ in range(3):
        with pytest.raises(ValueError, match="Expecting value"):
            await bench.twilio(fetch)
    async with bench.session.delete(f"{bench.url}/sandbox/faults") as response:
        assert response.status == 204
    assert await bench.get("/sandbox/faults") == {}
    assert await bench.twilio(fetch) == SERVICE


async def test_twilio_hangs_until_it_is_cleared(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "hang", "count": 1}})
    hanging = asyncio.create_task(bench.twilio(fetch))
    while (await bench.get("/sandbox/faults")) != {}:
        await asyncio.sleep(0)
    assert not hanging.done()
    async with bench.session.delete(f"{bench.url}/sandbox/faults"):
        pass
    with pytest.raises(TwilioRestException) as refused:
        await hanging
    assert refused.value.status == 503


async def test_a_caller_that_gives_up_on_a_hanging_twilio_leaves_nothing_behind(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "hang"}})
    impatient = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(TimeoutError):
        await bench.session.get(f"{bench.url}/v1/Services", timeout=impatient)


async def test_the_sandboxs_own_paths_and_webhooks_keep_working(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"rest": {"kind": "status", "status": 500}})
    bench.customer.says("/sms", "<Message>Hello</Message>")
    assert len((await bench.text("Hi", SHORT_CODE))["messages"]) == 1


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "Say what should fail"),
        ({"reset": {}}, "reset: unknown key; did you mean rest?"),
        ({"rest": 500}, "rest: expected a table"),
        ({"rest": {}}, "rest.kind: is missing"),
        (
            {"rest": {"kind": "flood"}},
            "rest.kind: expected one of status, garbage, hang, slow, half, got 'flood'",
        ),
        ({"rest": {"kind": "status", "stauts": 500}}, "rest.stauts: unknown key; did you mean status?"),
        ({"rest": {"kind": "status", "status": 200}}, "rest.status: expected a whole number from 400 to 599"),
        ({"rest": {"kind": "hang", "status": 500}}, "rest.status: goes with kind = 'status' only"),
        ({"rest": {"kind": "hang", "seconds": 5}}, "rest.seconds: goes with kind = 'slow' only"),
        ({"rest": {"kind": "hang", "count": 0}}, "rest.count: expected a whole number from 1"),
        ({"rest": {"kind": "hang", "count": True}}, "rest.count: expected a whole number from 1"),
        ({"webhooks": {"kind": "thrice"}}, "webhooks.kind: expected one of twice, unheard"),
        ({"receipts": {"late": -1}}, "receipts.late: expected seconds, 0 or more"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_in_a_sentence(
    bench: Bench, body: object, sentence: str
) -> None:
    answer = await bench.post("/sandbox/faults", body, 400)
    assert sentence in answer["error"]
    assert await bench.get("/sandbox/faults") == {}


async def test_a_webhook_is_delivered_twice_at_once_and_the_later_answer_counts(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"webhooks": {"kind": "twice", "count": 1}}, 200)
    both = asyncio.Barrier(2)

    async def page() -> Response:
        await both.wait()
        return twiml("<Message>Hello</Message>")

    bench.customer.pages["/sms"] = page
    told = await bench.text("Hi")
    first, second = bench.customer.asked
    assert first == second
    assert [message["body"] for message in told["messages"]] == ["Hello"]
    assert [request["reason"] for request in told["webhook"]["requests"]] == [
        "this answer was lost on its way, as asked for",
        "",
    ]
    assert await bench.get("/sandbox/faults") == {}


async def test_an_answer_is_lost_and_the_fallback_is_asked(bench: Bench) -> None:
    await bench.post("/sandbox/faults", {"webhooks": {"kind": "unheard", "count": 1}}, 200)
    bench.customer.says("/sms", "<Message>lost</Message>")
    bench.customer.says("/sms/fallback", "<Message>kept</Message>")
    told = await bench.text("Hi")
    assert [message["body"] for message in told["messages"]] == ["kept"]
    assert bench.customer.asked[1].form["ErrorCode"] == "11200"


async def _receipts(bench: Bench, fault: dict[str, object]) -> list[str]:
    await bench.post("/sandbox/faults", {"receipts": fault}, 200)
    await bench.twilio(lambda c: c.messages.create(to=PHONE, messaging_service_sid=SERVICE, body="Hi"))
    await bench.platform.pace.wait_until_idle()
    return [asked.form["MessageStatus"] for asked in bench.customer.asked_at("/sms/status")]


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ({}, ["queued", "sent", "delivered"]),
        ({"lost": True}, []),
        ({"lost": True, "count": 2}, ["delivered"]),
        ({"twice": True}, ["queued", "queued", "sent", "sent", "delivered", "delivered"]),
        ({"backwards": True}, ["delivered", "sent", "queued"]),
        ({"backwards": True, "count": 1}, ["sent", "queued", "delivered"]),
    ],
)
async def test_receipts_are_lost_doubled_or_come_in_another_order(
    bench: Bench, fault: dict[str, object], statuses: list[str]
) -> None:
    assert await _receipts(bench, fault) == statuses


async def test_receipts_are_late_on_the_sandboxs_clock(bench: Bench) -> None:
    assert await _receipts(bench, {"late": 600, "count": 2}) == ["delivered"]
    await bench.post("/sandbox/clock", {"advance": 600}, 200)
    assert [asked.form["MessageStatus"] for asked in bench.customer.asked] == ["delivered", "queued", "sent"]


async def test_faults_may_be_on_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.toml"
    path.write_text(
        WORLD.read_text("utf-8") + '\n[faults]\nrest = { kind = "status", status = 503 }\n', "utf-8"
    )
    async with running(faults=load_world(path).faults) as bench:
        with pytest.raises(TwilioRestException):
            await bench.twilio(fetch)
        told = await bench.get("/sandbox/faults")
        assert told == {"rest": {"kind": "status", "status": 503, "path": "", "after": False}}


async def test_what_is_shown_can_be_set_again(bench: Bench) -> None:
    faults = {
        "rest": {"kind": "slow", "seconds": 0.5, "path": "/v1/", "after": False, "count": 3},
        "webhooks": {"kind": "twice"},
        "receipts": {"late": 5.0, "twice": True, "backwards": False, "lost": False, "count": 7},
    }
    assert await bench.post("/sandbox/faults", faults, 200) == faults
    assert await bench.post("/sandbox/faults", {"webhooks": {"kind": "unheard"}}, 200) == {
        **faults,
        "webhooks": {"kind": "unheard"},
    }
