"""What is kept of a conversation, and who takes the next message of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router import Conversation, Reply, keyword, step
from sms_router.routing.dispatch.conversation_steps import ConversationManager, ConversationPolicy
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import (
    LARGEST,
    NOTHING,
    OVER,
    ConversationError,
    StoredConversation,
)
from sms_router.routing.handler.decorators import step_of
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import ReplyFailed
from sms_router.routing.handler.thread_pool import HandlerThreadPool
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from tests.routing.messages import message

MINUTE = 60_000
HOUR = 3600.0


def talk(step: str | None = "size", *, expired: bool = False, **state: object) -> StoredConversation:
    return StoredConversation(step, dict(state), HOUR, expired)


# --- what is kept ---


@pytest.mark.parametrize(
    ("before", "state", "then", "declared", "kept"),
    [
        (None, {}, None, False, None),
        (None, {}, None, True, None),
        (None, {"n": 1}, None, True, (None, {"n": 1})),
        (None, {}, "size", False, ("size", {})),
        (talk(None, n=1), {"n": 1}, None, False, None),
        (talk(None, n=1), {"n": 2}, None, True, (None, {"n": 2})),
        (talk(None, n=1), {"n": 1}, "size", False, ("size", {"n": 1})),
        (talk(None, n=1), {}, None, True, "over"),
    ],
)
def test_what_a_keyword_leaves(
    before: StoredConversation | None, state: dict[str, Any], then: str | None, declared: bool, kept: object
) -> None:
    conversation = Conversation(before, 60)
    conversation.state = state
    conversation.finish(then, ("size",), declared)
    if isinstance(kept, tuple):
        said = json.loads(conversation.kept)
        assert (said["step"], said["state"]) == kept
        assert said["lasts"] == (60 if before is None else HOUR)
    else:
        assert conversation.kept == (NOTHING if kept is None else OVER)


def test_a_step_that_asks_nothing_more_is_done_and_what_it_knows_stays() -> None:
    conversation = Conversation(talk(n=1), 60, "size")
    conversation.finish(None, ("size",), declared=False)
    assert json.loads(conversation.kept) == {"step": None, "state": {"n": 1}, "lasts": HOUR}


def test_an_end_forgets_everything_unless_a_step_follows() -> None:
    over = Conversation(talk(n=1), 60, "size")
    over.end()
    over.finish(None, ("size",), declared=True)
    assert over.kept == OVER
    anew = Conversation(talk(n=1), 60, "size")
    anew.end()
    anew.finish("size", ("size",), declared=True)
    assert json.loads(anew.kept)["state"] == {}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"when": object()}, "keep texts, numbers, lists and dicts"),
        ({"x": float("nan")}, "cannot be kept"),
        ({"x": "y" * LARGEST}, f"bytes of {LARGEST}"),
        ({"x": "é" * (LARGEST // 2)}, "too large"),
    ],
    ids=["no JSON", "no number", "too large", "too large in bytes"],
)
def test_what_cannot_be_kept_is_told(state: dict[str, Any], told: str) -> None:
    conversation = Conversation(None, 60)
    conversation.state = state
    with pytest.raises(ConversationError, match=told):
        conversation.finish("size", ("size",), declared=True)
    assert conversation.kept == NOTHING


def test_a_step_that_nobody_wrote_is_told_with_those_that_are() -> None:
    with pytest.raises(ConversationError, match=r"'sise' \(known: size\)"):
        Conversation(None, 60).finish("sise", ("size",), declared=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.integers(-MINUTE, MINUTE))
def test_what_is_kept_comes_back(state: dict[str, Any], left: int) -> None:
    conversation = Conversation(None, 60)
    conversation.state = state
    try:
        conversation.finish("size", ("size",), declared=True)
    except ConversationError:
        return
    found = StoredConversation.read(conversation.kept, left)
    assert found is not None
    if all(not 0xD800 <= ord(letter) < 0xE000 for letter in json.dumps(state, ensure_ascii=False)):
        assert found.state == state
    assert (found.step, found.lasts, found.expired) == ("size", 60, left <= 0)


@given(st.none() | st.binary(max_size=40), st.none() | st.integers())
def test_what_cannot_be_read_is_no_conversation(said: bytes | None, left: int | None) -> None:
    assert StoredConversation.read(said, left) is None


# --- who takes the next message ---


@step("size")
async def size(argument: str, conversation: Conversation) -> Reply:
    conversation.state["size"] = argument
    return Reply("Thank you.", then="size")


@keyword("ORDER")
async def order() -> Reply:
    return Reply("Which size?", then=size)


THREADS = HandlerThreadPool(1)
SIZE = Handler.of(size, THREADS)
ORDER = Resolution("ORDER", HandlerResponder(Handler.of(order, THREADS), "", "ORDER"))
HOURS = Resolution("HOURS", TemplateResponder(StaticReply(Reply("9 to 5")), "", "OPEN"))
DEFAULT = Resolution("default", TemplateResponder(StaticReply(Reply("Text HOURS.")), "", ""), is_default=True)


def conversations(*interrupting: str, expired: str = "") -> ConversationManager:
    customs = ConversationPolicy(60, ("EXIT", "no more"), "Bye.", interrupting, expired, "Later.")
    return ConversationManager({"size": SIZE}, customs)


@pytest.mark.parametrize(
    ("kept", "text", "found", "interrupting", "rule", "over"),
    [
        (None, "x", DEFAULT, (), "default", False),
        (None, "exit", DEFAULT, (), "default", False),
        (None, "hours", HOURS, (), "HOURS", False),
        (talk(), "x", DEFAULT, (), "step size", False),
        (talk(), "hours", HOURS, (), "step size", False),
        (talk(), "hours", HOURS, ("all",), "HOURS", True),
        (talk(), "x", DEFAULT, ("all",), "step size", False),
        (talk(), "hours", HOURS, ("hours",), "HOURS", True),
        (talk(), "open", HOURS, ("Open",), "HOURS", True),
        (talk(), "order", ORDER, ("HOURS",), "step size", False),
        (talk(), "order", ORDER, ("ORDER",), "ORDER", True),
        (talk(), " Exit! ", DEFAULT, (), "left the conversation at size", True),
        (talk(), "no  more", HOURS, ("all",), "left the conversation at size", True),
        (talk("gone"), "x", DEFAULT, (), "default", True),
        (talk(None, n=1), "x", DEFAULT, (), "default", False),
        (talk(None, n=1), "exit", DEFAULT, (), "default", False),
        (talk(expired=True), "x", DEFAULT, (), "default", True),
        (talk(expired=True), "exit", DEFAULT, (), "default", True),
        (talk(expired=True), "hours", HOURS, (), "HOURS", True),
    ],
)
def test_who_takes_a_message(
    kept: StoredConversation | None,
    text: str,
    found: Resolution,
    interrupting: tuple[str, ...],
    rule: str,
    over: bool,
) -> None:
    taken = conversations(*interrupting).route(found, message(text), kept)
    assert taken.rule == rule
    assert (taken.conversation is not None and taken.conversation.kept == OVER) is over


def test_what_has_expired_is_said_where_no_keyword_is_meant() -> None:
    customs = conversations(expired="Too late.")
    assert customs.route(DEFAULT, message("x"), talk(expired=True)).rule == "the conversation has expired"
    assert customs.route(HOURS, message("hours"), talk(expired=True)).rule == "HOURS"
    assert customs.route(DEFAULT, message("x"), talk(None, expired=True)).rule == "default"


def test_only_who_asked_goes_on_with_what_was_kept() -> None:
    taken = conversations("ORDER").route(ORDER, message("order"), talk(n=1))
    assert taken.conversation is not None
    assert taken.conversation.state == {}, "an interruption begins anew"
    taken = conversations().route(ORDER, message("order"), talk(None, n=1))
    assert taken.conversation is not None
    assert taken.conversation.state == {"n": 1}


async def test_what_a_step_makes_of_it_is_settled_when_it_answers() -> None:
    taken = conversations().route(DEFAULT, message("XL"), talk(n=1))
    assert isinstance(taken.responder, HandlerResponder)
    assert not isinstance(await taken.responder.run(message("XL")), ReplyFailed)
    assert taken.conversation is not None
    assert json.loads(taken.conversation.kept)["state"] == {"n": 1, "size": "XL"}


async def test_then_without_any_step_is_a_failure_with_the_remedy() -> None:
    assert isinstance(ORDER.responder, HandlerResponder)
    outcome = await ORDER.responder.run(message("order"))
    assert isinstance(outcome, ReplyFailed)
    assert "there is no @step" in outcome.cause


@pytest.mark.parametrize(
    ("found", "text"), [(DEFAULT, "Later."), (HOURS, "9 to 5")], ids=["unclaimed", "a keyword"]
)
def test_without_redis_only_what_needs_nothing_is_answered(found: Resolution, text: str) -> None:
    action = conversations().without_redis(found).responder
    assert isinstance(action, TemplateResponder)
    reply = action.reply(message("x"))
    assert isinstance(reply, Reply)
    assert reply.texts == (text,)


def test_keywords_that_interrupt_must_be_some() -> None:
    assert conversations("all").unknown_interruptions(["HOURS"]) == []
    (told,) = conversations("hours", "MENUE").unknown_interruptions(["HOURS", "MENU"])
    assert "no rule has the keyword 'MENUE'" in told


def test_leave_words_that_opt_out_words_take_are_told() -> None:
    customs = ConversationPolicy(leave_words=("EXIT", "CANCEL"))
    taking = Dispatcher(
        RuleTable.build(()),
        opt_outs=load_opt_out_keywords(),
        conversations=ConversationManager({"size": SIZE}, customs),
    )
    (told,) = taking.opt_out_conflicts()
    assert "'CANCEL' is an opt-out word (STOP), so that it leaves no conversation" in told


def test_a_reply_names_its_step_or_gives_it() -> None:
    assert Reply("?", then="size").next_step == "size"
    assert Reply("?", then=size).next_step == "size"
    assert Reply("?").next_step is None
    with pytest.raises(TypeError, match="a function below @step"):
        Reply("?", then=order)


@pytest.mark.parametrize(("name", "told"), [("", "needs its name"), (size, "needs its name")])
def test_a_step_has_a_name(name: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        step(name)
    assert step_of(size) is not None
