"""Messages forwarded to a second application under gunicorn, which verifies Twilio's signature."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from sms_router.sandbox.hosting import free_port
from sms_router.twilio.webhook_url import NumberUrls
from tests.end_to_end.conftest import SENDERS, StartRouter, publish_senders
from tests.end_to_end.router_process import (
    REPOSITORY,
    TOKEN,
    HttpResponse,
    RouterProcess,
    webhook,
    write_configuration,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

CONTACT = "+14155550123"
IDEMPOTENCY_TOKEN = "3a2f1c9e-0000-4000-8000-idempotency"


@dataclass(frozen=True, slots=True)
class Application:
    """The second application, and the requests that it has received."""

    url: str
    requests_file: Path

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests with a valid signature."""
        if not self.requests_file.exists():
            return []
        return [json.loads(line) for line in self.requests_file.read_text().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("upstream")
    port = free_port()
    command = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--no-control-socket", "tests.end_to_end.upstream_app:application"],
            cwd=REPOSITORY,
            env={**os.environ, "TWILIO_AUTH_TOKEN": TOKEN, "REQUESTS": str(folder / "requests")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for _ in range(500):
        if "Listening at" in (folder / "log").read_text() or process.poll() is not None:
            break
        time.sleep(0.02)
    yield Application(f"http://127.0.0.1:{port}", folder / "requests")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def application(server: Application) -> Application:
    server.requests_file.unlink(missing_ok=True)
    return server


StartForwardingRouter = Callable[[str], RouterProcess]


@pytest.fixture
def start_forwarding_router(start_router: StartRouter) -> StartForwardingRouter:
    """A function that starts a router whose keyword VOTE is a forward with the given TOML."""

    def start(forward: str) -> RouterProcess:
        rule = f'[[keyword]]\nwords = ["VOTE"]\nforward = {{ {forward} }}\n'
        return start_router("inline_deadline = 4.0", keywords=f'{rule}[default]\nreply = "Text VOTE."\n')

    return start


def messages(answer: HttpResponse) -> list[dict[str, Any]]:
    assert (answer.status, answer.media_type) == (200, "application/xml")
    return [
        {
            "text": message.findtext("Body") or "",
            "from": message.get("from"),
            "to": message.get("to"),
            "media": [media.text for media in message.findall("Media")],
        }
        for message in fromstring(answer.body).findall("Message")
    ]


def reply(
    text: str, sender: str = "12345", to: str | None = None, media: str | None = None
) -> dict[str, Any]:
    return {"text": text, "from": sender, "to": to, "media": [media] if media else []}


async def test_a_forward_is_the_request_that_twilio_would_send(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    router = start_forwarding_router(f'url = "{application.url}/votes?poll=7"')
    parameters = webhook("VOTE 7 & more", FromCity="ZÜRICH")
    headers = {"I-Twilio-Idempotency-Token": IDEMPOTENCY_TOKEN, "User-Agent": "TwilioProxy/1.1"}
    answer = await router.deliver(parameters, headers=headers)
    assert messages(answer) == [reply("Thanks for VOTE 7 & more.")]
    assert "statusCallback" in answer.text
    (request,) = application.requests
    assert (request["method"], request["url"]) == ("POST", f"{application.url}/votes?poll=7")
    assert request["parameters"] == {**parameters, "poll": "7"}
    assert request["headers"]["I-Twilio-Idempotency-Token"] == IDEMPOTENCY_TOKEN
    assert request["headers"]["User-Agent"] == "TwilioProxy/1.1"
    again = await router.deliver(parameters)
    assert again.body == answer.body
    assert len(application.requests) == 1


@pytest.mark.slow
async def test_a_forward_by_get_has_the_parameters_in_the_query(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    router = start_forwarding_router(f'url = "{application.url}/votes?poll=7", method = "GET"')
    parameters = webhook("VOTE 7+1 & 100%")
    assert messages(await router.deliver(parameters)) == [reply("Thanks for VOTE 7+1 & 100%.")]
    (request,) = application.requests
    assert (request["method"], request["parameters"]) == ("GET", {**parameters, "poll": "7"})


@pytest.mark.slow
async def test_every_worker_sends_the_cookies_of_the_contact_and_number(
    start_forwarding_router: StartForwardingRouter, start_router: StartRouter, application: Application
) -> None:
    first = start_forwarding_router(f'url = "{application.url}/count"')
    second = RouterProcess(first.folder, first.redis_url).start()
    try:
        texts = [
            messages(await router.deliver(webhook("VOTE", **changed)))[0]["text"]
            for router, changed in (
                (first, {}),
                (second, {}),
                (first, {}),
                (first, {"From": "+13105550123"}),
                (first, {"To": "+14155550100"}),
            )
        ]
    finally:
        second.kill()
    assert texts == ["Text number 1.", "Text number 2.", "Text number 3.", "Text number 1.", "Text number 1."]


async def test_senders_media_recipients_and_redirects_of_the_twiml_are_followed(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    router = start_forwarding_router(f'url = "{application.url}/rich"')
    await router.deliver(webhook("STOP", From="+14155559999"))
    answer = messages(await router.deliver(webhook("VOTE")))
    assert answer == [
        reply("from New York", "+12125550100"),
        reply("with a picture", media=f"{application.url}/owl.png"),
        reply("for somebody else", to="+13105550123"),
        reply("Thanks for VOTE."),
    ]
    assert "a message to +1415•••9999 is left out: the recipient has opted out" in router.log
    assert "+14155559999" not in router.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/moved", [reply("Thanks for VOTE.")]),
        ("/plain", [reply("plain text & nothing else")]),
        ("/silent", []),
    ],
)
async def test_http_redirects_plain_text_and_empty_answers_are_accepted(
    start_forwarding_router: StartForwardingRouter,
    application: Application,
    path: str,
    expected: list[dict[str, Any]],
) -> None:
    router = start_forwarding_router(f'url = "{application.url}{path}"')
    assert messages(await router.deliver(webhook("VOTE"))) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("primary", "code"),
    [("{url}/fails", 11200), ("{url}/hangs", 11200), ("http://127.0.0.1:{dead}/sms", 11205)],
)
async def test_the_fallback_url_receives_the_error_and_answers_in_time(
    start_forwarding_router: StartForwardingRouter, application: Application, primary: str, code: int
) -> None:
    primary = primary.format(url=application.url, dead=free_port())
    router = start_forwarding_router(f'url = "{primary}", fallback_url = "{application.url}/backup"')
    parameters = webhook("VOTE")
    answer = await router.deliver(parameters)
    assert messages(answer) == [reply(f"Backup: {code} of {primary}")]
    shown = router.command("messages", "show", parameters["MessageSid"], "--json").stdout
    assert f"forwarded to {primary.removeprefix('http://')}: {code}" in shown
    assert f"answered by {application.url.removeprefix('http://')}/backup" in shown


async def test_when_both_urls_fail_the_contact_gets_the_error_reply_and_the_message_is_a_dead_letter(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    dead = free_port()
    router = start_forwarding_router(
        f'url = "http://user:hush@127.0.0.1:{dead}/a?k=v", fallback_url = "{application.url}/fails"'
    )
    parameters = webhook("VOTE")
    assert messages(await router.deliver(parameters)) == [reply("Sorry, that failed.")]
    (dead_letter,) = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert dead_letter["sid"] == parameters["MessageSid"]
    assert f"127.0.0.1:{dead}/a: 11205 no connection" in json.dumps(dead_letter)
    assert "/fails: 11200 HTTP 500" in json.dumps(dead_letter)
    assert "hush" not in json.dumps(dead_letter) + router.log
    assert "k=v" not in json.dumps(dead_letter) + router.log


@pytest.mark.slow
async def test_an_upstream_that_keeps_failing_is_not_called_and_is_reported(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    router = start_forwarding_router(f'url = "{dead}/sms", fallback_url = "{application.url}/backup"')
    for _ in range(8):
        (answer,) = messages(await router.deliver(webhook("VOTE")))
        assert answer["text"] == f"Backup: 11205 of {dead}/sms"
    status = json.loads((await router.fetch("/readyz")).body)
    assert status["status"] == "degraded"
    assert any(f"{dead} is not called, because it keeps failing" in reason for reason in status["reasons"])
    metrics = (await router.fetch("/metrics")).text
    assert f'sms_router_upstream_open{{upstream="{dead}"}} 1.0' in metrics
    assert f'sms_router_upstream_failures_total{{upstream="{dead}"}} 5.0' in metrics
    assert f'sms_router_upstream_held_back_total{{upstream="{dead}"}} 3.0' in metrics
    assert f'sms_router_upstream_open{{upstream="{application.url} (as fallback)"}} 0.0' in metrics
    assert router.log.count(f"{dead} keeps failing and is not called for now") == 1


@pytest.mark.slow
async def test_messages_without_a_rule_are_forwarded_to_the_url_of_their_number(
    start_router: StartRouter, valkey: PrivateValkey, application: Application
) -> None:
    urls = {
        SENDERS[2].sid: NumberUrls("New York", f"{application.url}/votes", "GET"),
        SENDERS[1].sid: NumberUrls("San Francisco", "https://sms.example.com/sms"),
    }
    await publish_senders(valkey.url, urls, version=9)
    router = start_router("number_urls = true")
    for body, number, expected in (
        ("anything", "+12125550100", "Thanks for anything."),
        ("YES", "+12125550100", "Thanks for YES."),
        ("HOURS", "+12125550100", "We are open 9 to 5, SAN FRANCISCO."),
        ("anything", "+14155550100", "Text HOURS."),
        ("anything", "12345", "Text HOURS."),
    ):
        assert messages(await router.deliver(webhook(body, To=number))) == [reply(expected)]
    assert {request["method"] for request in application.requests} == {"GET"}
    assert "the sms_url of +14155550100 at Twilio is the router's own" in router.log
    explained = router.command("explain", CONTACT, "anything", "--to", "+12125550100").stdout
    assert f"forwarded to {application.url.removeprefix('http://')}/votes (GET)" in " ".join(
        explained.split()
    )


@pytest.mark.slow
async def test_the_commands_show_forwards_without_secrets(
    start_forwarding_router: StartForwardingRouter,
) -> None:
    router = start_forwarding_router(
        'url = "https://user:pass@votes.example.com/sms?key=secret", fallback_url = "https://b.example/x"'
    )
    for command in (("explain", CONTACT, "VOTE 7"), ("keywords", "--json")):
        output = router.command(*command).stdout
        assert "forwarded to votes.example.com/sms (POST), on failure to b.example/x (POST)" in output
        assert "pass" not in output
        assert "secret" not in output
    folder = write_configuration(router.folder)
    (folder / "keywords.toml").write_text(
        '[[keyword]]\nwords = ["A"]\nforward = { url = "votes.example.com" }\n'
    )
    refused = router.command("check", "--no-twilio")
    assert refused.returncode == 1
    assert "keyword[1].forward.url: must begin with https://" in refused.stdout + refused.stderr


@pytest.mark.slow
async def test_a_stop_waits_for_a_forward_in_progress(
    start_forwarding_router: StartForwardingRouter, application: Application
) -> None:
    router = start_forwarding_router(f'url = "{application.url}/hangs"')
    delivery = asyncio.create_task(router.deliver(webhook("VOTE")))
    await wait_until(lambda: application.requests)
    assert await asyncio.to_thread(router.stop) == 0
    assert (await delivery).status == 200
    assert "Unclosed" not in router.log
