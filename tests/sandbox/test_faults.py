import asyncio

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.sandbox.bench import SERVICE, SHORT_CODE, Bench


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
        ({}, "Say what shall fail"),
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
