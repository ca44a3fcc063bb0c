"""The pages of routers with other configurations."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook
from tests.end_to_end.sandbox_twilio import report_status
from tests.web.console.client import PASSWORD, ConsoleClient

PAGES = ("", "/messages", "/messages?failed=1", "/senders", "/keywords", "/people")


async def test_pages_without_a_messaging_service(start_router: StartRouter) -> None:
    environment = {"CONSOLE_PASSWORD": PASSWORD, "TWILIO_MESSAGING_SERVICE_SID": ""}
    router = start_router(environment=environment)
    await router.deliver(webhook("HOURS", MessagingServiceSid=""))
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        for page in PAGES:
            assert operator.get(f"/console{page}").status_code == 200
        assert "No Messaging Service is configured" in operator.get("/console/senders").text
        somebody = {"number": "+14155550123", "ours": "12345", "scope": "12345", "confirmed": "1"}
        assert "Outside of Services" in operator.post("/console/people", somebody).text
        assert "They are on the opt-out list now." in operator.post("/console/people/opt-out", somebody).text
        tried = {"text": "HOURS", "from": "+14155550199", "to": "12345"}
        assert "We are open" in operator.post("/console/keywords", tried).text
        assert operator.post("/console/keywords", {"text": "HOURS"}).status_code == 400


@pytest.mark.slow
async def test_an_open_configuration_masks_nothing(start_router: StartRouter) -> None:
    more = 'privacy = "open"\n[[senders]]\nkind = "long-code"\nmessages_per_second = 1\ndaily_cap = 99\n'
    router = start_router(more, {"CONSOLE_PASSWORD": PASSWORD})
    parameters = webhook("HOURS now")
    await router.deliver(parameters)
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        for page in ("", "/messages", f"/messages/{parameters['MessageSid']}"):
            text = operator.get(f"/console{page}").text
            assert "+14155550123" in text
            assert "in full" not in text
        assert "HOURS now" in operator.get("/console/messages").text
        assert "1 a second, 99 a day" in operator.get("/console/senders").text
        assert "+14155550123" in operator.post("/console/people", {"number": "+14155550123"}).text


@pytest.mark.slow
async def test_the_list_shows_the_delivery_status_of_replies(start_router: StartRouter) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    good, bad = webhook("HOURS"), webhook("HOURS", From="+14155550124")
    for parameters, status, code in ((good, "delivered", ""), (bad, "undelivered", "30005")):
        await router.deliver(parameters)
        await report_status(router, f"{parameters['MessageSid']}.0", status, code, To=parameters["From"])
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        page = operator.get("/console/messages").text
        assert '<span class="badge good">delivered</span>' in page
        assert '<span class="badge bad">undelivered 30005</span>' in page
        assert "undelivered" in operator.get(f"/console/messages/{bad['MessageSid']}").text
        page = operator.post("/console/messages", {"outcome": "not delivered"}).text
        assert (bad["MessageSid"] in page, good["MessageSid"] in page) == (True, False)
