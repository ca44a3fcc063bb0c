"""The console while Redis is unavailable: a page that explains it, and never a traceback."""

from __future__ import annotations

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook
from tests.store.private_valkey import PrivateValkey
from tests.web.console.client import PASSWORD, ConsoleClient

NUMBER = {"number": "+14155550123"}


async def test_every_page_is_served_without_redis(start_router: StartRouter, valkey: PrivateValkey) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        assert operator.get("/console/messages").status_code == 200
        csrf = {"csrf": operator.csrf}
        valkey.kill()
        overview = operator.get("/console")
        assert overview.status_code == 200
        assert "They cannot be read now" in overview.text
        for path in ("/console/senders", "/console/keywords", "/console/people"):
            assert operator.get(path).status_code == 200
        for path in ("/console/messages", "/console/messages?failed=1", "/console/messages/SM1"):
            response = operator.get(path)
            assert response.status_code == 503
            assert "Redis is not available" in response.text
        for path, form in (
            ("/console/people", NUMBER),
            ("/console/people/opt-out", {**NUMBER, "scope": "MG" + "0" * 31 + "1"}),
            ("/console/keywords", {"text": "HOURS"}),
            (f"/console/senders/SC{'1' * 32}/cordon", {"reason": "x", "span": ""}),
            ("/console/messages/SM1/replay", {}),
        ):
            response = operator.send(path, {**csrf, **form})
            assert response.status_code == 503, path
            assert "Redis is not available" in response.text
        answer = await router.deliver(webhook("HOURS"))
        assert "We are open" in answer.text
        valkey.start()
        assert operator.get("/console/messages").status_code == 200
    assert "Traceback" not in router.log


@pytest.mark.slow
async def test_pages_time_out_with_a_frozen_redis(start_router: StartRouter, valkey: PrivateValkey) -> None:
    router = start_router(environment={"CONSOLE_PASSWORD": PASSWORD})
    with ConsoleClient(router.url) as operator:
        operator.log_in()
        operator.get("/console/messages")
        valkey.freeze()
        assert operator.get("/console/messages").status_code == 503
        answer = await router.deliver(webhook("HOURS"))
        assert "We are open" in answer.text
        valkey.thaw()
        assert operator.get("/console/messages").status_code == 200
