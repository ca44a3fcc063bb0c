"""The log of a router, as text and as JSON."""

from __future__ import annotations

import json

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook


async def test_a_log_line_names_its_message(start_router: StartRouter) -> None:
    router = start_router()
    parameters = webhook("BOOM")
    await router.deliver(parameters)
    assert f"[{parameters['MessageSid']}]" in router.log


async def test_json_logs_have_one_document_a_line(start_router: StartRouter) -> None:
    router = start_router('[server]\nlogs = "json"')
    broken, thread = webhook("BOOM"), webhook("THREAD")
    await router.deliver(broken)
    await router.deliver(thread)
    documents = [json.loads(line) for line in router.log.splitlines() if line.startswith("{")]
    (failure,) = [document for document in documents if document.get("message_sid") == broken["MessageSid"]]
    assert failure["level"] == "ERROR"
    assert "boom failed" in failure["message"]
    assert failure["logger"] == "sms_router.dispatch"
    assert failure["time"]
    assert broken["From"] not in router.log
