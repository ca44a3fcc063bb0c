"""The timeline that `messages show` prints of a message, from its arrival to the last delivery status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import RouterProcess, webhook
from tests.end_to_end.sandbox_twilio import (
    EMPTY,
    SHORT_DEADLINE,
    SandboxTwilio,
    report_status,
    show_message,
    wait_for_causes,
)
from tests.waiting import wait_until


def timeline(router: RouterProcess, sid: str) -> list[tuple[str, str]]:
    """Return the name and the first line of each event."""
    return [(event["what"], event["lines"][0]) for event in show_message(router, sid)["story"]]


async def wait_for_event(router: RouterProcess, sid: str, part: str) -> None:
    """Wait until an event's first line contains a text."""
    await wait_until(lambda: any(part in line for _, line in timeline(router, sid)))


async def test_both_attempts_to_send_a_reply_are_in_one_timeline(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    sid = parameters["MessageSid"]
    await router.deliver(parameters)
    first = await report_status(router, f"{sid}.0", "sent")
    await report_status(router, f"{sid}.0", "undelivered", "30006", MessageSid=first)
    await wait_for_event(router, sid, "the re-routed reply was sent")
    second = show_message(router, sid)["by_rest"][0]["sid"]
    await report_status(router, f"{sid}.0.again", "delivered", MessageSid=second, From="+14155550100")
    assert timeline(router, sid) == [
        ("received", "+14155550123 to 12345"),
        ("answered", "reply by HOURS"),
        ("status", "the reply from 12345: sent"),
        ("status", "the reply from 12345: undelivered, error 30006"),
        (
            "by REST",
            "the re-routed reply was sent from +14155550100: because of error 30006 from 12345",
        ),
        ("status", "the re-routed reply from +14155550100: delivered"),
    ]
    events = show_message(router, sid)["story"]
    assert any(line.startswith("12345: chosen: ") for line in events[1]["lines"])
    assert (events[2]["lines"][1:], events[2]["sid"]) == ([f"as {first}"], first)
    assert (events[4]["lines"][1], events[4]["sid"]) == (f"as {second}", second)
    assert any(line.startswith("12345: ") and "did not reach" in line for line in events[4]["lines"])
    assert any(line.startswith("+14155550100: chosen: ") for line in events[4]["lines"])
    times = [event["at"] for event in events]
    assert times == sorted(times)


@pytest.mark.slow
async def test_a_late_reply_follows_the_empty_answer(
    start_router: StartRouter, twilio: SandboxTwilio, tmp_path: Path
) -> None:
    router = start_router(SHORT_DEADLINE, twilio.environment)
    parameters = webhook(f"HOLD {tmp_path / 'release'}")
    assert (await router.deliver(parameters)).body == EMPTY
    (tmp_path / "release").touch()
    sid = parameters["MessageSid"]
    await wait_for_event(router, sid, "the late reply was sent from 12345")
    events = [what for what, _ in timeline(router, sid)]
    assert events[:4] == ["received", "answered", "late answer", "by REST"]
    shown = router.command("messages", "show", sid)
    assert shown.returncode == 0
    assert "+1415•••0123 to 12345" in shown.stdout
    assert "released" not in shown.stdout


@pytest.mark.slow
async def test_the_list_shows_why_a_reply_by_rest_failed(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=400, count=1)
    parameters = webhook("HOURS")
    await router.deliver(parameters)
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", "30006")
    await wait_for_causes(router, parameters["MessageSid"], "Twilio responded with 400")
    listed = router.command("messages", "--failed").stdout
    assert "the re-routed reply was refused from +14155550100: Twilio responded with 400" in listed
