import pytest

from tests.sandbox.bench import PHONE, PRAIRIE_PHONE, SAN_FRANCISCO, SHORT_CODE, Bench


async def test_a_phone_shows_what_it_received_in_order(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>First</Message>")
    await bench.text("a")
    bench.clock.advance(60)
    bench.customer.says("/sms", "<Message>Second</Message>")
    told = await bench.text("b", SAN_FRANCISCO)
    screen = await bench.phone()
    assert (screen["number"], screen["carrier"], screen["undelivered"]) == (PHONE, "metro", [])
    assert [message["body"] for message in screen["messages"]] == ["First", "Second"]
    assert screen["messages"][1] == {
        "sid": told["messages"][0]["sid"],
        "from": SAN_FRANCISCO,
        "body": "Second",
        "media": [],
        "received_at": "2026-01-05T09:01:00+00:00",
        "status": "delivered",
    }


async def test_a_phone_nobody_listed_is_on_the_default_carrier(bench: Bench) -> None:
    screen = await bench.phone("+13125550177")
    assert (screen["number"], screen["carrier"], screen["state"]) == ("+13125550177", "metro", "on")
    assert screen["messages"] == screen["undelivered"] == []


async def test_the_phones_of_the_world_are_listed(bench: Bench) -> None:
    phones = (await bench.get("/sandbox/phones"))["phones"]
    assert {"number": PRAIRIE_PHONE, "carrier": "prairie", "state": "on"} in phones


@pytest.mark.parametrize(
    ("number", "body", "status", "sentence"),
    [
        (
            PHONE,
            {"to": "54321", "body": "x"},
            404,
            "'to' is '54321', which is not one of the account's numbers",
        ),
        (PHONE, {"body": "x"}, 400, "'to' is missing."),
        (PHONE, {"to": 12345, "body": "x"}, 400, "'to' must be a text."),
        (PHONE, {"to": SHORT_CODE}, 400, "Write a 'body', or add 'media'."),
        (PHONE, {"to": SHORT_CODE, "body": "x" * 1601}, 400, "'body' is longer than 1600 characters."),
        (PHONE, {"to": SHORT_CODE, "bodi": "x"}, 400, "has an unknown key 'bodi'; did you mean 'body'?"),
        (PHONE, {"to": SHORT_CODE, "media": "x"}, 400, "'media' must be a list of texts."),
        (PHONE, {"to": SHORT_CODE, "media": ["x"]}, 400, "'media' holds 'x', which is not an http"),
        (PHONE, {"to": SHORT_CODE, "media": ["https://x.example/"] * 11}, 400, "'media' has more than 10"),
        (PHONE, ["x"], 400, "The body must be a JSON object."),
        ("4155550123", {"to": SHORT_CODE, "body": "x"}, 400, "'4155550123' is not a phone's number"),
        (SAN_FRANCISCO, {"to": SHORT_CODE, "body": "x"}, 409, "is one of the account's numbers"),
    ],
)
async def test_a_mistake_is_answered_by_a_sentence(
    bench: Bench, number: str, body: object, status: int, sentence: str
) -> None:
    answer = await bench.post(f"/sandbox/phones/{number}/messages", body, status)
    assert sentence in answer["error"]
    assert bench.customer.asked == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/sandbox/phone", 404), ("PUT", "/sandbox/faults", 405)],
)
async def test_a_path_that_is_none_is_answered_with_those_there_are(
    bench: Bench, method: str, path: str, status: int
) -> None:
    async with bench.session.request(method, bench.url + path) as response:
        assert response.status == status
        error = (await response.json())["error"]
    assert error.startswith(f"There is no {method} {path} here, but: GET /sandbox/phones, ")
    assert "POST /sandbox/phones/{number}/messages, " in error


async def test_a_body_that_is_not_json_is_said_to_be_none(bench: Bench) -> None:
    for raw, status in ((b"to=12345", 400), (b"[" * 300_000, 413), (b"[" * 100_000, 400)):
        async with bench.session.post(f"{bench.url}/sandbox/phones/{PHONE}/messages", data=raw) as response:
            assert response.status == status
            assert "error" in await response.json()
