"""The auditor texts opt-out words to each kind of number, and notes who replies."""

from __future__ import annotations

from sms_router.sandbox.scenarios.auditor import AuditWords, play_audit
from tests.sandbox.sandbox_fixture import SandboxFixture


async def test_replies_are_counted_and_their_authors_named(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>Hi</Message>")
    words = [AuditWords("en", "HELP", "STOP", "START"), AuditWords("fr", "AIDE", "ARRET", "DEBUT")]
    texts = [text async for text in play_audit(sandbox.platform, words)]
    found = {
        (text.kind, text.text): ([reply.author for reply in text.replies], text.objection) for text in texts
    }
    assert found["long code", "HELP"] == (["Twilio", "router"], "replies: 2 instead of 1")
    assert found["toll-free number", "STOP"] == (["network", "router"], "replies: 2 instead of 1")
    assert found["short code", "STOP"] == (["router"], "")
    assert found["short code", "hello"] == (["router"], "replies: 1 instead of 0")
    assert found["long code", "AIDE"] == (["router"], "")
    assert len(texts) == 3 * 2 * 4
