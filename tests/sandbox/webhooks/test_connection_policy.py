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
    ConnectionPolicy,
    InvalidOverrideError,
    WebhookFailureKind,
    apply_overrides,
)
from tests.sandbox.customer_application import twiml
from tests.sandbox.sandbox_fixture import PHONE, PRAIRIE_PHONE, SAN_FRANCISCO, SERVICE, SandboxFixture

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
    assert apply_overrides(f"https://example.com/sms{fragment}", TWILIO) == policy


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
def test_an_invalid_override_has_a_code(fragment: str, code: int) -> None:
    with pytest.raises(InvalidOverrideError) as invalid:
        apply_overrides(f"https://example.com/sms#{fragment}", TWILIO)
    assert invalid.value.code == code


async def _configure(sandbox: SandboxFixture, url: str) -> None:
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))


async def test_an_invalid_override_calls_the_fallback(sandbox: SandboxFixture) -> None:
    await _configure(sandbox, f"{sandbox.customer.url}/sms#rp=often")
    result = await sandbox.text("Hello")
    assert [request.path for request in sandbox.customer.requests] == ["/sms/fallback"]
    assert sandbox.customer.requests[0].form["ErrorCode"] == "11243"
    assert result["webhook"]["outcome"] == "answered by the fallback"


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
async def test_an_override_sets_what_is_retried_how_often(
    sandbox: SandboxFixture, fragment: str, status: int, times: int
) -> None:
    await _configure(sandbox, f"{sandbox.customer.url}/sms{fragment}")
    sandbox.customer.pages["/sms"] = Response(status_code=status)
    await sandbox.text("Hello")
    requests = sandbox.customer.requests_to("/sms")
    assert len(requests) == times
    assert len({request.headers["i-twilio-idempotency-token"] for request in requests}) == 1
    assert "#" not in requests[0].url


async def test_a_retry_can_succeed(sandbox: SandboxFixture) -> None:
    answers = [Response(status_code=503), twiml("<Message>Hello</Message>")]

    async def page() -> Response:
        return answers.pop(0)

    await _configure(sandbox, f"{sandbox.customer.url}/sms#rp=5xx")
    sandbox.customer.pages["/sms"] = page
    result = await sandbox.text("Hello")
    assert [message["body"] for message in result["messages"]] == ["Hello"]
    assert await sandbox.alert_codes() == []


async def test_an_override_can_switch_retries_off(sandbox: SandboxFixture) -> None:
    await _configure(sandbox, f"http://127.0.0.1:{free_port()}/sms#rc=0&rp=all")
    result = await sandbox.text("Hello")
    assert [request["error_code"] for request in result["webhook"]["requests"]] == [11205, None]


async def test_credentials_are_sent_only_after_a_challenge(sandbox: SandboxFixture) -> None:
    url = sandbox.customer.url.replace("://", "://bob:p%40ss@")
    await _configure(sandbox, f"{url}/sms")
    await sandbox.text("Hello")
    assert "authorization" not in sandbox.customer.requests[0].headers
    sandbox.customer.requests.clear()
    challenge = {"WWW-Authenticate": 'Basic realm="sms"'}
    sandbox.customer.pages["/sms"] = Response(status_code=401, headers=challenge)
    result = await sandbox.text("Hello")
    first, second, _ = sandbox.customer.requests
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Basic " + base64.b64encode(b"bob:p@ss").decode()
    assert first.url == second.url == f"{sandbox.customer.url}/sms"
    validator = RequestValidator(sandbox.world.auth_token)
    assert validator.validate(second.url, dict(second.form), second.headers["x-twilio-signature"])
    assert result["webhook"]["requests"][0]["reason"] == "HTTP 401"


@pytest.mark.parametrize("challenge", [{}, {"WWW-Authenticate": "Bearer"}])
async def test_a_401_without_a_basic_challenge_is_a_failure(
    sandbox: SandboxFixture, challenge: dict[str, str]
) -> None:
    url = sandbox.customer.url.replace("://", "://bob:secret@")
    await _configure(sandbox, f"{url}/sms")
    sandbox.customer.pages["/sms"] = Response(status_code=401, headers=challenge)
    await sandbox.text("Hello")
    assert len(sandbox.customer.requests_to("/sms")) == 1


async def test_cookies_are_kept_per_pair_of_numbers_for_four_hours(sandbox: SandboxFixture) -> None:
    sandbox.customer.pages["/sms"] = Response(
        "<Response/>", media_type="application/xml", headers={"Set-Cookie": "step=2; Path=/"}
    )

    async def sent(sender: str = PHONE, to: str = SAN_FRANCISCO) -> str | None:
        await sandbox.text("Hello", to, sender=sender)
        return sandbox.customer.requests[-1].headers.get("cookie")

    assert await sent() is None
    assert await sent() == "step=2"
    assert await sent(sender=PRAIRIE_PHONE) is None
    assert await sent(to="12345") is None
    sandbox.clock.advance(4 * 3600)
    assert await sent() == "step=2"
    sandbox.clock.advance(4 * 3600 + 1)
    assert await sent() is None


async def test_a_cookie_that_python_refuses_is_ignored(
    sandbox: SandboxFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python is made as strict as the patched ones."""
    lenient = Morsel.__setitem__

    def strict(morsel: Morsel[Any], name: str, value: Any) -> None:
        if re.search("[\x00-\x1f\x7f]", str(value)):
            raise CookieError(name)
        lenient(morsel, name, value)

    monkeypatch.setattr(Morsel, "__setitem__", strict)
    url = f"{sandbox.customer.url}/a%01/sms"
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(inbound_request_url=url))
    sandbox.customer.pages["/a\x01/sms"] = page = twiml("<Message>Hi</Message>")
    page.headers["Set-Cookie"] = "step=2"
    result = await sandbox.text("Hello")
    assert [message["body"] for message in result["messages"]] == ["Hi"]
