"""Dead letters answered once more: by a running router, by REST, once however often it is asked for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import (
    CONTACT,
    SHORT_DEADLINE,
    SandboxTwilio,
    report_status,
    show_message,
    wait_for_causes,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

HOURS = "We are open 9 to 5, SAN FRANCISCO."


async def replay(router: RouterProcess, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Run the command, and return what it says of each message."""
    spoken = await asyncio.to_thread(router.command, "replay", *words, "--json", "--reveal")
    assert (spoken.returncode, spoken.stderr) == (code, ""), spoken
    told: list[dict[str, Any]] = json.loads(spoken.stdout)
    return told


def made_older(valkey: PrivateValkey, sid: str, moment: str) -> None:
    """Let two hours go by since then: nobody waits longer than one."""
    with valkey.client() as client:
        client.hincrby(bucket_of(CONTACT).message(f"{ACCOUNT}/{sid}"), moment, -2 * 3_600_000)


async def failed(router: RouterProcess, body: str = "BOOM") -> str:
    """Have a handler fail; return the sid of the text."""
    parameters = webhook(body)
    await router.deliver(parameters)
    return parameters["MessageSid"]


async def fallen_back(router: RouterProcess, body: str = "HOURS") -> str:
    """Have only the fallback answer; return the sid of the text."""
    parameters = webhook(body, ErrorCode="11200", ErrorUrl="https://sms.example.com/sms")
    await router.deliver(parameters, "/sms/fallback")
    return parameters["MessageSid"]


@pytest.mark.slow
async def test_a_dead_letter_is_answered_once_however_often_it_is_asked_for(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await failed(router, f"REPAIR {tmp_path / 'mended'}")
    (tmp_path / "repaired").touch()
    (told,) = await replay(router, sid)
    assert (told["replayed"], told["rule"]) == (True, "REPAIR")
    assert told["result"].startswith("the replay was sent from 12345")
    (again,) = await replay(router, sid, code=1)
    assert again["verdict"] == "already asked"
    await twilio.expect_messages(("12345", "repaired"))
    assert router.runs == [sid] * 2
    whats = [step["what"] for step in show_message(router, sid)["story"]]
    assert whats[:6] == ["received", "answered", "dead letter", "replay asked", "replay", "by REST"]


@pytest.mark.slow
async def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    runs, knows = await failed(router, "BOOM"), await fallen_back(router, "HOURS")
    handler, text = await replay(router, runs, knows, "--dry-run")
    assert (handler["rule"], handler["sender"], handler["text"]) == ("BOOM", "12345", [])
    assert handler["runs"].startswith("the function tests.end_to_end.handlers")
    assert (text["rule"], text["sender"], text["text"], text["runs"]) == ("HOURS", "12345", [HOURS], None)
    assert not handler["replayed"]
    said = router.command("replay", runs, knows, "--dry-run").stdout
    assert "2 messages would be replayed; nothing was sent." in said
    assert HOURS not in said
    assert CONTACT not in said
    await twilio.expect_messages()
    assert router.runs == [runs]


@pytest.mark.slow
async def test_a_replay_whose_handler_fails_again_sends_nothing_and_may_be_asked_for_again(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await failed(router, f"REPAIR {tmp_path / 'mended'}")
    (told,) = await replay(router, sid)
    assert told["result"].startswith("nothing was sent: REPAIR: failed when it was replayed: RuntimeError")
    await wait_for_causes(router, sid, "failed when it was replayed")
    (tmp_path / "repaired").touch()
    (told,) = await replay(router, sid)
    assert told["replayed"]
    await twilio.expect_messages(("12345", "repaired"))


@pytest.mark.slow
async def test_dead_letters_are_chosen_by_their_cause_and_time(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    boom, hours = await failed(router), await fallen_back(router)
    chosen = await replay(router, "--since", "1h", "--cause", "RUNTIMEERROR", "--dry-run")
    assert [each["sid"] for each in chosen] == [boom]
    assert {each["sid"] for each in await replay(router, "--since", "2h", "--dry-run")} == {boom, hours}
    assert await replay(router, "--since", "2999-01-01", "--dry-run", code=1) == []
    (told,) = await replay(router, "--cause", "Twilio called the fallback")
    assert told["sid"] == hours
    await twilio.expect_messages(("12345", HOURS))


@pytest.mark.slow
async def test_without_a_running_router_it_waits(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    sid = await fallen_back(router)
    assert router.stop() == 0
    (told,) = await replay(router, sid, "--wait", "0")
    assert told["result"] == "waits in the outbox for a running router"
    assert (await replay(router, sid, code=1))[0]["verdict"] == "already asked"
    router.start()
    await twilio.expect_messages(("12345", HOURS))


@pytest.mark.slow
async def test_what_waited_longer_than_the_limit_does_not_leave_and_may_be_asked_for_again(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await fallen_back(router)
    made_older(valkey, sid, "received")  # the limit counts from the asking
    await replay(router, sid, "--wait", "0")
    await twilio.expect_messages(("12345", HOURS))
    other = await fallen_back(router)
    router.stop()
    assert (await replay(router, other, "--wait", "0"))[0]["replayed"]
    made_older(valkey, other, "replay:requested")
    router.start()
    await wait_for_causes(router, other, "too late")
    assert (await replay(router, other))[0]["replayed"]
    await twilio.expect_messages(("12345", HOURS), ("12345", HOURS))


@pytest.mark.slow
async def test_nobody_who_has_opted_out_gets_a_replay(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await failed(router)
    await router.deliver(webhook("STOP"))
    assert (await replay(router, sid, code=1))[0]["verdict"] == "opted out"
    await twilio.expect_messages()


@pytest.mark.slow
async def test_an_opt_out_word_is_not_replayed(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    sid = await fallen_back(router, "HELP")
    (told,) = await replay(router, sid, code=1)
    assert told["verdict"] in {"opt-out word", "answered"}


@pytest.mark.slow
async def test_what_was_answered_or_came_long_ago_is_not_replayed(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    answered, old = await failed(router, "HOURS"), await failed(router)
    with redis.Redis.from_url(valkey.url) as client:
        client.hincrby(bucket_of(CONTACT).message(f"{ACCOUNT}/{old}"), "received", -3 * 86_400_000)
    told = await replay(router, answered, old, "SM" + "0" * 32, code=1)
    assert [each["verdict"] for each in told] == ["answered", "too old", "not found"]
    assert told[1]["why"] == "it came 3 days ago, and the limit is 24 h (--max-age)"
    assert (await replay(router, old, "--max-age", "4d"))[0]["replayed"]


@pytest.mark.slow
async def test_what_may_have_left_needs_to_be_said(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    await twilio.add_fault(kind="status", status=500, after=True, count=1)
    sid = await failed(router, "HOURS")
    await report_status(router, f"{sid}.0", "undelivered", "30006")
    await wait_for_causes(router, sid, "may have been sent")
    (told,) = await replay(router, sid, code=1)
    assert told["verdict"] == "unknown"
    assert "--even-if-unknown" in told["why"]
    assert (await replay(router, sid, "--even-if-unknown"))[0]["replayed"]

    async def twice() -> bool:
        return len(await twilio.phone_messages()) == 2

    await wait_until(twice)


@pytest.mark.slow
async def test_a_conversation_that_the_person_is_in_takes_it(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment, handlers="tests.end_to_end.conversation_handlers")
    sid = await fallen_back(router, "L")
    await router.deliver(webhook("ORDER soup"))
    (told,) = await replay(router, sid, "--dry-run")
    assert told["rule"] == "step size"
    assert (await replay(router, sid))[0]["rule"] == "step size"
    await twilio.expect_messages(("12345", "One soup in L."))


@pytest.mark.slow
async def test_the_default_is_not_sent_for_a_rule_that_has_failed_unless_told(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    broken, again = await failed(router, "BROKEN"), await failed(router, "BROKEN")
    file = router.folder / "keywords.toml"
    file.write_text(file.read_text().replace('words = ["BROKEN"]', 'words = ["OTHER"]'))
    await wait_until(lambda: "the configuration was read again: added OTHER" in router.log)
    (told,) = await replay(router, broken, code=1)
    assert (told["verdict"], told["rule"], told["failed_rule"]) == ("other rule", "default", "BROKEN")
    assert "the rule BROKEN has failed, and now the default would answer" in told["why"]
    await twilio.expect_messages()
    (told,) = await replay(router, broken, "--even-if-default")
    assert (told["replayed"], told["rule"], told["failed_rule"]) == (True, "default", "BROKEN")

    file.write_text(file.read_text().replace('words = ["HOURS"', 'words = ["BROKEN", "HOURS"'))
    await wait_until(lambda: "added BROKEN" in router.log)
    said = router.command("replay", again, "--dry-run").stdout
    assert "another rule than the one that has failed" not in said
