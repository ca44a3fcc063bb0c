"""A contact on the opt-out list gets the replies to opt-out keywords, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router import Reply
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.reply import SILENCE
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords import Intent
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.models import RecipientFacts, ReplyFrom
from sms_router.twilio.twiml import EMPTY
from tests.routing.messages import message
from tests.senders.builders import NUMBERS, pool, sender

WORDS = load_opt_out_keywords()
OPTED_OUT = RecipientFacts(opted_out=True)


def rule(word: str, kind: MatchKind = MatchKind.FIRST_WORD) -> Rule[RuleAction]:
    return Rule((word,), kind, Scope(), StaticReply(Reply(word)), word, f"test, {word}")


RULES = (rule("HOURS"), rule("CANCEL", MatchKind.WHOLE), rule("START"), rule("INFO"), rule("CANCELLED"))
DISPATCHER = Dispatcher(RuleTable.build(RULES), Defaults(StaticReply(Reply("default"))), WORDS)
OWN = st.sampled_from(["HOURS", "hours now", "cancel", "STOP", "Help!", "START", "start now", "yes", "info"])


@given(OWN | st.text(max_size=40), st.sampled_from(["12345", "+14155550100", "+18885550100"]))
def test_only_opt_out_keywords_get_a_reply(text: str, number: str) -> None:
    resolution = DISPATCHER.resolve(message(text, recipient=number)).for_contact(opted_out=True)
    assert isinstance(resolution.responder, TemplateResponder)
    if resolution.opt_out is None or resolution.opt_out.intent is Intent.STOP:
        assert resolution.responder.reply(message()) is SILENCE


@pytest.mark.parametrize(
    ("text", "opted_out", "rule"),
    [
        ("HOURS", False, "HOURS"),
        ("HOURS", True, "opted out: no reply"),
        ("cancel", False, "opt-out word CANCEL (STOP), answered by the router"),
        ("cancel", True, "opt-out word CANCEL again: no reply"),
        ("cancel 5", False, "default"),
        ("start", False, "START"),
        ("start", True, "opt-out word START, answered by the router"),
        ("unstop", False, "opt-out word UNSTOP (START), answered by the router"),
        ("yes", False, "default"),
        ("yes", True, "opt-out word YES (START), answered by the router"),
        ("help", True, "opt-out word HELP, answered by the router"),
    ],
)
def test_opt_out_keywords_come_before_rules_except_start(text: str, opted_out: bool, rule: str) -> None:
    assert DISPATCHER.resolve(message(text)).for_contact(opted_out).rule == rule


def test_rules_that_opt_out_keywords_hide_are_reported() -> None:
    warnings = DISPATCHER.opt_out_conflicts()
    assert [line.partition(" ")[0] for line in warnings] == ["'CANCEL'", "'INFO'"]
    assert "an opt-out word (STOP), so that CANCEL (test, CANCEL) does not get it" in warnings[0]
    assert "left_to_keywords" in warnings[0]


replies = st.builds(
    Reply,
    st.text(max_size=20) | st.lists(st.text(max_size=10), max_size=3),
    st.sampled_from([(), "https://example.com/a.png"]),
    st.sampled_from([None, "12345", NUMBERS["US"][0], "+19995550100"]),
    st.booleans(),
)


@given(replies, st.sampled_from(ReplyFrom), st.booleans(), st.sampled_from(["12345", "+19995550100"]))
def test_no_reply_is_sent_to_an_opted_out_contact(
    reply: Reply, policy: ReplyFrom, known: bool, texted: str
) -> None:
    senders = pool(sender("12345"), sender(NUMBERS["US"][0])) if known else None
    composer = Composer(lambda *_: senders, {None: policy}, "https://sms.example.com")
    assert composer.compose(message(recipient=texted), reply, "rule", OPTED_OUT).document is EMPTY


def test_every_intent_has_a_reply() -> None:
    for word, intent in (("STOP", Intent.STOP), ("START", Intent.START), ("HELP", Intent.HELP)):
        match = DISPATCHER.resolve(message(word)).opt_out
        assert match is not None
        assert match.intent is intent
        assert match.reply.texts
