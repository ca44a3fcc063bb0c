"""The official client with time limits and another host, and its failures as sentences."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from twilio.base.exceptions import TwilioException

from sms_router.twilio.rest import ApiFailure, FailureKind, build_client, describe_error
from tests.membership.recorded import ACCOUNT, TOKEN, serving

SERVICE = "MG" + "b" * 32
Answer = Callable[[Request], Response]


class Twilio:
    """Answers every request as a test configures, and records the requests."""

    answer: Answer
    requests: list[tuple[str, str, str]]

    def reset(self) -> None:
        self.answer = lambda request: JSONResponse({"sid": SERVICE})
        self.requests = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.requests.append((request.method, request.url.path, request.url.query))
        await self.answer(request)(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Twilio, str]]:
    twilio = Twilio()
    with serving(twilio) as url:
        yield twilio, url


@pytest.fixture
def twilio(server: tuple[Twilio, str]) -> Twilio:
    twilio, _ = server
    twilio.reset()
    return twilio


@pytest.fixture
def base_url(server: tuple[Twilio, str]) -> str:
    return server[1]


def json_response(status: int, body: object) -> Answer:
    return lambda request: Response(json.dumps(body), status, media_type="application/json")


def html_response(status: int, text: str) -> Answer:
    return lambda request: Response(text, status, media_type="text/html")


def error_2010(status: int, code: int) -> Answer:
    return json_response(
        status, {"code": code, "message": "No such\n thing", "more_info": "", "status": status}
    )


def error_rfc9457(status: int, code: int) -> Answer:
    body = {
        "type": "https://x",
        "title": "Refused",
        "status": status,
        "code": code,
        "detail": "No such thing",
    }
    return json_response(status, body)


CALLS: dict[str, Callable[[Any], object]] = {
    "fetch": lambda client: client.messaging.v1.services(SERVICE).fetch(),
    "list": lambda client: client.messaging.v1.services(SERVICE).short_codes.list(),
    "create": lambda client: client.messages.create(to="+14155550123", from_="12345", body="Hello"),
    "delete": lambda client: client.messaging.v1.services(SERVICE).short_codes("SC" + "1" * 32).delete(),
}


def failure_of(client: Any, call: str) -> ApiFailure:
    with pytest.raises((TwilioException, requests.RequestException, ValueError)) as caught:
        CALLS[call](client)
    failure = describe_error(caught.value)
    assert TOKEN not in failure.sentence
    assert "\n" not in failure.sentence
    return failure


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("answer", "kind", "code", "status"),
    [
        (error_2010(404, 20404), FailureKind.NOT_FOUND, 20404, 404),
        (error_2010(404, 21701), FailureKind.NOT_FOUND, 21701, 404),
        (error_2010(401, 20003), FailureKind.UNAUTHORIZED, 20003, 401),
        (error_2010(403, 20003), FailureKind.UNAUTHORIZED, 20003, 403),
        (error_2010(429, 20429), FailureKind.RATE_LIMITED, 20429, 429),
        (error_2010(400, 21611), FailureKind.RATE_LIMITED, 21611, 400),
        (error_2010(503, 20503), FailureKind.UNAVAILABLE, 20503, 503),
        (error_2010(400, 21712), FailureKind.REFUSED, 21712, 400),
        (error_rfc9457(429, 20429), FailureKind.RATE_LIMITED, 20429, 429),
        (error_rfc9457(400, 21712), FailureKind.REFUSED, 21712, 400),
        (html_response(500, "<html>Oops</html>"), FailureKind.UNAVAILABLE, None, 500),
        (html_response(404, "<html>Where?</html>"), FailureKind.NOT_FOUND, None, 404),
        (json_response(400, ["odd"]), FailureKind.REFUSED, None, 400),
        (json_response(400, {"message": None, "code": None}), FailureKind.REFUSED, None, 400),
    ],
)
def test_an_error_response_has_its_kind_code_and_status(
    twilio: Twilio,
    base_url: str,
    call: str,
    answer: Answer,
    kind: FailureKind,
    code: int | None,
    status: int,
) -> None:
    twilio.answer = answer
    failure = failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), call)
    assert (failure.kind, failure.code, failure.status) == (kind, code, status)
    assert failure.sentence.startswith(
        f"Twilio responded with {status}{f', error {code}' if code else ''} ({kind.value})"
    )


@pytest.mark.parametrize("call", ["fetch", "list", "create"])
@pytest.mark.parametrize(
    "answer",
    [html_response(200, "<html>Log in</html>"), html_response(200, "ok"), html_response(302, "Elsewhere")],
)
def test_a_response_that_is_not_the_expected_json_is_unreadable(
    twilio: Twilio, base_url: str, call: str, answer: Answer
) -> None:
    twilio.answer = answer
    failure = failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), call)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.sentence == "the response of Twilio's API is not the expected JSON"


def test_a_list_without_its_records_is_unreadable(twilio: Twilio, base_url: str) -> None:
    twilio.answer = json_response(200, {"meta": {}, "a": 1, "b": 2})
    assert failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), "list").kind is FailureKind.UNREADABLE


def test_twilios_message_is_part_of_the_sentence(twilio: Twilio, base_url: str) -> None:
    twilio.answer = error_2010(404, 20404)
    sentence = failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), "list").sentence
    assert sentence == "Twilio responded with 404, error 20404 (not found): No such thing"


def test_a_call_without_a_response_ends_at_its_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = build_client(ACCOUNT, TOKEN, f"http://127.0.0.1:{listener.getsockname()[1]}", 0.05)
        failure = failure_of(client, "fetch")
    assert failure == ApiFailure(FailureKind.UNAVAILABLE, None, None, "Twilio's API did not respond in time")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.ConnectionError(f"https://{TOKEN}@x"), "the connection to Twilio's API failed"),
        (requests.ReadTimeout(TOKEN), "Twilio's API did not respond in time"),
        (requests.exceptions.SSLError(TOKEN), "the certificate of Twilio's API is not valid"),
        (requests.exceptions.ChunkedEncodingError(TOKEN), "the connection to Twilio's API failed"),
    ],
)
def test_a_failed_connection_is_described_without_the_address(error: Exception, sentence: str) -> None:
    assert describe_error(error) == ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence)


def test_every_request_goes_to_the_base_url_with_its_path(twilio: Twilio, base_url: str) -> None:
    client = build_client(ACCOUNT, TOKEN, base_url + "/", 5)
    client.messaging.v1.services(SERVICE).fetch()
    client.api.v2010.accounts(ACCOUNT).short_codes("SC" + "1" * 32).fetch()
    assert twilio.requests == [
        ("GET", f"/v1/Services/{SERVICE}", ""),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/SMS/ShortCodes/SC{'1' * 32}.json", ""),
    ]


def test_links_to_a_next_page_lead_to_the_base_url(twilio: Twilio, base_url: str) -> None:
    def page(request: Request) -> Response:
        first = "PageToken" not in request.query_params
        following = f"https://messaging.twilio.com{request.url.path}?PageToken=PT1" if first else None
        codes = [{"sid": "SC1" if first else "SC2"}]
        meta = {"key": "short_codes", "next_page_url": following}
        return JSONResponse({"meta": meta, "short_codes": codes})

    twilio.answer = page
    codes = build_client(ACCOUNT, TOKEN, base_url, 5).messaging.v1.services(SERVICE).short_codes.list()
    assert [code.sid for code in codes] == ["SC1", "SC2"]
    assert twilio.requests[1] == ("GET", f"/v1/Services/{SERVICE}/ShortCodes", "PageToken=PT1")


@pytest.mark.parametrize(
    "base_url",
    ["127.0.0.1:8900", "ftp://x", "http://", "http://x/prefix", "https://x?y=z", "messaging.twilio.com"],
)
def test_a_base_url_that_is_not_a_scheme_and_a_host_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"a scheme and a host, such as http://127\.0\.0\.1:8900"):
        build_client(ACCOUNT, TOKEN, base_url, 5)


def test_the_timeout_also_applies_without_a_base_url() -> None:
    client = build_client(ACCOUNT, TOKEN, "", 7.5)
    assert client.http_client.timeout == 7.5


def test_the_clients_log_records_with_numbers_are_discarded(
    twilio: Twilio, base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="twilio"):
        twilio.answer = json_response(200, {"messages": [], "next_page_uri": None})
        build_client(ACCOUNT, TOKEN, base_url, 5).messages.list(to="+14155550123")
    assert "+14155550123" in twilio.requests[0][2].replace("%2B", "+")
    assert not [record for record in caplog.records if record.name.startswith("twilio")]
