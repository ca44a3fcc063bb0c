"""The official client, bounded and turned to another host, and its failures in words."""

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
    """Answers every request as a test says, and remembers what was asked."""

    answer: Answer
    asked: list[tuple[str, str, str]]

    def forget(self) -> None:
        self.answer = lambda request: JSONResponse({"sid": SERVICE})
        self.asked = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.asked.append((request.method, request.url.path, request.url.query))
        await self.answer(request)(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Twilio, str]]:
    twilio = Twilio()
    with serving(twilio) as url:
        yield twilio, url


@pytest.fixture
def twilio(server: tuple[Twilio, str]) -> Twilio:
    twilio, _ = server
    twilio.forget()
    return twilio


@pytest.fixture
def base_url(server: tuple[Twilio, str]) -> str:
    return server[1]


def refusal(status: int, told: object) -> Answer:
    return lambda request: Response(json.dumps(told), status, media_type="application/json")


def plain(status: int, text: str) -> Answer:
    return lambda request: Response(text, status, media_type="text/html")


def classic(status: int, code: int) -> Answer:
    return refusal(status, {"code": code, "message": "No such\n thing", "more_info": "", "status": status})


def problem(status: int, code: int) -> Answer:
    told = {
        "type": "https://x",
        "title": "Refused",
        "status": status,
        "code": code,
        "detail": "No such thing",
    }
    return refusal(status, told)


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
        (classic(404, 20404), FailureKind.NOT_FOUND, 20404, 404),
        (classic(404, 21701), FailureKind.NOT_FOUND, 21701, 404),
        (classic(401, 20003), FailureKind.UNAUTHORIZED, 20003, 401),
        (classic(403, 20003), FailureKind.UNAUTHORIZED, 20003, 403),
        (classic(429, 20429), FailureKind.RATE_LIMITED, 20429, 429),
        (classic(400, 21611), FailureKind.RATE_LIMITED, 21611, 400),
        (classic(503, 20503), FailureKind.UNAVAILABLE, 20503, 503),
        (classic(400, 21712), FailureKind.REFUSED, 21712, 400),
        (problem(429, 20429), FailureKind.RATE_LIMITED, 20429, 429),
        (problem(400, 21712), FailureKind.REFUSED, 21712, 400),
        (plain(500, "<html>Oops</html>"), FailureKind.UNAVAILABLE, None, 500),
        (plain(404, "<html>Where?</html>"), FailureKind.NOT_FOUND, None, 404),
        (refusal(400, ["odd"]), FailureKind.REFUSED, None, 400),
        (refusal(400, {"message": None, "code": None}), FailureKind.REFUSED, None, 400),
    ],
)
def test_every_refusal_has_its_kind_its_code_and_its_status(
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
        f"Twilio answered {status}{f', error {code}' if code else ''} ({kind.value})"
    )


@pytest.mark.parametrize("call", ["fetch", "list", "create"])
@pytest.mark.parametrize(
    "answer", [plain(200, "<html>Log in</html>"), plain(200, "ok"), plain(302, "Elsewhere")]
)
def test_an_answer_that_is_not_twilios_json_is_unreadable(
    twilio: Twilio, base_url: str, call: str, answer: Answer
) -> None:
    twilio.answer = answer
    failure = failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), call)
    assert failure.kind is FailureKind.UNREADABLE
    assert failure.sentence == "Twilio's API answered something that is not its JSON"


def test_a_list_without_its_records_is_unreadable(twilio: Twilio, base_url: str) -> None:
    twilio.answer = refusal(200, {"meta": {}, "a": 1, "b": 2})
    assert failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), "list").kind is FailureKind.UNREADABLE


def test_twilios_own_words_are_part_of_the_sentence(twilio: Twilio, base_url: str) -> None:
    twilio.answer = classic(404, 20404)
    sentence = failure_of(build_client(ACCOUNT, TOKEN, base_url, 5), "list").sentence
    assert sentence == "Twilio answered 404, error 20404 (not found): No such thing"


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = build_client(ACCOUNT, TOKEN, f"http://127.0.0.1:{listener.getsockname()[1]}", 0.05)
        failure = failure_of(client, "fetch")
    assert failure == ApiFailure(FailureKind.UNAVAILABLE, None, None, "Twilio's API did not answer in time")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (requests.ConnectionError(f"https://{TOKEN}@x"), "the connection to Twilio's API failed"),
        (requests.ReadTimeout(TOKEN), "Twilio's API did not answer in time"),
        (requests.exceptions.SSLError(TOKEN), "the certificate of Twilio's API was not accepted"),
        (requests.exceptions.ChunkedEncodingError(TOKEN), "the connection to Twilio's API failed"),
    ],
)
def test_a_failed_connection_is_told_without_the_address(error: Exception, sentence: str) -> None:
    assert describe_error(error) == ApiFailure(FailureKind.UNAVAILABLE, None, None, sentence)


def test_everything_goes_to_the_base_url_with_its_path(twilio: Twilio, base_url: str) -> None:
    client = build_client(ACCOUNT, TOKEN, base_url + "/", 5)
    client.messaging.v1.services(SERVICE).fetch()
    client.api.v2010.accounts(ACCOUNT).short_codes("SC" + "1" * 32).fetch()
    assert twilio.asked == [
        ("GET", f"/v1/Services/{SERVICE}", ""),
        ("GET", f"/2010-04-01/Accounts/{ACCOUNT}/SMS/ShortCodes/SC{'1' * 32}.json", ""),
    ]


def test_links_to_a_next_page_are_turned_to_the_base_url_too(twilio: Twilio, base_url: str) -> None:
    def page(request: Request) -> Response:
        first = "PageToken" not in request.query_params
        following = f"https://messaging.twilio.com{request.url.path}?PageToken=PT1" if first else None
        codes = [{"sid": "SC1" if first else "SC2"}]
        meta = {"key": "short_codes", "next_page_url": following}
        return JSONResponse({"meta": meta, "short_codes": codes})

    twilio.answer = page
    codes = build_client(ACCOUNT, TOKEN, base_url, 5).messaging.v1.services(SERVICE).short_codes.list()
    assert [code.sid for code in codes] == ["SC1", "SC2"]
    assert twilio.asked[1] == ("GET", f"/v1/Services/{SERVICE}/ShortCodes", "PageToken=PT1")


@pytest.mark.parametrize(
    "base_url",
    ["127.0.0.1:8900", "ftp://x", "http://", "http://x/prefix", "https://x?y=z", "messaging.twilio.com"],
)
def test_a_base_url_that_is_more_or_less_than_a_host_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"a scheme and a host, such as http://127\.0\.0\.1:8900"):
        build_client(ACCOUNT, TOKEN, base_url, 5)


def test_without_a_base_url_twilios_own_hosts_are_called_and_never_without_a_limit() -> None:
    client = build_client(ACCOUNT, TOKEN, "", 7.5)
    assert client.http_client.timeout == 7.5


def test_peoples_numbers_stay_out_of_the_log(
    twilio: Twilio, base_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", logger="twilio"):
        twilio.answer = refusal(200, {"messages": [], "next_page_uri": None})
        build_client(ACCOUNT, TOKEN, base_url, 5).messages.list(to="+14155550123")
    assert "+14155550123" in twilio.asked[0][2].replace("%2B", "+")
    assert not [record for record in caplog.records if record.name.startswith("twilio")]
