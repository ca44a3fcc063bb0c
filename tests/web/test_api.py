"""``/v1/messages``: who may send, what is passed on, and what is answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.types import Message

from sms_router import Duplicate, OptedOut, Refused, Reply, Sent, Sms
from sms_router.web.api import MessagesApi

AT = datetime(2026, 12, 1, 9, tzinfo=UTC)
TO, TOKEN = "+14155550123", {"authorization": "Bearer a-token-of-16-characters"}


class RecordedSms:
    """Answers with a result that a test sets."""

    def __init__(self) -> None:
        self.result: object = Sent("SM1", AT)
        self.calls: list[tuple[Any, ...]] = []

    async def send(self, to: str, reply: Reply, **options: Any) -> Any:
        self.calls.append((to, reply, options))
        return self.result

    async def cancel(self, to: str, key: str, *, service: str | None = None) -> bool:
        return key == "known"


@pytest.fixture
def sms() -> RecordedSms:
    return RecordedSms()


async def request(
    sms: RecordedSms, body: str, headers: dict[str, str], method: str = "POST"
) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of the answer."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/v1/messages", "headers": raw}
    api = MessagesApi(lambda _: cast("Sms", sms), "a-token-of-16-characters")
    response = await api.handle(Request(scope, receive))
    return response.status_code, json.loads(bytes(response.body))


@pytest.mark.parametrize(
    ("result", "status", "answer"),
    [
        (Sent("SM1", AT), 202, {"result": "sent", "sid": "SM1", "at": "2026-12-01T09:00:00+00:00"}),
        (Duplicate(), 200, {"result": "duplicate"}),
        (OptedOut(), 409, {"result": "opted_out"}),
        (Refused("no sender"), 422, {"result": "refused", "reason": "no sender"}),
    ],
)
async def test_each_result_has_its_status(
    sms: RecordedSms, result: object, status: int, answer: dict[str, str]
) -> None:
    sms.result = result
    body = {"to": TO, "text": "Hello.", "key": "a", "at": "2026-12-01T09:00:00"}
    assert await request(sms, json.dumps(body), TOKEN) == (status, answer)
    ((to, reply, options),) = sms.calls
    assert (to, reply, options["key"], str(options["at"])) == (
        TO,
        Reply("Hello."),
        "a",
        "2026-12-01 09:00:00",
    )


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        ("{}", {}, 401, "the token is missing or wrong"),
        ("{}", {"authorization": "Bearer other"}, 401, "the token is missing or wrong"),
        ("{}", TOKEN, 400, "the body is a JSON object with to and text"),
        ("[", TOKEN, 400, "Expecting value"),
        ('{"to": "+14155550123", "txt": "a"}', TOKEN, 400, "unknown: txt"),
        ('{"to": "+14155550123", "text": 5}', TOKEN, 400, "text is a str"),
        ('{"to": "+14155550123", "text": "a", "at": "soon"}', TOKEN, 400, "Invalid isoformat"),
        ("x" * 70_000, TOKEN, 413, "too large"),
    ],
)
async def test_what_is_malformed_is_refused(
    sms: RecordedSms, body: str, headers: dict[str, str], status: int, reason: str
) -> None:
    answered, answer = await request(sms, body, headers)
    assert answered == status
    assert reason in answer["reason"]
    assert sms.calls == []


@pytest.mark.parametrize(("key", "status"), [("known", 200), ("other", 404)])
async def test_a_message_is_cancelled(sms: RecordedSms, key: str, status: int) -> None:
    body = json.dumps({"to": TO, "key": key})
    assert (await request(sms, body, TOKEN, "DELETE"))[0] == status
