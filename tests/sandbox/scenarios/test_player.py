"""Scenarios, each against the smallest application that it needs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.responses import Response

from sms_router.sandbox.hosting import free_port
from sms_router.sandbox.scenarios.player import StepResult
from tests.sandbox.customer_application import twiml
from tests.sandbox.scenarios.scenario_fixture import start_scenario

REROUTE = """
[[carriers]]
name = "nowhere"
reaches_short_codes = false
short_code_error = 30003

[[phones]]
number = "+13125550123"
carrier = "nowhere"

[[steps]]
phone = "+13125550123"
texts = "HOURS"
shows = [{ from = "+14155550100", equals = "We are open." }]
undelivered = [{ from = "12345", error = 30003 }]
alerts = []
"""


async def test_a_carrier_that_blocks_short_codes_and_an_application_that_re_routes(tmp_path: Path) -> None:
    async with start_scenario(tmp_path, REROUTE) as fixture:

        async def status() -> Response:
            form = fixture.customer.requests[-1].form
            if form.get("ErrorCode") == "30003":
                await fixture.send("+14155550100", form["To"], "We are open.")
            return Response(status_code=204)

        fixture.customer.set_twiml("/sms", '<Message statusCallback="/status">We are open.</Message>')
        fixture.customer.pages["/status"] = status
        assert await fixture.passes()


async def test_without_the_re_route_the_same_scenario_fails_with_the_difference(tmp_path: Path) -> None:
    async with start_scenario(tmp_path, REROUTE + "within = 0.05\n") as fixture:
        fixture.customer.set_twiml("/sms", "<Message>We are open.</Message>")
        (step,) = await fixture.play()
        assert step.result is StepResult.FAILED
        (difference,) = step.differences
        assert (difference.what, difference.got) == ("message 1 on +13125550123", "nothing")
        assert difference.expected == "from +14155550100, text 'We are open.'"


STOP_AND_START = """
[service]
advanced_opt_out = true

[[service.opt_out_lists]]
language = "en"
stop = ["STOP"]
start = ["START"]
help = ["HELP"]
stop_reply = "You are out."
start_reply = "You are in."

[[steps]]
phone = "+14155550123"
texts = "STOP"
shows = [{ from = "12345", equals = "You are out." }]

[[steps]]
phone = "+14155550123"
texts = "HOURS"
to = "+12125550100"
shows = []
alerts = [21610]

[[steps]]
phone = "+14155550123"
texts = "START"
shows = ["You are in."]

[[steps]]
phone = "+14155550123"
texts = "HOURS"
shows = ["We are open."]
alerts = []
"""


async def test_stop_and_start_with_advanced_opt_out(tmp_path: Path) -> None:
    async with start_scenario(tmp_path, STOP_AND_START) as fixture:

        async def page() -> Response:
            form = fixture.customer.requests[-1].form
            return twiml("" if "OptOutType" in form else "<Message>We are open.</Message>")

        fixture.customer.pages["/sms"] = page
        assert await fixture.passes()


async def test_an_application_that_ignores_opt_out_type_fails(tmp_path: Path) -> None:
    impatient = STOP_AND_START.replace("alerts = [21610]", "alerts = [21610]\nwithin = 0")
    async with start_scenario(tmp_path, impatient) as fixture:
        fixture.customer.set_twiml("/sms", "<Message>We are open.</Message>")
        first, second, *_ = await fixture.play()
        assert (first.result, second.result) == (StepResult.PASSED, StepResult.FAILED)
        assert [mismatch.got.count("21610 ") for mismatch in second.differences] == [2]


async def test_a_dead_upstream_and_its_fallback(tmp_path: Path) -> None:
    steps = f"""
[service]
inbound_request_url = "http://127.0.0.1:{free_port()}/votes"

[[steps]]
phone = "+14155550123"
texts = "VOTE 7"
webhook = "answered by the fallback"
shows = ["We got your message."]
alerts = [11205]
"""
    async with start_scenario(tmp_path, steps) as fixture:
        fixture.customer.set_twiml("/sms/fallback", "<Message>We got your message.</Message>")
        assert await fixture.passes()


async def test_faults_time_and_phones_that_change(tmp_path: Path) -> None:
    steps = """
[[carriers]]
name = "slow"
delay = 30

[[steps]]
phone = "+14155550123"
carrier = "slow"

[[steps]]
phone = "+14155550123"
texts = "HOURS"
shows = []

[[steps]]
wait = 30
phone = "+14155550123"
shows = [{ contains = ["We", "open"], media = [], status = "delivered" }]

[[steps]]
phone = "+14155550123"
state = "off"
carrier = "metro"

[[steps]]
faults = { webhooks = { kind = "twice" }, receipts = { backwards = true } }

[[steps]]
phone = "+12065550123"
texts = "HOURS"
shows = 1

[[steps]]
faults = {}

[[steps]]
phone = "+12065550123"
texts = "HOURS"
media = ["https://example.com/a.png"]
shows = 1
alerts = []
"""
    async with start_scenario(tmp_path, steps) as fixture:
        fixture.customer.set_twiml("/sms", "<Message>We are open.</Message>")
        assert await fixture.passes()
        assert len(fixture.customer.requests_to("/sms")) == 4
        assert fixture.platform.faults.active.webhooks is None


@pytest.mark.parametrize(
    ("steps", "page", "difference"),
    [
        ("shows = []", "<Message>Hi</Message>", ("message 1 on", "nothing more", "from 12345, text 'Hi'")),
        ('shows = ["Hi", "Hi"]', "<Message>Hi</Message>", ("message 2 on", "text 'Hi'", "nothing")),
        ('shows = [{ contains = "x" }]', "<Message>Hi</Message>", ("message 1 on", "contains 'x'", "'Hi'")),
        (
            "shows = [{ media = [] }]",
            "<Message><Body>Hi</Body><Media>https://example.com/a.png</Media></Message>",
            ("message 1 on", "media none", "text 'Hi', media https://example.com/a.png"),
        ),
        (
            'shows = [{ status = "sent" }]',
            "<Message>Hi</Message>",
            ("1 on", "status sent", "status delivered"),
        ),
        ("alerts = [12100]", "", ("alerts", "12100", "none")),
        ("alerts = []", "<Say>Hi</Say>", ("alerts", "none", "14110 <Say> cannot answer a message")),
        ('webhook = "failed"', "", ("the webhook", "failed", "answered")),
        ('webhook = "answered"', "<Message>", ("the webhook", "answered", "by the fallback (12100 ")),
        ("undelivered = [{ error = 30003 }]", "", ("not delivered to", "30003", "nothing")),
        ("", "<Message>Hi</Message>", ("a message on +14155550123", "nothing more", "'Hi'")),
        ("", "<Say>Hi</Say>", ("alerts", "none that no step expects", "14110")),
    ],
)
async def test_a_difference_is_described(
    tmp_path: Path, steps: str, page: str, difference: tuple[str, str, str]
) -> None:
    step = f'[[steps]]\nphone = "+14155550123"\ntexts = "HOURS"\nwithin = 0\n{steps}\n'
    async with start_scenario(tmp_path, step) as fixture:
        fixture.customer.set_twiml("/sms", page)
        failed = (await fixture.play())[-1]
        assert failed.result is StepResult.FAILED
        actual = failed.differences[0]
        for part, whole in zip(difference, (actual.what, actual.expected, actual.got), strict=True):
            assert part in whole


async def test_a_missing_message_is_reported_with_the_alerts(tmp_path: Path) -> None:
    step = '[[steps]]\nphone = "+14155550123"\ntexts = "HOURS"\nwithin = 0\nshows = ["Hello"]\n'
    async with start_scenario(tmp_path, step) as fixture:
        fixture.customer.pages["/sms"] = fixture.customer.pages["/sms/fallback"] = Response(status_code=503)
        (failed,) = await fixture.play()
        assert [mismatch.got for mismatch in failed.differences] == [
            "nothing",
            "11200 HTTP 503; 11200 HTTP 503",
        ]


async def test_the_steps_after_a_failed_one_are_not_played(tmp_path: Path) -> None:
    steps = """
[[steps]]
phone = "+14155550123"
texts = "HOURS"
shows = ["Hello"]
within = 0

[[steps]]
title = "afterwards"
phone = "+14155550123"
texts = "HOURS"
"""
    async with start_scenario(tmp_path, steps) as fixture:
        first, second = await fixture.play()
        assert (first.result, second.result) == (StepResult.FAILED, StepResult.NOT_PLAYED)
        assert second.title == "afterwards"
        assert len(fixture.customer.requests) == 1


async def test_a_phone_that_is_off_cannot_text(tmp_path: Path) -> None:
    steps = """
[[phones]]
number = "+13125550123"
carrier = "metro"
state = "off"

[[steps]]
phone = "+13125550123"
texts = "HOURS"
"""
    async with start_scenario(tmp_path, steps) as fixture:
        (step,) = await fixture.play()
        assert step.differences[0].got == "one that is off"


PORT = """
[[steps]]
port = { number = "+13125550100" }

[[steps]]
port = { number = "+13125550100", status = "port_pending" }

[[steps]]
command = "onboarding request +13125550100 {port}"
prints = "ready"
within = 0.05
"""


@pytest.mark.parametrize(
    ("outputs", "differences"),
    [
        ([(1, "not yet"), (0, "ready")], []),
        ([(0, "not yet")], [("'ready'", "exit code 0: not yet")]),
        ([(1, "ready, but failed")], [("exit code 0", "exit code 1: ready, but failed")]),
        ([(2, "No such command"), (0, "ready")], [("'ready'", "exit code 2: No such command")]),
    ],
)
async def test_a_port_changes_and_a_command_is_repeated_until_it_prints_what_is_expected(
    tmp_path: Path, outputs: list[tuple[int, str]], differences: list[tuple[str, str]]
) -> None:
    commands: list[Sequence[str]] = []

    async def run_command(arguments: Sequence[str]) -> tuple[int, str]:
        await asyncio.sleep(0.01)
        commands.append(arguments)
        return outputs[min(len(commands), len(outputs)) - 1]

    async with start_scenario(tmp_path, PORT, run_command) as fixture:
        played = (await fixture.play())[2]
        (port,) = fixture.platform.ports.requests
        assert (port.addresses, port.status) == (("+13125550100",), "In progress")
        assert commands[0] == ["onboarding", "request", "+13125550100", port.sid]
        assert [(found.expected, found.got) for found in played.differences] == differences
