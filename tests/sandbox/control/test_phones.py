import pytest

from tests.sandbox.sandbox_fixture import PHONE, PRAIRIE_PHONE, SAN_FRANCISCO, SHORT_CODE, SandboxFixture


async def test_a_phone_shows_what_it_received_in_order(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>First</Message>")
    await sandbox.text("a")
    sandbox.clock.advance(60)
    sandbox.customer.set_twiml("/sms", "<Message>Second</Message>")
    result = await sandbox.text("b", SAN_FRANCISCO)
    screen = await sandbox.phone()
    assert (screen["number"], screen["carrier"], screen["undelivered"]) == (PHONE, "metro", [])
    assert [message["body"] for message in screen["messages"]] == ["First", "Second"]
    assert screen["messages"][1] == {
        "sid": result["messages"][0]["sid"],
        "from": SAN_FRANCISCO,
        "body": "Second",
        "media": [],
        "received_at": "2026-01-05T09:01:00+00:00",
        "status": "delivered",
    }


async def test_an_unlisted_phone_is_on_the_default_carrier(sandbox: SandboxFixture) -> None:
    screen = await sandbox.phone("+13125550177")
    assert (screen["number"], screen["carrier"], screen["state"]) == ("+13125550177", "metro", "on")
    assert screen["messages"] == screen["undelivered"] == []


async def test_the_phones_of_the_world_are_listed(sandbox: SandboxFixture) -> None:
    phones = (await sandbox.get("/sandbox/phones"))["phones"]
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
        (PHONE, {"body": "x"}, 400, "to: is missing; add it"),
        (PHONE, {"to": 12345, "body": "x"}, 400, "to: must be text in quotes"),
        (PHONE, {"to": SHORT_CODE}, 400, "the message is empty; add 'body' or 'media'"),
        (PHONE, {"to": SHORT_CODE, "body": "x" * 1601}, 400, "body: must have at most 1600 characters"),
        (PHONE, {"to": SHORT_CODE, "bodi": "x"}, 400, "bodi: unknown key; did you mean body?"),
        (PHONE, {"to": SHORT_CODE, "media": "x"}, 400, "media: must be a list in brackets"),
        (PHONE, {"to": SHORT_CODE, "media": ["x"]}, 400, "media[1]: expected an http or https URL, got 'x'"),
        (
            PHONE,
            {"to": SHORT_CODE, "media": ["https://x.example/"] * 11},
            400,
            "media: must have at most 10 items",
        ),
        (PHONE, ["x"], 400, "The body must be a JSON object."),
        ("4155550123", {"to": SHORT_CODE, "body": "x"}, 400, "'4155550123' is not a sender"),
    ],
)
async def test_an_invalid_text_is_rejected_with_the_reason(
    sandbox: SandboxFixture, number: str, body: object, status: int, sentence: str
) -> None:
    answer = await sandbox.post(f"/sandbox/phones/{number}/messages", body, status)
    assert sentence in answer["error"]
    assert sandbox.customer.requests == []


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("68849", 21265),
        ("SUPPORT", 21211),
        ("My Shop 24", 21211),
        ("anonymous", 21211),
        ("266696687", 21211),
        (SAN_FRANCISCO, 14107),
        (SHORT_CODE, 14107),
    ],
)
async def test_a_machine_can_text_and_a_reply_to_it_is_an_alert(
    sandbox: SandboxFixture, sender: str, code: int
) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>Hello</Message>")
    answer = await sandbox.text("a notice", sender=sender)
    assert answer["webhook"]["outcome"] == "answered"
    assert answer["messages"] == answer["undelivered"] == []
    (request,) = sandbox.customer.requests
    assert request.form["From"] == sender
    assert await sandbox.alert_codes() == [code]


async def test_a_group_message_names_its_other_recipients(sandbox: SandboxFixture) -> None:
    body = {"to": SHORT_CODE, "body": "lunch?", "other_recipients": ["+14155550124", "+14155550125"]}
    await sandbox.post(f"/sandbox/phones/{PHONE}/messages", body, 201)
    (request,) = sandbox.customer.requests
    assert request.form["OtherRecipients1"] == "+14155550125"
    assert request.form["MessageSid"].startswith("MM")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/sandbox/phone", 404), ("PUT", "/sandbox/faults", 405)],
)
async def test_an_unknown_path_is_answered_with_the_known_ones(
    sandbox: SandboxFixture, method: str, path: str, status: int
) -> None:
    async with sandbox.session.request(method, sandbox.url + path) as response:
        assert response.status == status
        error = (await response.json())["error"]
    assert error.startswith(f"There is no {method} {path} here, but: GET /sandbox/phones, ")
    assert "POST /sandbox/phones/{number}/messages, " in error


async def test_a_body_that_is_not_json_is_rejected(sandbox: SandboxFixture) -> None:
    for raw, status in ((b"to=12345", 400), (b"[" * 300_000, 413), (b"[" * 100_000, 400)):
        async with sandbox.session.post(
            f"{sandbox.url}/sandbox/phones/{PHONE}/messages",
            data=raw,
            headers={"Content-Type": "application/json"},
        ) as response:
            assert response.status == status
            assert "error" in await response.json()
