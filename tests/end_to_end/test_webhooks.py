"""The responses of a running router to Twilio's webhooks and to other requests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import pytest

from sms_router.twilio.signature import Algorithm, sign
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import (
    ACCOUNT,
    PUBLIC,
    SECONDARY,
    TOKEN,
    RouterProcess,
    signature,
    webhook,
    write_configuration,
)
from tests.store.private_valkey import PrivateValkey

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def module_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    server = PrivateValkey(tmp_path_factory.mktemp("v"), appendfsync="everysec")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, module_valkey: PrivateValkey) -> Iterator[RouterProcess]:
    folder = write_configuration(tmp_path_factory.mktemp("c"))
    with (folder / "router.toml").open("a") as file:
        file.write(
            f'\n[[accounts]]\nsid = "{ACCOUNT}"\nauth_token = "replaced by the environment"\n'
            'shared_keys = [{ id = "webhooks_sharedkey_1", secret = "shared-secret" }]\n'
        )
    running = RouterProcess(folder, module_valkey.url).start()
    yield running
    assert running.stop() == 0


async def test_a_signed_post_is_answered_with_twiml(router: RouterProcess) -> None:
    answer = await router.deliver(webhook("hours?"))
    assert (answer.status, answer.media_type) == (200, "application/xml")
    message = fromstring(answer.body).find("Message")
    assert message is not None
    assert message.findtext("Body") == "We are open 9 to 5, SAN FRANCISCO."
    assert message.get("from") == "12345"
    assert message.get("action") == message.get("statusCallback")
    assert str(message.get("action")).startswith(f"{PUBLIC}/sms/status?reply=SM")


async def test_a_signed_get_is_answered_with_twiml(router: RouterProcess) -> None:
    answer = await router.deliver(webhook("HOURS"), method="GET")
    assert (answer.status, answer.media_type) == (200, "application/xml")
    assert "SAN FRANCISCO" in answer.text


@pytest.mark.parametrize(("sent", "signed"), [("'", "'"), ("'", "%27"), ("%27", "'"), ("%27", "%27")])
async def test_an_apostrophe_in_a_signed_get_may_be_escaped_or_not(
    router: RouterProcess, sent: str, signed: str
) -> None:
    query = urlencode(webhook("HOURS what's up"))
    signature_of_spelling = signature(f"{PUBLIC}/sms?{query.replace('%27', signed)}", {})
    headers = {"X-Twilio-Signature": signature_of_spelling}
    answer = await router.send("GET", f"/sms?{query.replace('%27', sent)}", b"", headers)
    assert (answer.status, answer.media_type) == (200, "application/xml")


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", {"Content-Type": FORM}), ("POST", {})])
@pytest.mark.parametrize(("accounts", "status"), [(1, 400), (2, 403)])
async def test_parameters_that_a_redirect_has_dropped_are_explained(
    start_router: StartRouter, method: str, headers: dict[str, str], accounts: int, status: int
) -> None:
    entry = '[[accounts]]\nsid = "{}"\nauth_token = "{}"\n'
    sids = [ACCOUNT, "AC" + "9" * 32][:accounts]
    router = start_router("\n".join(entry.format(sid, "t" * 32) for sid in sids))
    signed = {"X-Twilio-Signature": signature(f"{PUBLIC}/sms", {})}
    answer = await router.send(method, "/sms", b"", {**signed, **headers})
    assert (answer.status, answer.body) == (status, b"")
    sentence = f"Twilio signed a {method} without parameters: a redirect in front of the router"
    assert sentence in router.log
    assert sentence in (await router.fetch("/readyz")).text


async def test_a_body_that_a_proxy_has_dropped_is_explained(router: RouterProcess) -> None:
    signed = {"X-Twilio-Signature": signature(f"{PUBLIC}/sms", webhook("HOURS")), "Content-Type": FORM}
    assert (await router.send("POST", "/sms", b"", signed)).status == 403
    assert "a proxy in front of the router drops the body and must pass it unchanged" in router.log


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/sms", "GET, POST"), ("/sms/fallback", "GET, POST"), ("/sms/status", "POST")],
)
@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("PUT", {"Content-Type": FORM}, b"a=b", 405),
        ("DELETE", {}, b"", 405),
        ("HEAD", {}, b"", 405),
        ("POST", {"Content-Type": "application/json"}, b"{}", 415),
        ("POST", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
        ("POST", {"Content-Type": "text/plain"}, b"Body=x", 415),
        ("POST", {"Content-Type": FORM}, b"Body=" + b"x" * 65_536, 413),
        ("POST", {"Content-Type": FORM}, b"Body=%FF", 400),
        ("POST", {"Content-Type": FORM}, b"&".join([b"a=1"] * 1001), 400),
        ("POST", {"Content-Type": FORM}, b"", 403),
        ("POST", {"Content-Type": FORM}, b"From=%2B1415&To=12345&MessageSid=SM1", 403),
        ("POST", {"Content-Type": FORM, "X-Twilio-Signature": "x" * 28}, b"Body=HOURS", 403),
        ("GET", {}, b"", 403),
    ],
)
async def test_requests_other_than_twilios_webhooks_are_refused(
    router: RouterProcess,
    path: str,
    allowed: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    answer = await router.send(method, path, body, headers)
    assert (answer.status, answer.body) == (405 if method not in allowed else status, b"")
    if answer.status == 405:
        assert answer.headers["Allow"] == allowed


async def test_a_status_callback_by_get_is_refused(router: RouterProcess) -> None:
    answer = await router.deliver({"MessageSid": "SM" + "e" * 32}, path="/sms/status", method="GET")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("media_type", [FORM.upper(), f"{FORM}; charset=UTF-8", f" {FORM} ;q=1"])
async def test_parameters_and_letter_case_of_the_media_type_are_ignored(
    router: RouterProcess, media_type: str
) -> None:
    answer = await router.deliver(webhook(), headers={"Content-Type": media_type})
    assert answer.status == 200


@pytest.mark.parametrize("name", ["MessageSid", "From", "To", "AccountSid"])
async def test_a_signed_request_without_a_required_parameter_is_malformed(
    router: RouterProcess, name: str
) -> None:
    parameters = webhook()
    del parameters[name]
    answer = await router.deliver(parameters)
    assert (answer.status, answer.body) == (400, b"")


async def test_a_chunked_body_over_the_limit_is_refused(router: RouterProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(
        b"POST /sms HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(20):
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    answer = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 413 " in answer


@pytest.mark.parametrize(
    "changed", [{"To": "54321"}, {"Body": "HOURS "}, {"Unknown": ""}, {"AccountSid": "AC" + "9" * 32}]
)
async def test_a_request_changed_after_signing_is_refused(
    router: RouterProcess, changed: dict[str, str]
) -> None:
    parameters = webhook()
    signed = signature(f"{PUBLIC}/sms", parameters)
    body = urlencode({**parameters, **changed}).encode()
    answer = await router.send("POST", "/sms", body, {"Content-Type": FORM, "X-Twilio-Signature": signed})
    assert (answer.status, answer.body) == (403, b"")


async def test_signatures_of_both_auth_tokens_are_accepted(router: RouterProcess) -> None:
    for token, status in ((TOKEN, 200), (SECONDARY, 200), ("another", 403)):
        answer = await router.deliver(webhook(), token=token)
        assert answer.status == status


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_signature_of_a_shared_key_is_accepted_in_place_of_the_auth_token(
    router: RouterProcess, algorithm: Algorithm
) -> None:
    parameters = webhook()
    signed = sign(f"{PUBLIC}/sms", list(parameters.items()), "shared-secret", algorithm)
    settings = f"key=webhooks_sharedkey_1,algorithm={algorithm.value}"
    headers = {"X-Twilio-Signature": signed, "X-Twilio-Webhooks-Signature-Settings": settings}
    assert (await router.deliver(parameters, headers=headers)).status == 200
    by_token = {"X-Twilio-Webhooks-Signature-Settings": settings}
    assert (await router.deliver(webhook(), headers=by_token)).status == 403


async def test_the_query_of_the_webhook_url_is_part_of_the_signature(router: RouterProcess) -> None:
    answer = await router.deliver(webhook(), path="/sms?brand=a%20b&empty=")
    assert answer.status == 200
    assert "SAN FRANCISCO" in answer.text


async def test_a_refusal_is_diagnosed_in_the_log_without_secrets(router: RouterProcess) -> None:
    parameters = webhook("a private word")
    signed = signature("http://sms.example.com/sms", parameters)
    await asyncio.sleep(1.1)  # diagnoses are rate-limited, and the tests before may have used them up
    await router.deliver(parameters, headers={"X-Twilio-Signature": signed})
    assert "a request refused" in router.log
    assert "http" in router.log.splitlines()[-1]
    await router.deliver(parameters, headers={"X-Twilio-Signature": "short"})
    assert router.log.splitlines()[-1].count("has the wrong length") == 1
    assert "refused by this worker" in (await router.fetch("/readyz")).text
    for secret in (TOKEN, SECONDARY, signed, "a private word", "+14155550123"):
        assert secret not in router.log


async def test_a_webhook_to_an_unknown_path_is_answered_404(router: RouterProcess) -> None:
    for path in ("/", "/sms/", "/sms/other", "/console2"):
        answer = await router.deliver(webhook(), path=path)
        assert answer.status == 404


async def test_a_status_callback_is_answered_204(router: RouterProcess) -> None:
    receipt = {
        "MessageSid": "SM" + "e" * 32,
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": "+14155550123",
        "MessageStatus": "delivered",
        "ApiVersion": "2010-04-01",
    }
    for path in ("/sms/status", "/sms/status?reply=SM" + "a" * 32 + ".0"):
        answer = await router.deliver(receipt, path=path)
        assert (answer.status, answer.body) == (204, b"")
    assert (await router.deliver(receipt, path="/sms/status", token="another")).status == 403
    unknown = {**receipt, "MessageStatus": "not-a-status"}
    assert (await router.deliver(unknown, path="/sms/status")).status == 204
    many = "/sms/status?" + "&".join(f"a{number}=1" for number in range(40))
    assert (await router.deliver(receipt, path=many)).status == 204


async def test_the_probes_and_the_metrics_answer(router: RouterProcess) -> None:
    assert '"alive"' in (await router.fetch("/healthz")).text
    ready = await router.fetch("/readyz")
    assert ready.status == 200
    await router.deliver(webhook())
    metrics = await router.fetch("/metrics")
    assert re.search(r'^sms_router_messages_total\{outcome="reply"\} [1-9]', metrics.text, re.MULTILINE)
    assert re.search(r"^sms_router_answer_seconds_count [1-9]", metrics.text, re.MULTILINE)


async def test_an_opt_out_word_that_twilio_has_answered_gets_no_reply(router: RouterProcess) -> None:
    answer = await router.deliver(webhook("STOP", OptOutType="STOP", From="+14155550199"))
    assert answer.body == b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


async def test_a_template_that_fails_gives_the_error_reply(router: RouterProcess) -> None:
    answer = await router.deliver(webhook("broken"))
    assert answer.status == 200
    assert "Sorry, that failed." in answer.text
    assert "division" not in answer.text


async def test_warn_mode_accepts_and_counts_requests_that_it_would_refuse(start_router: StartRouter) -> None:
    router = start_router('signature = "warn"')
    answer = await router.deliver(webhook(), token="another")
    assert answer.status == 200
    assert "would be refused" in router.log
    metrics = await router.fetch("/metrics")
    assert 'sms_router_would_refuse_total{reason="wrong_signature"} 1.0' in metrics.text
    form = {"Content-Type": FORM}
    assert (await router.send("POST", "/sms", urlencode(webhook("HOURS")).encode(), form)).status == 200
    assert (await router.send("POST", "/sms", f"AccountSid={ACCOUNT}".encode(), form)).status == 400
    wrong = {**form, "X-Twilio-Signature": "A" * 28}
    assert (await router.send("POST", "/sms", f"AccountSid={ACCOUNT}".encode(), wrong)).status == 400
    assert "an unverified request is not a message: MessageSid is missing" in router.log
    assert 'an unsigned request would be refused (signature = "warn" lets it in)' in router.log
    assert "an unsigned request is not a message: MessageSid is missing" in router.log
    assert "a signed request is not" not in router.log


async def test_the_path_of_the_public_url_may_be_removed_by_the_proxy(
    start_router: StartRouter,
) -> None:
    router = start_router(environment={"PUBLIC_URL": f"{PUBLIC}/keep"})
    unchanged = await router.deliver(webhook("HOURS"), path="/keep/sms")
    parameters = webhook("HOURS")
    signed = {"X-Twilio-Signature": signature(f"{PUBLIC}/keep/sms", parameters)}
    removed = await router.deliver(parameters, path="/sms", headers=signed)
    for answer in (unchanged, removed):
        assert answer.status == 200
        assert f"{PUBLIC}/keep/sms/status?reply=" in answer.text
    unprefixed = {"X-Twilio-Signature": signature(f"{PUBLIC}/sms", parameters)}
    for path in ("/keep/sms", "/sms"):
        assert (await router.deliver(parameters, path=path, headers=unprefixed)).status == 403
    assert (await router.deliver(webhook("HOURS"), path="/keep/keep/sms")).status == 404
