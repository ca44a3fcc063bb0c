"""What ``explain`` prints for a text, compared with what the router does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sms_router import Conversation, Reply, keyword, step
from sms_router.routing.contacts.contact import UNKNOWN, Contact, ContactSummary, OptOutState
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import Explanation, explain
from sms_router.senders.error_table import ErrorTable
from sms_router.senders.models import NO_CONDITIONS, Capability, ReplyFrom, Sender, SenderKind
from sms_router.senders.pool import Pool
from tests.routing.messages import CONTACT, message

NOW = 1_800_000_000_000
THREADS = HandlerEnvironment()
BOTH = Capability.SMS | Capability.MMS
POOL = Pool(
    "MG1",
    1,
    (
        Sender("SC1", "12345", SenderKind.SHORT_CODE, "US", BOTH),
        Sender("PN1", "+14155550100", SenderKind.LONG_CODE, "US", BOTH),
    ),
)


@keyword("ORDER")
async def order(conversation: Conversation) -> Reply:
    return Reply("Which size?", then="size")


@step("size")
async def size(answer: str) -> str:
    return answer


def rule(*words: str, kind: MatchKind = MatchKind.FIRST_WORD, scope: Scope = Scope()) -> Rule:  # type: ignore[type-arg]  # noqa: B008
    return Rule(words, kind, scope, StaticReply(Reply(words[0])), words[0], "")


def dispatcher(folder: Path) -> Dispatcher:
    size_handler = Handler.of(size, THREADS)
    rules = [
        rule("HOURS"),
        rule("STOP"),
        rule("PIE"),
        rule("PIE NOW"),
        rule("C"),
        rule("C+"),
        rule("PIE", kind=MatchKind.WHOLE),
        rule("BONJOUR", scope=Scope(countries=frozenset({"CA"}))),
        rule(r"pie (\d+)", kind=MatchKind.PATTERN),
    ]
    conversations = ConversationManager({"size": size_handler}, ConversationPolicy(leave_reply="Bye."))
    defaults = Defaults(StaticReply(Reply("What?")))
    opt_outs = load_opt_out_keywords(folder, frozenset())
    return Dispatcher(
        RuleTable.build(rules), defaults, opt_outs, handlers=HandlerRegistry([], [], conversations)
    )


IN_STEP = StoredConversation("size", {}, 900.0)
OPTED_OUT = Contact(opted_out=OptOutState(NOW - 1000, "STOP"))


def explained(
    folder: Path,
    text: str,
    contact: Contact = UNKNOWN,
    conversation: StoredConversation | None = None,
    sender: str = CONTACT,
    recipient: str = "12345",
) -> Explanation:
    known = ContactSummary(contact, ErrorTable({}), NOW)
    composer = Composer(lambda service, texted, _: POOL, {None: ReplyFrom.SHORT_CODE_FIRST}, "")
    text_message = message(text, sender=sender, recipient=recipient, FromCountry="")
    return explain(text_message, known, dispatcher(folder), composer, NO_CONDITIONS, conversation)


@pytest.mark.parametrize(
    ("text", "contact", "conversation", "rule_name", "rules"),
    [
        (
            "hours",
            UNKNOWN,
            None,
            "HOURS",
            ["HOURS: chosen: 'HOURS' is a word of its own; scope: everywhere"],
        ),
        (
            "STOP",
            UNKNOWN,
            None,
            "opt-out word STOP, answered by the router",
            ["STOP: outranked: opt-out words come before rules"],
        ),
        (
            "hours",
            OPTED_OUT,
            None,
            "opted out: no reply",
            ["HOURS: outranked: a contact who has opted out gets no reply"],
        ),
        (
            "exit",
            UNKNOWN,
            IN_STEP,
            "left the conversation at size",
            [],
        ),
        ("large", UNKNOWN, IN_STEP, "step size", []),
        (
            "hours",
            UNKNOWN,
            IN_STEP,
            "HOURS",
            ["HOURS: chosen: 'HOURS' is a word of its own; scope: everywhere"],
        ),
        (
            "pie now please",
            UNKNOWN,
            None,
            "PIE NOW",
            [
                "PIE NOW: chosen: 'PIE NOW' is a word of its own; scope: everywhere",
                "PIE: outranked: PIE NOW takes precedence: its keyword is longer",
                "PIE: other kind: 'PIE' must be the whole message",
            ],
        ),
        (
            "c+",
            UNKNOWN,
            None,
            "C+",
            [
                "C+: chosen: 'C+' is a word of its own; scope: everywhere",
                "C: outranked: C+ takes precedence: it matches the text with its signs, and the other one"
                " only without them",
            ],
        ),
        (
            "pie 12",
            UNKNOWN,
            None,
            "PIE",
            [
                "PIE: chosen: 'PIE' is a word of its own; scope: everywhere",
                r"pie (\d+): outranked: PIE takes precedence: first-word before pattern",
                "PIE: other kind: 'PIE' must be the whole message",
            ],
        ),
        ("bonjour", UNKNOWN, None, "default", ["BONJOUR: other scope: only for country CA"]),
        (
            "pieces",
            UNKNOWN,
            None,
            "default",
            [
                "PIE: other kind: 'PIE' must be the whole message",
                "PIE: other kind: 'PIE' must be a word of its own",
            ],
        ),
    ],
)
def test_the_rules_are_explained(
    tmp_path: Path,
    text: str,
    contact: Contact,
    conversation: StoredConversation | None,
    rule_name: str,
    rules: list[str],
) -> None:
    explanation = explained(tmp_path, text, contact, conversation)
    assert explanation.rule == rule_name
    lines = [
        f"{candidate.rule.name}: {candidate.verdict.value}: {candidate.reason}"
        for candidate in explanation.candidates
    ]
    assert lines == rules


@pytest.mark.parametrize(
    ("text", "sender", "recipient", "reason"),
    [
        ("hours", "+14155550123", "12345", "short code of US, the contact's country"),
        ("STOP", "+14155550123", "12345", "the texted number, which the reply names"),
        (
            "hours",
            "+99912345678",
            "12345",
            "short code of US, the country of the texted short code, because the contact's is unknown",
        ),
        ("hours", "+99912345678", "+14155550100", "long code of US, the contact's country is unknown"),
        ("hours", "whatsapp:+14155550123", "whatsapp:+14155550100", "the channel of the incoming message"),
    ],
)
def test_the_sender_is_explained(tmp_path: Path, text: str, sender: str, recipient: str, reason: str) -> None:
    explanation = explained(tmp_path, text, sender=sender, recipient=recipient)
    (chosen,) = [line for line in explanation.trail if line.is_chosen]
    assert chosen.reason == reason
