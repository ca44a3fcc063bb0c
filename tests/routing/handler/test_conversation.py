"""Conversations: what is stored when a handler has returned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router import Conversation
from sms_router.routing.handler.conversation import (
    ConversationError,
    StoredConversation,
)

MINUTE = 60_000
HOUR = 3600.0


def stored(step: str | None = "size", **state: object) -> StoredConversation:
    return StoredConversation(step, dict(state), HOUR)


@pytest.mark.parametrize(
    ("before", "state", "next_step", "is_declared", "expected"),
    [
        (None, {}, None, False, None),
        (None, {}, None, True, None),
        (None, {"n": 1}, None, True, (None, {"n": 1})),
        (None, {}, "size", False, ("size", {})),
        (stored(None, n=1), {"n": 1}, None, False, None),
        (stored(None, n=1), {"n": 2}, None, True, (None, {"n": 2})),
        (stored(None, n=1), {"n": 1}, "size", False, ("size", {"n": 1})),
        (stored(None, n=1), {}, None, True, "ended"),
    ],
)
def test_a_keyword_function_leaves_a_conversation(
    before: StoredConversation | None,
    state: dict[str, Any],
    next_step: str | None,
    is_declared: bool,
    expected: object,
) -> None:
    conversation = Conversation(before, 60)
    conversation.state = state
    conversation.finish(next_step, ("size",), is_declared)
    if isinstance(expected, tuple):
        fields = json.loads(conversation.serialized)
        assert (fields["step"], fields["state"]) == expected
        assert fields["lasts"] == (60 if before is None else HOUR)
    else:
        assert conversation.serialized == (b"" if expected is None else b"-")


def test_a_step_without_a_next_step_keeps_the_state() -> None:
    conversation = Conversation(stored(n=1), 60, "size")
    conversation.finish(None, ("size",), is_declared=False)
    assert json.loads(conversation.serialized) == {"step": None, "state": {"n": 1}, "lasts": HOUR}


def test_an_ended_conversation_is_deleted_unless_a_step_follows() -> None:
    ended = Conversation(stored(n=1), 60, "size")
    ended.end()
    ended.finish(None, ("size",), is_declared=True)
    assert ended.serialized == b"-"
    continued = Conversation(stored(n=1), 60, "size")
    continued.end()
    continued.finish("size", ("size",), is_declared=True)
    assert json.loads(continued.serialized)["state"] == {}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"when": object()}, "use texts, numbers, lists and dicts"),
        ({"x": float("nan")}, "cannot be stored"),
        ({"x": "y" * 4096}, "bytes of 4096"),
        ({"x": "é" * 2048}, "too large"),
    ],
    ids=["no JSON", "no number", "too large", "too large in bytes"],
)
def test_a_state_that_cannot_be_stored_is_refused_with_the_reason(state: dict[str, Any], reason: str) -> None:
    conversation = Conversation(None, 60)
    conversation.state = state
    with pytest.raises(ConversationError, match=reason):
        conversation.finish("size", ("size",), is_declared=True)
    assert conversation.serialized == b""


def test_an_unknown_step_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConversationError, match=r"'sise' \(steps: size\)"):
        Conversation(None, 60).finish("sise", ("size",), is_declared=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=6), JSON, max_size=4), st.integers(-MINUTE, MINUTE))
def test_a_serialized_conversation_is_parsed_to_the_same_state(state: dict[str, Any], remaining: int) -> None:
    conversation = Conversation(None, 60)
    conversation.state = state
    try:
        conversation.finish("size", ("size",), is_declared=True)
    except ConversationError:
        return
    parsed = StoredConversation.parse(conversation.serialized, remaining)
    assert parsed is not None
    if all(not 0xD800 <= ord(letter) < 0xE000 for letter in json.dumps(state, ensure_ascii=False)):
        assert parsed.state == state
    assert (parsed.step, parsed.expires_after, parsed.is_expired) == ("size", 60, remaining <= 0)


@given(st.none() | st.binary(max_size=40), st.none() | st.integers())
def test_invalid_bytes_are_no_conversation(serialized: bytes | None, remaining: int | None) -> None:
    assert StoredConversation.parse(serialized, remaining) is None
