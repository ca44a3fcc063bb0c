"""Connection overrides in a webhook's URL (facts 1.4), and credentials and cookies (facts 1.5)."""

import base64
import re
from http.cookies import CookieError, Morsel
from typing import Any

import pytest
from starlette.responses import Response
from twilio.request_validator import RequestValidator

from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.webhooks.connection_policy import (
    BadOverride,
    ConnectionPolicy,
    WebhookFailureKind,
    overridden,
)
from tests.sandbox.bench import PHONE, PRAIRIE_PHONE, SAN_FRANCISCO, SERVICE, Bench
from tests.sandbox.customer import twiml

TWILIO = ConnectionPolicy()


@pytest.mark.parametrize(
    ("fragment", "policy"),
    [
        ("", TWILIO),
        ("#top", TWILIO),
        ("#section=2", TWILIO),
        ("#ct=100&rt=200&tt=300", ConnectionPolicy(connect=0.1, read=0.2, total=0.3)),
        ("#rc=5", ConnectionPolicy(retries=5)),
        ("#rc=0&sni=n&e=ashburn,dublin", ConnectionPolicy(retries=0)),
        (
            "#rp=5xx,rt",
            ConnectionPolicy(retried=frozenset({WebhookFailureKind.SERVER_ERROR, WebhookFailureKind.READ})),
        ),
        ("#rp=all", ConnectionPolicy(retried=frozenset(WebhookFailureKind))),
        ("#rp=4xx,all", ConnectionPolicy(retried=frozenset(WebhookFailureKind))),
    ],
)
def test_a_fragment_overrides_twilios_defaults(fragment: str, policy: ConnectionPolicy) -> None:
    assert overridden(f"https://example.com/sms{fragment}", TWILIO) == policy


@pytest.mark.parametrize(
    ("fragment", "code"),
    [
        ("e=Ashburn!", 11240),
        ("e=", 11240),
        ("e=paris", 11241),
        ("e=ashburn,paris-ix", 11241),
        ("e=ashburn-ix", 11242),
        ("rp=6xx", 11243),
        ("rp=", 11243),
        ("rc=6", 11100),
        ("ct=99", 11100),
        ("rt=15001", 11100),
        ("tt=soon", 11100),
        ("sni=maybe", 11100),
    ],
)
def test_a_bad_override_has_a_code(fragment: str, code: int) -> None:
    bad = overridden(f"https://example.com/sms#{fragment}", TWILIO)
    assert isinstance(bad, BadOverride)
    assert bad.code == code


async def _configure(bench: Bench, url: str) -> None:
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))


async def test_a_bad_override_keeps_the_application_from_being_asked(bench: Bench) -> None:
    await _configure(bench, f"{bench.customer.url}/sms#rp=often")
    told = await bench.text("Hello")
    assert [asked.path for asked in bench.customer.asked] == ["/sms/fallback"]
    assert bench.customer.asked[0].form["ErrorCode"] == "11243"
    assert told["webhook"]["outcome"] == "answered by the fallback"


@pytest.mark.parametrize(
    ("fragment", "status", "times"),
    [
        ("", 500, 1),
        ("#rp=5xx", 500, 2),
        ("#rp=5xx&rc=3", 503, 4),
        ("#rp=4xx&rc=3", 500, 1),
        ("#rp=all&rc=2", 404, 3),
        ("#rp=5xx&rc=0", 500, 1),
    ],
)
async def test_a_failed_page_is_asked_again_where_the_url_says_so(
    bench: Bench, fragment: str, status: int, times: int
) -> None:
    await _configure(bench, f"{bench.customer.url}/sms{fragment}")
    bench.customer.pages["/sms"] = Response(status_code=status)
    await bench.text("Hello")
    asked = bench.customer.asked_at("/sms")
    assert len(asked) == times
    assert len({each.headers["i-twilio-idempotency-token"] for each in asked}) == 1
    assert "#" not in asked[0].url


async def test_a_retry_that_succeeds_is_an_answer(bench: Bench) -> None:
    answers = [Response(status_code=503), twiml("<Message>Hello</Message>")]

    async def page() -> Response:
        return answers.pop(0)

    await _configure(bench, f"{bench.customer.url}/sms#rp=5xx")
    bench.customer.pages["/sms"] = page
    told = await bench.text("Hello")
    assert [message["body"] for message in told["messages"]] == ["Hello"]
    assert await bench.alert_codes() == []


async def test_no_retry_is_made_where_none_is_wanted(bench: Bench) -> None:
    await _configure(bench, f"http://127.0.0.1:{free_port()}/sms#rc=0&rp=all")
    told = await bench.text("Hello")
    assert [request["error_code"] for request in told["webhook"]["requests"]] == [11205, None]


async def test_credentials_are_sent_only_when_they_are_asked_for(bench: Bench) -> None:
    url = bench.customer.url.replace("://", "://bob:p%40ss@")
    await _configure(bench, f"{url}/sms")
    await bench.text("Hello")
    assert "authorization" not in bench.customer.asked[0].headers
    bench.customer.asked.clear()
    challenge = {"WWW-Authenticate": 'Basic realm="sms"'}
    bench.customer.pages["/sms"] = Response(status_code=401, headers=challenge)
    told = await bench.text("Hello")
    first, second, _ = bench.customer.asked
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Basic " + base64.b64encode(b"bob:p@ss").decode()
    assert first.url == second.url == f"{bench.customer.url}/sms"
    validator = RequestValidator(bench.world.auth_token)
    assert validator.validate(second.url, dict(second.form), second.headers["x-twilio-signature"])
    assert told["webhook"]["requests"][0]["reason"] == "HTTP 401"


@pytest.mark.parametrize("challenge", [{}, {"WWW-Authenticate": "Bearer"}])
async def test_a_401_that_asks_for_nothing_twilio_has_is_a_failure(
    bench: Bench, challenge: dict[str, str]
) -> None:
    url = bench.customer.url.replace("://", "://bob:secret@")
    await _configure(bench, f"{url}/sms")
    bench.customer.pages["/sms"] = Response(status_code=401, headers=challenge)
    await bench.text("Hello")
    assert len(bench.customer.asked_at("/sms")) == 1


async def test_cookies_belong_to_a_pair_of_numbers_for_four_hours(bench: Bench) -> None:
    bench.customer.pages["/sms"] = Response(
        "<Response/>", media_type="application/xml", headers={"Set-Cookie": "step=2; Path=/"}
    )

    async def sent(sender: str = PHONE, to: str = SAN_FRANCISCO) -> str | None:
        await bench.text("Hello", to, sender=sender)
        return bench.customer.asked[-1].headers.get("cookie")

    assert await sent() is None
    assert await sent() == "step=2"
    assert await sent(sender=PRAIRIE_PHONE) is None
    assert await sent(to="12345") is None
    bench.clock.advance(4 * 3600)
    assert await sent() == "step=2"
    bench.clock.advance(4 * 3600 + 1)
    assert await sent() is None


async def test_a_cookie_that_python_refuses_costs_no_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python is made as strict as the patched ones."""
    lenient = Morsel.__setitem__

    def strict(morsel: Morsel[Any], name: str, value: Any) -> None:
        if re.search("[\x00-\x1f\x7f]", str(value)):
            raise CookieError(name)
        lenient(morsel, name, value)

    monkeypatch.setattr(Morsel, "__setitem__", strict)
    url = f"{bench.customer.url}/a%01/sms"
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
    bench.customer.pages["/a\x01/sms"] = page = twiml("<Message>Hi</Message>")
    page.headers["Set-Cookie"] = "step=2"
    told = await bench.text("Hello")
    assert [message["body"] for message in told["messages"]] == ["Hi"]
