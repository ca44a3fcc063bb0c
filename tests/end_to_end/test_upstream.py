"""Texts forwarded to a second application: a real one, under gunicorn, that checks Twilio's signature."""

from __future__ import annotations

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
from redis.asyncio import Redis

from sms_router.membership.snapshot import NumberUrls, ServiceProperties, Snapshot
from sms_router.membership.snapshot_store import SnapshotStore
from sms_router.sandbox.hosting import free_port
from tests.end_to_end.conftest import SENDERS, StartRouter
from tests.end_to_end.router_process import (
    ACCOUNT,
    REPOSITORY,
    SERVICE,
    TOKEN,
    HttpResponse,
    RouterProcess,
    webhook,
    write_configuration,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

CONTACT = "+14155550123"
IDEMPOTENCY = "3a2f1c9e-0000-4000-8000-idempotency"


@dataclass(frozen=True, slots=True)
class Application:
    """The second application, and what it was asked."""

    url: str
    asked_file: Path

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Every request that was truly signed."""
        if not self.asked_file.exists():
            return []
        return [json.loads(line) for line in self.asked_file.read_text().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("upstream")
    port = free_port()
    command = ["-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "8"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--no-control-socket", "tests.end_to_end.upstream_app:application"],
            cwd=REPOSITORY,
            env={**os.environ, "TWILIO_AUTH_TOKEN": TOKEN, "REQUESTS": str(folder / "asked")},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for _ in range(500):
        if "Listening at" in (folder / "log").read_text() or process.poll() is not None:
            break
        time.sleep(0.02)
    yield Application(f"http://127.0.0.1:{port}", folder / "asked")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def application(server: Application) -> Application:
    server.asked_file.unlink(missing_ok=True)
    return server


Forwarding = Callable[..., RouterProcess]


@pytest.fixture
def forwarding(start_router: StartRouter) -> Forwarding:
    """Start a router whose keyword VOTE is a forward, written as in keywords.toml."""

    def begin(table: str, more: str = "inline_deadline = 4.0") -> RouterProcess:
        rule = f'[[keyword]]\nwords = ["VOTE"]\nforward = {{ {table} }}\n'
        return start_router(more, keywords=f'{rule}[default]\nreply = "Text VOTE."\n')

    return begin


def messages(answer: HttpResponse) -> list[dict[str, Any]]:
    assert (answer.status, answer.media_type) == (200, "application/xml")
    return [
        {
            "text": each.findtext("Body") or "",
            "from": each.get("from"),
            "to": each.get("to"),
            "media": [media.text for media in each.findall("Media")],
        }
        for each in fromstring(answer.body).findall("Message")
    ]


def said(text: str, sender: str = "12345", to: str | None = None, media: str | None = None) -> dict[str, Any]:
    return {"text": text, "from": sender, "to": to, "media": [media] if media else []}


async def test_the_application_is_called_as_twilio_calls_it(
    forwarding: Forwarding, application: Application
) -> None:
    router = forwarding(f'url = "{application.url}/votes?poll=7"')
    parameters = webhook("VOTE 7 & more", FromCity="ZÜRICH")
    headers = {"I-Twilio-Idempotency-Token": IDEMPOTENCY, "User-Agent": "TwilioProxy/1.1"}
    answer = await router.deliver(parameters, headers=headers)
    assert messages(answer) == [said("Thanks for VOTE 7 & more.")]
    assert "statusCallback" in answer.text
    (asked,) = application.asked
    assert (asked["method"], asked["url"]) == ("POST", f"{application.url}/votes?poll=7")
    assert asked["parameters"] == {**parameters, "poll": "7"}
    assert asked["headers"]["I-Twilio-Idempotency-Token"] == IDEMPOTENCY
    assert asked["headers"]["User-Agent"] == "TwilioProxy/1.1"
    again = await router.deliver(parameters)
    assert again.body == answer.body
    assert len(application.asked) == 1


@pytest.mark.slow
async def test_get_puts_the_parameters_into_the_query(
    forwarding: Forwarding, application: Application
) -> None:
    router = forwarding(f'url = "{application.url}/votes?poll=7", method = "GET"')
    parameters = webhook("VOTE 7+1 & 100%")
    assert messages(await router.deliver(parameters)) == [said("Thanks for VOTE 7+1 & 100%.")]
    (asked,) = application.asked
    assert (asked["method"], asked["parameters"]) == ("GET", {**parameters, "poll": "7"})


@pytest.mark.slow
async def test_cookies_are_kept_for_each_person_and_number_on_any_worker(
    forwarding: Forwarding, start_router: StartRouter, application: Application
) -> None:
    first = forwarding(f'url = "{application.url}/count"')
    second = RouterProcess(first.folder, first.redis_url).start()
    try:
        texts = [
            messages(await router.deliver(webhook("VOTE", **who)))[0]["text"]
            for router, who in (
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


async def test_senders_media_recipients_and_redirects(
    forwarding: Forwarding, application: Application
) -> None:
    router = forwarding(f'url = "{application.url}/rich"')
    await router.deliver(webhook("STOP", From="+14155559999"))
    answer = messages(await router.deliver(webhook("VOTE")))
    assert answer == [
        said("from New York", "+12125550100"),
        said("with a picture", media=f"{application.url}/owl.png"),
        said("for somebody else", to="+13105550123"),
        said("Thanks for VOTE."),
    ]
    assert "a message to +1415•••9999 is left out: the recipient has opted out" in router.log
    assert "+14155559999" not in router.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/moved", [said("Thanks for VOTE.")]),
        ("/plain", [said("plain text & nothing else")]),
        ("/silent", []),
    ],
)
async def test_other_answers(
    forwarding: Forwarding, application: Application, path: str, expected: list[dict[str, Any]]
) -> None:
    router = forwarding(f'url = "{application.url}{path}"')
    assert messages(await router.deliver(webhook("VOTE"))) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("primary", "code"),
    [("{url}/fails", 11200), ("{url}/hangs", 11200), ("http://127.0.0.1:{dead}/sms", 11205)],
)
async def test_the_fallback_answers_in_time_and_is_told_what_failed(
    forwarding: Forwarding, application: Application, primary: str, code: int
) -> None:
    primary = primary.format(url=application.url, dead=free_port())
    router = forwarding(f'url = "{primary}", fallback_url = "{application.url}/backup"')
    parameters = webhook("VOTE")
    answer = await router.deliver(parameters)
    assert messages(answer) == [said(f"Backup: {code} of {primary}")]
    told = json.loads(router.command("messages", "show", parameters["MessageSid"], "--json").stdout)
    assert f"forwarded to {primary.removeprefix('http://')}: {code}" in json.dumps(told)
    assert f"answered by {application.url.removeprefix('http://')}/backup" in json.dumps(told)


async def test_when_both_fail_the_person_gets_the_error_reply_and_the_message_is_a_dead_letter(
    forwarding: Forwarding, application: Application
) -> None:
    dead = free_port()
    router = forwarding(
        f'url = "http://user:hush@127.0.0.1:{dead}/a?k=v", fallback_url = "{application.url}/fails"'
    )
    parameters = webhook("VOTE")
    assert messages(await router.deliver(parameters)) == [said("Sorry, that failed.")]
    (letter,) = json.loads(router.command("messages", "--failed", "--json").stdout)
    assert letter["sid"] == parameters["MessageSid"]
    assert f"127.0.0.1:{dead}/a: 11205 no connection" in json.dumps(letter)
    assert "/fails: 11200 HTTP 500" in json.dumps(letter)
    assert "hush" not in json.dumps(letter) + router.log
    assert "k=v" not in json.dumps(letter) + router.log


@pytest.mark.slow
async def test_a_dead_upstream_is_left_alone_and_the_operator_is_told(
    forwarding: Forwarding, application: Application
) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    router = forwarding(f'url = "{dead}/sms", fallback_url = "{application.url}/backup"')
    for _ in range(8):
        (answer,) = messages(await router.deliver(webhook("VOTE")))
        assert answer["text"] == f"Backup: 11205 of {dead}/sms"
    status = json.loads((await router.fetch("/readyz")).body)
    assert status["status"] == "degraded"
    assert any(f"{dead} is not called, because it keeps failing" in reason for reason in status["reasons"])
    figures = (await router.fetch("/metrics")).text
    assert f'sms_router_upstream_open{{upstream="{dead}"}} 1.0' in figures
    assert f'sms_router_upstream_failures_total{{upstream="{dead}"}} 5.0' in figures
    assert f'sms_router_upstream_held_back_total{{upstream="{dead}"}} 3.0' in figures
    assert f'sms_router_upstream_open{{upstream="{application.url} (as fallback)"}} 0.0' in figures
    assert router.log.count(f"{dead} keeps failing and is not called for now") == 1


@pytest.mark.slow
async def test_a_numbers_own_url_gets_what_no_rule_claims(
    start_router: StartRouter, valkey: PrivateValkey, application: Application
) -> None:
    urls = {
        SENDERS[2].sid: NumberUrls("New York", f"{application.url}/votes", "GET"),
        SENDERS[1].sid: NumberUrls("San Francisco", "https://sms.example.com/sms"),
    }
    snapshot = Snapshot(ACCOUNT, SERVICE, SENDERS, ServiceProperties("Test"), urls, time.time(), version=9)
    async with Redis.from_url(valkey.url) as redis:
        await SnapshotStore(redis).publish(snapshot, snapshot.to_bytes())
    router = start_router("number_urls = true")
    for body, number, expected in (
        ("anything", "+12125550100", "Thanks for anything."),
        ("YES", "+12125550100", "Thanks for YES."),
        ("HOURS", "+12125550100", "We are open 9 to 5, SAN FRANCISCO."),
        ("anything", "+14155550100", "Text HOURS."),
        ("anything", "12345", "Text HOURS."),
    ):
        assert messages(await router.deliver(webhook(body, To=number))) == [said(expected)]
    assert {asked["method"] for asked in application.asked} == {"GET"}
    assert "the sms_url of +14155550100 at Twilio is the router's own" in router.log
    explained = router.command("explain", CONTACT, "anything", "--to", "+12125550100").stdout
    assert f"forwarded to {application.url.removeprefix('http://')}/votes (GET)" in " ".join(
        explained.split()
    )


@pytest.mark.slow
async def test_the_commands_show_forwards_without_secrets(forwarding: Forwarding) -> None:
    router = forwarding(
        'url = "https://user:pass@votes.example.com/sms?key=secret", fallback_url = "https://b.example/x"'
    )
    for command in (("explain", CONTACT, "VOTE 7"), ("keywords", "--json")):
        spoken = router.command(*command)
        assert "forwarded to votes.example.com/sms (POST), on failure to b.example/x (POST)" in spoken.stdout
        assert "pass" not in spoken.stdout
        assert "secret" not in spoken.stdout
    folder = write_configuration(router.folder)
    (folder / "keywords.toml").write_text(
        '[[keyword]]\nwords = ["A"]\nforward = { url = "votes.example.com" }\n'
    )
    refused = router.command("check", "--no-twilio")
    assert refused.returncode == 1
    assert "keyword[1].forward.url: must begin with https://" in refused.stdout + refused.stderr


@pytest.mark.slow
async def test_a_stop_of_the_router_leaves_no_call_behind(
    forwarding: Forwarding, application: Application
) -> None:
    router = forwarding(f'url = "{application.url}/hangs"')

    async def is_asked() -> bool:
        return bool(application.asked)

    import asyncio  # noqa: PLC0415

    waiting = asyncio.create_task(router.deliver(webhook("VOTE")))
    await wait_until(is_asked)
    assert await asyncio.to_thread(router.stop) == 0
    assert (await waiting).status == 200
    assert "Unclosed" not in router.log
