"""Replays of dead letters: a running router handles the message again and sends the reply by REST, once."""

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
    add_missed_message,
    report_status,
    show_message,
    wait_for_causes,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

HOURS = "We are open 9 to 5, SAN FRANCISCO."


async def replay(router: RouterProcess, *words: str, code: int = 0) -> list[dict[str, Any]]:
    """Run the command, and return its result for each message."""
    result = await asyncio.to_thread(router.command, "replay", *words, "--json", "--reveal")
    assert (result.returncode, result.stderr) == (code, ""), result
    replays: list[dict[str, Any]] = json.loads(result.stdout)
    return replays


def make_older(valkey: PrivateValkey, sid: str, field: str) -> None:
    """Set a stored time of a message back by two hours, which is more than the limit of one."""
    with valkey.client() as client:
        client.hincrby(bucket_of(CONTACT).message(f"{ACCOUNT}/{sid}"), field, -2 * 3_600_000)


async def deliver(router: RouterProcess, body: str = "BOOM") -> str:
    """Deliver a message, whose handler fails except for some bodies; return its sid."""
    parameters = webhook(body)
    await router.deliver(parameters)
    return parameters["MessageSid"]


async def miss(router: RouterProcess, body: str = "HOURS") -> str:
    """Store a message that never arrived; return its sid."""
    return await asyncio.to_thread(add_missed_message, router, webhook(body))


@pytest.mark.slow
async def test_a_dead_letter_is_replayed_once_for_several_requests(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await deliver(router, f"REPAIR {tmp_path / 'repaired'}")
    (tmp_path / "repaired").touch()
    (result,) = await replay(router, sid)
    assert (result["replayed"], result["rule"]) == (True, "REPAIR")
    assert result["result"].startswith("the replay was sent from 12345")
    (again,) = await replay(router, sid, code=1)
    assert again["verdict"] == "already asked"
    await twilio.expect_messages(("12345", "repaired"))
    assert router.runs == [sid] * 2
    events = [event["what"] for event in show_message(router, sid)["story"]]
    assert events[:6] == ["received", "answered", "dead letter", "replay asked", "replay", "by REST"]


@pytest.mark.slow
async def test_a_dry_run_shows_the_replay_and_sends_nothing(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    with_handler, with_text = await deliver(router, "BOOM"), await miss(router, "HOURS")
    handler, text = await replay(router, with_handler, with_text, "--dry-run")
    assert (handler["rule"], handler["sender"], handler["text"]) == ("BOOM", "12345", [])
    assert handler["runs"].startswith("the function tests.end_to_end.handlers")
    assert (text["rule"], text["sender"], text["text"], text["runs"]) == ("HOURS", "12345", [HOURS], None)
    assert not handler["replayed"]
    output = router.command("replay", with_handler, with_text, "--dry-run").stdout
    assert "2 messages would be replayed; nothing was sent." in output
    assert HOURS not in output
    assert CONTACT not in output
    await twilio.expect_messages()
    assert router.runs == [with_handler]


@pytest.mark.slow
async def test_a_replay_whose_handler_fails_again_sends_nothing_and_can_be_repeated(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await deliver(router, f"REPAIR {tmp_path / 'repaired'}")
    (result,) = await replay(router, sid, code=1)
    assert result["failed"]
    assert result["result"].startswith("nothing was sent: REPAIR: failed when it was replayed: RuntimeError")
    await wait_for_causes(router, sid, "failed when it was replayed")
    shown = await asyncio.to_thread(router.command, "replay", sid)
    assert shown.returncode == 1
    assert shown.stderr.startswith(
        f"1 replay failed again: {sid}.\nCorrect the cause named above, then repeat: "
    )
    (tmp_path / "repaired").touch()
    (result,) = await replay(router, sid)
    assert (result["replayed"], result["failed"]) == (True, False)
    await twilio.expect_messages(("12345", "repaired"))


@pytest.mark.slow
async def test_dead_letters_are_selected_by_cause_and_time(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    boom, hours = await deliver(router), await miss(router)
    selected = await replay(router, "--since", "1h", "--cause", "RUNTIMEERROR", "--dry-run")
    assert [dead_letter["sid"] for dead_letter in selected] == [boom]
    selected = await replay(router, "--since", "2h", "--dry-run")
    assert {dead_letter["sid"] for dead_letter in selected} == {boom, hours}
    assert await replay(router, "--since", "2999-01-01", "--dry-run", code=1) == []
    (result,) = await replay(router, "--cause", "never arrived")
    assert result["sid"] == hours
    await twilio.expect_messages(("12345", HOURS))


@pytest.mark.slow
async def test_a_replay_waits_for_a_running_router(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    sid = await miss(router)
    assert router.stop() == 0
    (result,) = await replay(router, sid, "--wait", "0")
    assert result["result"] == "waits in the outbox for a running router"
    assert (await replay(router, sid, code=1))[0]["verdict"] == "already asked"
    router.start()
    await twilio.expect_messages(("12345", HOURS))


@pytest.mark.slow
async def test_a_replay_over_the_late_limit_is_not_sent_and_can_be_repeated(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    sid = await miss(router)
    make_older(valkey, sid, "received")  # the limit counts from the request to replay
    await replay(router, sid, "--wait", "0")
    await twilio.expect_messages(("12345", HOURS))
    other = await miss(router)
    router.stop()
    assert (await replay(router, other, "--wait", "0"))[0]["replayed"]
    make_older(valkey, other, "replay:requested")
    router.start()
    await wait_for_causes(router, other, "too late")
    assert (await replay(router, other))[0]["replayed"]
    await twilio.expect_messages(("12345", HOURS), ("12345", HOURS))


@pytest.mark.slow
async def test_a_replay_is_refused_after_an_opt_out(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    sid = await deliver(router)
    await router.deliver(webhook("STOP"))
    assert (await replay(router, sid, code=1))[0]["verdict"] == "opted out"
    await twilio.expect_messages()


@pytest.mark.slow
async def test_an_opt_out_word_is_not_replayed(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment=twilio.environment)
    sid = await miss(router, "HELP")
    (result,) = await replay(router, sid, code=1)
    assert result["verdict"] in {"opt-out word", "answered"}


@pytest.mark.slow
async def test_answered_old_and_unknown_messages_are_not_replayed(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    answered, old = await deliver(router, "HOURS"), await deliver(router)
    with redis.Redis.from_url(valkey.url) as client:
        client.hincrby(bucket_of(CONTACT).message(f"{ACCOUNT}/{old}"), "received", -3 * 86_400_000)
    results = await replay(router, answered, old, "SM" + "0" * 32, code=1)
    assert [result["verdict"] for result in results] == ["answered", "too old", "not found"]
    assert results[1]["why"] == "it came 3 days ago, and the limit is 24 h (--max-age)"
    assert (await replay(router, old, "--max-age", "4d", code=1))[0]["failed"]  # its rule fails each time


@pytest.mark.slow
async def test_a_reply_that_may_have_been_sent_is_replayed_only_with_the_option(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    await twilio.add_fault(kind="status", status=500, after=True, count=1)
    sid = await deliver(router, "HOURS")
    await report_status(router, f"{sid}.0", "undelivered", "30006")
    await wait_for_causes(router, sid, "may have been sent")
    (result,) = await replay(router, sid, code=1)
    assert result["verdict"] == "unknown"
    assert "--even-if-unknown" in result["why"]
    assert (await replay(router, sid, "--even-if-unknown"))[0]["replayed"]

    async def has_two_messages() -> bool:
        return len(await twilio.phone_messages()) == 2

    await wait_until(has_two_messages)


@pytest.mark.slow
async def test_a_replayed_message_goes_to_the_step_of_the_contacts_conversation(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment, handlers="tests.end_to_end.conversation_handlers")
    sid = await miss(router, "L")
    await router.deliver(webhook("ORDER soup"))
    (result,) = await replay(router, sid, "--dry-run")
    assert result["rule"] == "step size"
    assert (await replay(router, sid))[0]["rule"] == "step size"
    await twilio.expect_messages(("12345", "One soup in L."))


@pytest.mark.slow
async def test_the_default_replaces_a_rule_that_has_failed_only_with_the_option(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    broken, again = await deliver(router, "BROKEN"), await deliver(router, "BROKEN")
    file = router.folder / "keywords.toml"
    file.write_text(file.read_text().replace('words = ["BROKEN"]', 'words = ["OTHER"]'))
    await wait_until(lambda: "the configuration was read again: added OTHER" in router.log)
    (result,) = await replay(router, broken, code=1)
    assert (result["verdict"], result["rule"], result["failed_rule"]) == ("other rule", "default", "BROKEN")
    assert "the rule BROKEN has failed, and now the default would answer" in result["why"]
    await twilio.expect_messages()
    (result,) = await replay(router, broken, "--even-if-default")
    assert (result["replayed"], result["rule"], result["failed_rule"]) == (True, "default", "BROKEN")

    file.write_text(file.read_text().replace('words = ["HOURS"', 'words = ["BROKEN", "HOURS"'))
    await wait_until(lambda: "added BROKEN" in router.log)
    output = router.command("replay", again, "--dry-run").stdout
    assert "another rule than the one that has failed" not in output
