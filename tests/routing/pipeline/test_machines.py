"""Senders that are no people get nothing; reactions and group messages get no reply, opt-out keywords do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router import Reply
from sms_router.routing.contacts.contact import UNKNOWN, ContactSummary
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.resolution import Resolution, RuleAction
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import RedirectedPart
from sms_router.routing.keywords.rule_table import MatchVerdict, RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import explain
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_CONDITIONS, NO_FACTS, ReplyFrom
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY
from tests.routing.messages import CONTACT, message
from tests.senders.builders import pool, sender

POOL = pool(sender("12345"), sender("+14155550100"), sender("+12125550100"))
OWN_NUMBERS = {each.address for each in POOL.senders} | {"+13035550100"}
LIKED = "Liked “We are open 9 to 5”"
GROUP = {"OtherRecipients0": "+14155550124"}

CASES = [
    ("+14155550100", "+12125550100", "HOURS", {}, "HOURS", "our own numbers"),
    ("+13035550100", "12345", "HOURS", {}, "HOURS", "our own numbers"),
    ("12345", "12345", "HOURS", {}, "HOURS", "our own numbers"),
    ("rcs:+14155550100", "12345", "HOURS", {}, "HOURS", "our own numbers"),
    ("whatsapp:+14155550100", "12345", "HOURS", {}, "HOURS", "our own numbers"),
    ("24273", "12345", "HOURS", {}, "HOURS", "short code 24273, which cannot be texted (21265)"),
    ("+24273", "12345", "HOURS", {}, "HOURS", "short code +24273"),
    ("24273", "12345", "what?", {}, "default", "short code"),
    ("24273", "12345", "STOP", {}, "opt-out word STOP, answered by the router", "short code"),
    ("AMAZON", "12345", "HOURS", {}, "HOURS", "name AMAZON, which cannot be texted (21211)"),
    ("266696687", "12345", "HOURS", {}, "HOURS", "an anonymous sender"),
    ("+266696687", "12345", "HOURS", {}, "HOURS", "an anonymous sender"),
    ("Anonymous", "12345", "HOURS", {}, "HOURS", "an anonymous sender"),
    (CONTACT, "12345", LIKED, {}, "a reaction: no reply", None),
    (CONTACT, "12345", "Reacted 👍 to “We are open 9 to 5”", {}, "a reaction: no reply", None),
    (CONTACT, "12345", "Loved an image", {}, "a reaction: no reply", None),
    (CONTACT, "12345", "Liked “STOP”", {}, "a reaction: no reply", None),
    (CONTACT, "12345", "HOURS are 9 to 5 at Joe's, meet there?", GROUP, "HOURS", "group MMS"),
]
ANSWERED = [
    (CONTACT, "STOP", GROUP),
    (CONTACT, "Liked it a lot, when are you open?", {}),
    (CONTACT, "HOURS", {}),
    ("whatsapp:+14155550123", "HOURS", {}),
    ("messenger:1234", "HOURS", {}),
    ("+290412345", "HOURS", {}),
]


def thank(argument: str, keyword: str) -> str:
    return f"{keyword}: {argument}"


def size(answer: str) -> str:
    return answer


def reply_of(resolution: Resolution, text: InboundMessage) -> Reply:
    assert isinstance(resolution.responder, TemplateResponder)
    reply = resolution.responder.reply(text)
    assert isinstance(reply, Reply)
    return reply


def composer(*, answer_groups: bool = False) -> Composer:
    policies: dict[str | None, ReplyFrom] = {None: ReplyFrom.SHORT_CODE_FIRST}
    return Composer(lambda *_: POOL, policies, "", own_numbers=OWN_NUMBERS, answer_groups=answer_groups)


def dispatcher(folder: Path, on_reaction: Handler | None = None) -> Dispatcher:
    hours: Rule[RuleAction] = Rule(
        ("HOURS",), MatchKind.FIRST_WORD, Scope(), StaticReply(Reply("9 to 5")), "HOURS", ""
    )
    defaults = Defaults(StaticReply(Reply("What?")))
    handlers = HandlerRegistry([], [], on_reaction=on_reaction)
    return Dispatcher(RuleTable.build([hours]), defaults, load_opt_out_keywords(folder), handlers=handlers)


@pytest.mark.parametrize(("from_", "to", "body", "more", "rule", "reason"), CASES)
def test_nothing_is_sent_and_the_trail_has_the_reason(
    tmp_path: Path, from_: str, to: str, body: str, more: dict[str, str], rule: str, reason: str | None
) -> None:
    text = message(body, sender=from_, recipient=to, **more)
    rules = dispatcher(tmp_path)
    resolution = rules.resolve(text)
    assert resolution.rule == rule, "rules match all the same"
    reply = reply_of(resolution, text)
    rendered = composer().compose(text, reply, rule, is_opt_out=resolution.opt_out is not None)
    assert (rendered.document, rendered.unsendable) == (EMPTY, False)
    explanation = explain(text, ContactSummary(UNKNOWN, ErrorTable({}), 0), rules, composer(), NO_CONDITIONS)
    assert explanation.sender is None
    chosen = [line.rule.name for line in explanation.candidates if line.verdict is MatchVerdict.CHOSEN]
    assert chosen == ([rule] if rule == "HOURS" else [])
    if reason is not None:
        assert reason in rendered.trail_text
        assert reason in explanation.trail[0].reason


@pytest.mark.parametrize(("from_", "body", "more"), ANSWERED)
def test_a_contact_who_is_no_machine_gets_a_reply(
    tmp_path: Path, from_: str, body: str, more: dict[str, str]
) -> None:
    text = message(body, sender=from_, **more)
    resolution = dispatcher(tmp_path).resolve(text)
    reply = reply_of(resolution, text)
    assert composer().compose(text, reply, "", is_opt_out=resolution.opt_out is not None).document != EMPTY


def test_a_group_is_answered_where_that_is_configured() -> None:
    text = message("HOURS", **GROUP)
    assert composer(answer_groups=True).compose(text, Reply("9 to 5"), "HOURS").document != EMPTY


def test_a_part_to_another_contact_is_sent() -> None:
    parts = (RedirectedPart("to all", to="+12065550199", facts=NO_FACTS),)
    rendered = composer().compose(message(sender="24273"), Reply(parts=parts), "FORWARD")
    assert b"+12065550199" in rendered.document
    assert "short code 24273" in rendered.trail_text


async def test_a_handler_of_reactions_gets_them_and_no_conversation_takes_them(tmp_path: Path) -> None:
    environment = HandlerEnvironment()
    conversations = ConversationManager({"size": Handler.of(size, environment)}, ConversationPolicy())
    stored = StoredConversation("size", {}, 900.0)
    for handler, rule in (
        (None, "a reaction: no reply"),
        (Handler.of(thank, environment), "a reaction, to thank"),
    ):
        resolution = dispatcher(tmp_path, handler).resolve(message(LIKED))
        assert resolution.rule == rule
        assert not conversations.needs_lock(resolution)
        assert conversations.route(resolution, message(LIKED), stored) is resolution
        assert conversations.without_redis(resolution) is resolution
        assert resolution.for_contact(opted_out=True).rule == "opted out: no reply"
        if isinstance(resolution.responder, HandlerResponder):
            assert await resolution.responder.run(message(LIKED)) == Reply("like: We are open 9 to 5")
