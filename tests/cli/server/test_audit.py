"""The auditor texts opt-out words to each kind of number, and notes who replies."""

from __future__ import annotations

from sms_router.cli.server.audit import play_audit
from sms_router.routing.opt_outs.keywords import Intent, Language
from tests.sandbox.sandbox_fixture import run_sandbox


async def test_replies_are_counted_and_their_authors_named() -> None:
    languages = [_language("en", "HELP", "STOP", "START"), _language("fr", "AIDE", "ARRET", "DEBUT")]
    async with run_sandbox() as sandbox:
        sandbox.customer.set_twiml("/sms", "<Message>Hi</Message>")
        texts = [text async for text in play_audit(sandbox.platform, languages)]
    found = {
        (text.kind, text.text): ([reply.author for reply in text.replies], text.objection) for text in texts
    }
    assert found["long code", "HELP"] == (["Twilio", "router"], "replies: 2 instead of 1")
    assert found["toll-free number", "STOP"] == (["network", "router"], "replies: 2 instead of 1")
    assert found["short code", "STOP"] == (["router"], "")
    assert found["short code", "hello"] == (["router"], "replies: 1 instead of 0")
    assert found["long code", "AIDE"] == (["router"], "")
    assert len(texts) == 3 * 2 * 4


def _language(code: str, help_word: str, stop: str, start: str) -> Language:
    return Language(code, {Intent.HELP: (help_word,), Intent.STOP: (stop,), Intent.START: (start,)}, {})
