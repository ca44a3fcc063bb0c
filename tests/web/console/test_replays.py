"""Dead letters answered once more from a page."""

from __future__ import annotations

import asyncio
from html import unescape
from pathlib import Path

import pytest

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, webhook
from tests.end_to_end.sandbox_twilio import (
    CONTACT,
    SHORT_DEADLINE,
    SandboxTwilio,
    add_missed_message,
    report_status,
    wait_for_causes,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until
from tests.web.console.client import PASSWORD, ConsoleClient


async def test_a_dead_letter_is_replayed(start_router: StartRouter, twilio: SandboxTwilio) -> None:
    router = start_router(environment={**twilio.environment, "CONSOLE_PASSWORD": PASSWORD})
    parameters = webhook("HOURS")
    await asyncio.to_thread(add_missed_message, router, parameters)
    path = f"/console/messages/{parameters['MessageSid']}"
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        assert f"{path}/replay" in operator.get(path).text
        page = operator.get(f"{path}/replay?reveal=1").text
        assert "We are open 9 to 5, SAN FRANCISCO." in page
        assert "We are open" not in operator.get(f"{path}/replay").text
        response = operator.post(f"{path}/replay")
        assert (response.status_code, response.headers["location"]) == (303, path)
        assert "The replay is requested." in operator.follow(response).text

        async def reported() -> bool:
            return "the replay was sent from 12345" in unescape(operator.get(path).text)

        await wait_until(reported)
        await twilio.expect_messages(("12345", "We are open 9 to 5, SAN FRANCISCO."))
        again = operator.post(f"{path}/replay")
        assert (again.status_code, "already" in again.text) == (409, True)
        assert f"{path}/replay" not in operator.get(path).text
    assert "replay asked" in router.command("messages", "show", parameters["MessageSid"]).stdout
    assert router.log.count(f"a replay of {parameters['MessageSid']} was requested") == 1


async def test_a_message_that_fails_again_or_was_answered_is_not_replayed(
    start_router: StartRouter, tmp_path: Path
) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    broken, answered = webhook("BROKEN"), webhook("HOURS")
    await router.deliver(broken)
    await router.deliver(answered)
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        for parameters, why in ((broken, "it would fail"), (answered, "it was answered")):
            path = f"/console/messages/{parameters['MessageSid']}/replay"
            assert why in operator.get(path).text.replace("It was", "it was")
            refused = operator.post(path)
            assert (refused.status_code, why in refused.text) == (409, True)


@pytest.mark.slow
async def test_a_message_of_an_opted_out_contact_is_not_replayed(start_router: StartRouter) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    parameters = webhook("HOURS")
    await asyncio.to_thread(add_missed_message, router, parameters)
    router.command("opt-outs", "add", "+14155550123")
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        path = f"/console/messages/{parameters['MessageSid']}/replay"
        assert "he contact has opted out" in operator.get(path).text
        assert operator.post(path).status_code == 409


@pytest.mark.slow
async def test_the_replay_of_an_old_message_needs_a_confirmation(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment={**twilio.environment, "CONSOLE_PASSWORD": PASSWORD})
    parameters = webhook("HOURS")
    await asyncio.to_thread(add_missed_message, router, parameters)
    record = bucket_of(CONTACT).message(f"{ACCOUNT}/{parameters['MessageSid']}")
    with valkey.client() as client:
        client.hincrby(record, "received", -3 * 86_400_000)
    path = f"/console/messages/{parameters['MessageSid']}/replay"
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        assert "arrived 3 days ago" in operator.get(path).text
        assert operator.post(path).status_code == 409
        await twilio.expect_messages()
        assert operator.post(path, {"however_old": "1"}).status_code == 303
    await twilio.expect_messages(("12345", "We are open 9 to 5, SAN FRANCISCO."))


@pytest.mark.slow
async def test_a_replay_after_an_unknown_result_needs_a_confirmation(
    start_router: StartRouter, twilio: SandboxTwilio
) -> None:
    router = start_router(SHORT_DEADLINE, {**twilio.environment, "CONSOLE_PASSWORD": PASSWORD})
    await twilio.add_fault(kind="status", status=500, after=True, count=1)
    parameters = webhook("HOURS")
    await router.deliver(parameters)
    await report_status(router, f"{parameters['MessageSid']}.0", "undelivered", "30006")
    await wait_for_causes(router, parameters["MessageSid"], "may have been sent")
    path = f"/console/messages/{parameters['MessageSid']}/replay"
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        assert "may get it twice" in operator.get(path).text
        assert operator.post(path).status_code == 409
        response = operator.post(path, {"even_if_unknown": "1"})
    assert response.status_code == 303


async def test_the_default_is_sent_for_a_rule_that_has_failed_only_after_a_tick(
    start_router: StartRouter,
) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    broken = webhook("BROKEN")
    await router.deliver(broken)
    file = router.folder / "keywords.toml"
    file.write_text(file.read_text().replace('words = ["BROKEN"]', 'words = ["OTHER"]'))
    await wait_until(lambda: "the configuration was read again: added OTHER" in router.log)
    path = f"/console/messages/{broken['MessageSid']}/replay"
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        page = operator.get(path).text
        assert "Rule that has failed</dt><dd>BROKEN" in page
        assert 'name="even_if_default"' in page
        refused = operator.post(path)
        assert (refused.status_code, "The rule BROKEN has failed" in refused.text) == (409, True)
        assert operator.post(path, {"even_if_default": "1"}).status_code == 303
