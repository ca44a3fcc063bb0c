"""What the log says, for people and for programs."""

from __future__ import annotations

import json

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import webhook


async def test_a_line_names_the_message_it_belongs_to(start_router: StartRouter) -> None:
    router = start_router()
    parameters = webhook("BOOM")
    await router.deliver(parameters)
    assert f"[{parameters['MessageSid']}]" in router.log


async def test_programs_read_one_document_a_line(start_router: StartRouter) -> None:
    router = start_router('[server]\nlogs = "json"')
    broken, thread = webhook("BOOM"), webhook("THREAD")
    await router.deliver(broken)
    await router.deliver(thread)
    documents = [json.loads(line) for line in router.log.splitlines() if line.startswith("{")]
    failed = [each for each in documents if each.get("message_sid") == broken["MessageSid"]]
    assert [each["level"] for each in failed] == ["ERROR"]
    assert "boom failed" in failed[0]["message"]
    assert failed[0]["logger"] == "sms_router.dispatch"
    assert failed[0]["time"]
    assert broken["From"] not in router.log
