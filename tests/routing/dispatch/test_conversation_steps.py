"""Which responder takes a message of a contact with a conversation."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from sms_router import Conversation, InboundMessage, Part, Reply, keyword, step
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler, Middleware
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from tests.routing.messages import message


def stored(step: str | None = "size", *, is_expired: bool = False, **state: object) -> StoredConversation:
    return StoredConversation(step, dict(state), 3600.0, is_expired)


@step("size")
async def size(argument: str, conversation: Conversation) -> Reply:
    conversation.state["size"] = argument
    return Reply("Thank you.", then="size")


@keyword("ORDER")
async def order() -> Reply:
    return Reply("Which size?", then=size)


async def keep_parts(reply: Reply, _: InboundMessage) -> Reply:
    return reply


THREADS = HandlerEnvironment(address=keep_parts)
SIZE = Handler.of(size, THREADS)
ORDER = Resolution("ORDER", HandlerResponder(Handler.of(order, THREADS), "", "ORDER"))
HOURS = Resolution("HOURS", TemplateResponder(StaticReply(Reply("9 to 5")), "", "OPEN"))
DEFAULT = Resolution("default", TemplateResponder(StaticReply(Reply("Text HOURS.")), "", ""), is_default=True)


def conversations(*interrupting: str, expired_reply: str = "") -> ConversationManager:
    policy = ConversationPolicy(60, ("EXIT", "no more"), "Bye.", interrupting, expired_reply, "Later.")
    return ConversationManager({"size": SIZE, "length": SIZE}, policy)


@pytest.mark.parametrize(
    ("conversation", "text", "resolution", "interrupting", "rule", "ends"),
    [
        (None, "x", DEFAULT, (), "default", False),
        (None, "exit", DEFAULT, (), "default", False),
        (None, "hours", HOURS, (), "HOURS", False),
        (stored(), "x", DEFAULT, (), "step size", False),
        (stored(), "hours", HOURS, (), "step size", False),
        (stored(), "hours", HOURS, ("all",), "HOURS", True),
        (stored(), "x", DEFAULT, ("all",), "step size", False),
        (stored(), "hours", HOURS, ("hours",), "HOURS", True),
        (stored(), "open", HOURS, ("Open",), "HOURS", True),
        (stored(), "order", ORDER, ("HOURS",), "step size", False),
        (stored(), "order", ORDER, ("ORDER",), "ORDER", True),
        (stored(), " Exit! ", DEFAULT, (), "left the conversation at size", True),
        (stored(), "no  more", HOURS, ("all",), "left the conversation at size", True),
        (stored(), "EXIT 👋", DEFAULT, (), "left the conversation at size", True),
        (stored("gone"), "x", DEFAULT, ("all",), "unknown step gone", False),
        (stored("gone"), "hours", HOURS, ("all",), "HOURS", True),
        (stored("gone"), "exit", HOURS, ("all",), "left the conversation at gone", True),
        (stored("length"), "x", DEFAULT, (), "step size", False),
        (stored(None, n=1), "x", DEFAULT, (), "default", False),
        (stored(None, n=1), "exit", DEFAULT, (), "default", False),
        (stored(is_expired=True), "x", DEFAULT, (), "default", True),
        (stored(is_expired=True), "exit", DEFAULT, (), "default", True),
        (stored(is_expired=True), "hours", HOURS, (), "HOURS", True),
    ],
)
def test_a_message_is_routed_to_the_step_or_to_its_rule(
    conversation: StoredConversation | None,
    text: str,
    resolution: Resolution,
    interrupting: tuple[str, ...],
    rule: str,
    ends: bool,
) -> None:
    routed = conversations(*interrupting).route(resolution, message(text), conversation)
    assert routed.rule == rule
    assert (routed.conversation is not None and routed.conversation.serialized == b"-") is ends


def test_an_expired_conversation_is_reported_unless_a_keyword_matches() -> None:
    manager = conversations(expired_reply="Too late.")
    assert (
        manager.route(DEFAULT, message("x"), stored(is_expired=True)).rule == "the conversation has expired"
    )
    assert manager.route(HOURS, message("hours"), stored(is_expired=True)).rule == "HOURS"
    assert manager.route(DEFAULT, message("x"), stored(None, is_expired=True)).rule == "default"


def test_an_interruption_begins_with_an_empty_state() -> None:
    routed = conversations("ORDER").route(ORDER, message("order"), stored(n=1))
    assert routed.conversation is not None
    assert routed.conversation.state == {}, "an interruption begins a new one"
    routed = conversations().route(ORDER, message("order"), stored(None, n=1))
    assert routed.conversation is not None
    assert routed.conversation.state == {"n": 1}


async def test_the_state_is_serialized_when_the_step_has_returned() -> None:
    routed = conversations().route(DEFAULT, message("XL"), stored(n=1))
    assert isinstance(routed.responder, HandlerResponder)
    assert not isinstance(await routed.responder.run(message("XL")), ReplyFailed)
    assert routed.conversation is not None
    assert json.loads(routed.conversation.serialized)["state"] == {"n": 1, "size": "XL"}


async def test_an_unknown_step_answers_try_again() -> None:
    responder = conversations().route(DEFAULT, message("XL"), stored("gone")).responder
    assert isinstance(responder, TemplateResponder)
    assert responder.reply(message("XL")) == Reply("Later.")


@pytest.mark.parametrize("replaced_by", [None, Reply("Once more.", then="size"), Reply("No.", then="gone")])
async def test_what_cannot_be_accepted_is_refused_before_the_middleware_goes_on(
    replaced_by: Reply | None,
) -> None:
    committed = []

    async def session(call_next: Callable[[], Awaitable[Reply]]) -> Reply:
        reply = await call_next()
        committed.append(reply)
        return replaced_by or reply

    async def broken(argument: str, conversation: Conversation) -> Reply:
        conversation.state["size"] = argument
        return Reply("Which?", then="size" if replaced_by else "gone")

    handler = Handler.of(broken, THREADS, [Middleware.of(session)])
    routed = ConversationManager({"size": handler}, ConversationPolicy()).route(
        DEFAULT, message("XL"), stored(n=1)
    )
    assert isinstance(routed.responder, HandlerResponder)
    assert routed.conversation is not None
    result = await routed.responder.run(message("XL"))
    is_accepted = replaced_by is not None and replaced_by.then == "size"
    assert isinstance(result, Reply) is is_accepted
    assert bool(committed) is (replaced_by is not None)
    assert bool(routed.conversation.serialized) is is_accepted


async def test_then_without_any_step_fails_with_the_remedy() -> None:
    assert isinstance(ORDER.responder, HandlerResponder)
    result = await ORDER.responder.run(message("order"))
    assert isinstance(result, ReplyFailed)
    assert "there is no @step" in result.cause


@pytest.mark.parametrize(
    ("resolution", "text"), [(DEFAULT, "Later."), (HOURS, "9 to 5")], ids=["unclaimed", "a keyword"]
)
def test_without_redis_only_rules_without_a_conversation_are_answered(
    resolution: Resolution, text: str
) -> None:
    responder = conversations().without_redis(resolution).responder
    assert isinstance(responder, TemplateResponder)
    reply = responder.reply(message("x"))
    assert isinstance(reply, Reply)
    assert reply.texts == (text,)


def test_an_interrupting_keyword_without_a_rule_is_reported() -> None:
    assert conversations("all").unknown_interruptions(["HOURS"]) == []
    (warning,) = conversations("hours", "MENUE").unknown_interruptions(["HOURS", "MENU"])
    assert "no rule has the keyword 'MENUE'" in warning


def test_a_leave_word_that_is_an_opt_out_keyword_is_reported() -> None:
    policy = ConversationPolicy(leave_words=("EXIT", "CANCEL"))
    dispatcher = Dispatcher(
        RuleTable.build(()),
        opt_outs=load_opt_out_keywords(),
        handlers=HandlerRegistry([], [], ConversationManager({"size": SIZE}, policy)),
    )
    (warning,) = dispatcher.opt_out_conflicts()
    assert "'CANCEL' is an opt-out word (STOP), so that it leaves no conversation" in warning


def test_every_keyword_interrupts_by_default() -> None:
    manager = ConversationManager({"size": SIZE}, ConversationPolicy())
    assert manager.route(HOURS, message("hours"), stored()).rule == "HOURS"
    assert manager.route(DEFAULT, message("x"), stored()).rule == "step size"


@step("pick")
async def pick(answer: str) -> str:
    return answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("L", "l"),
        ("L.", "l"),
        ("“L”", "l"),
        ("l 👍", "l"),
        ("❤️ L ❤️", "l"),
        (" extra  LARGE!", "extra large"),
        ("\u0661", "1"),
        ("👍", "👍"),
        ("?", "?"),
    ],
)
async def test_a_step_gets_the_answer_as_keywords_are_compared(text: str, answer: str) -> None:
    manager = ConversationManager({"pick": Handler.of(pick, THREADS)}, ConversationPolicy())
    responder = manager.route(DEFAULT, message(text), stored("pick")).responder
    assert isinstance(responder, HandlerResponder)
    assert await responder.run(message(text)) == Reply(answer)


@keyword("ASK")
async def ask() -> Reply:
    return Reply(["Welcome.", "Which size?"], then="size")


@keyword("PICTURE")
async def picture() -> Reply:
    return Reply(parts=[Part("One"), Part(media="https://example.com/a.png")], then="size")


@keyword("OTHERS")
async def others() -> Reply:
    return Reply(parts=[Part("One"), Part("You", to="+14155550199")], then="size")


@keyword("HELLO")
async def hello(conversation: Conversation) -> Reply:
    return Reply("Hello.")


@pytest.mark.parametrize(
    ("function", "hint", "texts"),
    [
        (order, "", ("Which size?",)),
        (order, "Text EXIT to stop.", ("Which size?\nText EXIT to stop.",)),
        (ask, "Text EXIT to stop.", ("Welcome.", "Which size?\nText EXIT to stop.")),
        (picture, "Text EXIT to stop.", ("One", "Text EXIT to stop.")),
        (others, "Text EXIT to stop.", ("One\nText EXIT to stop.", "You")),
        (hello, "Text EXIT to stop.", ("Hello.",)),
    ],
)
async def test_the_first_question_explains_how_to_leave_where_that_is_configured(
    function: Callable[..., object], hint: str, texts: tuple[str, ...]
) -> None:
    manager = ConversationManager({"size": SIZE}, ConversationPolicy(leave_hint=hint))
    begin = Resolution("ORDER", HandlerResponder(Handler.of(function, THREADS), "", "ORDER"))
    first = manager.route(begin, message("order"), None).responder
    assert isinstance(first, HandlerResponder)
    reply = await first.run(message("order"))
    assert isinstance(reply, Reply)
    assert reply.texts == texts
    second = manager.route(DEFAULT, message("x"), stored()).responder
    assert isinstance(second, HandlerResponder)
    assert await second.run(message("x")) == Reply("Thank you.", then="size")
