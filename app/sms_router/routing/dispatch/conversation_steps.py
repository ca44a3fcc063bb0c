"""Who takes a message of somebody who may be in the middle of a conversation (design 9)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import (
    NOTHING,
    Conversation,
    EndedConversation,
    StoredConversation,
)
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.inbox import ConversationUpdate
from sms_router.routing.keywords.normalize import normalize
from sms_router.routing.keywords.templates import StaticReply
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.conversations")

ALL_KEYWORDS = "all"

_REMEMBERED = 86_400_000
"""Milliseconds for which an expired conversation is remembered as such, where people are told of it."""


@dataclass(frozen=True, slots=True)
class ConversationPolicy:
    """How conversations go, as the configuration has it."""

    expires_after: float = 900.0
    """Seconds from one message to the next."""
    leave_words: tuple[str, ...] = ("EXIT",)
    leave_reply: str = ""
    interrupted_by: tuple[str, ...] = ()
    """Keywords that are answered in the middle of a conversation, which ends it; ``all`` for every one."""
    expired_reply: str = ""
    try_again_reply: str = ""


class ConversationManager:
    """The steps of a team, and who comes before them."""

    def __init__(self, steps: Mapping[str, Handler], customs: ConversationPolicy) -> None:
        """Take the steps by their names, and the customs."""
        self.steps = steps
        self.customs = customs
        self._leaving = frozenset(map(normalize, customs.leave_words))
        self._interrupting = frozenset(map(normalize, customs.interrupted_by))
        self._all_interrupt = normalize(ALL_KEYWORDS) in self._interrupting
        self._left = TemplateResponder(StaticReply(_reply(customs.leave_reply)), "", "")
        self._expired = TemplateResponder(StaticReply(_reply(customs.expired_reply)), "", "")
        self._remembered = _REMEMBERED if customs.expired_reply else 0
        self.try_again = _reply(customs.try_again_reply)

    @classmethod
    def of(
        cls, steps: Mapping[str, Handler], handlers: Iterable[Handler], customs: ConversationPolicy
    ) -> ConversationManager | None:
        """Return what a team's functions need; None when they hold no conversations."""
        if not steps and not any(handler.needs_conversation for handler in handlers):
            return None
        return cls(steps, customs)

    def unknown_interruptions(self, words: Iterable[str]) -> list[str]:
        """Name the words that should interrupt but are not keywords; ``words`` are those of all rules."""
        if self._all_interrupt or not self._interrupting:
            return []
        known = set(map(normalize, words))
        return [
            f"router.toml: conversations.interrupted_by: no rule has the keyword {word!r}"
            for word in self.customs.interrupted_by
            if normalize(word) not in known
        ]

    def update_for(self, scope: str, person: str, conversation: Conversation | None) -> ConversationUpdate:
        """Return what ends a message's turn, and what becomes of the person's conversation."""
        key = bucket_of(person).conversation(scope, person)
        if conversation is None:
            return ConversationUpdate(key, NOTHING, 0, 0)
        lasts = int(conversation.expires_after * 1000)
        return ConversationUpdate(key, conversation.kept, lasts, lasts + self._remembered)

    def needs_lock(self, found: Resolution) -> bool:
        """Tell whether a message waits for the person's earlier ones; opt-out words do not."""
        return found.heard is None or found.otherwise is not None

    def route(
        self, found: Resolution, message: InboundMessage, talk: StoredConversation | None
    ) -> Resolution:
        """Return what answers a message, given what was kept of the person's conversation.

        ``found`` is what answers it outside of any; opt-out words have been heeded before.
        """
        if talk is not None and talk.step is not None:
            if not talk.expired:
                return self._inside(found, message, talk, talk.step)
            if found.unclaimed and self.customs.expired_reply:
                return Resolution(
                    "the conversation has expired", self._expired, conversation=EndedConversation()
                )
        expired = talk is not None and talk.expired
        return self._outside(found, None if expired else talk, drops=expired)

    def _inside(
        self, found: Resolution, message: InboundMessage, talk: StoredConversation, step: str
    ) -> Resolution:
        """Return what answers a person to whom a step has put a question."""
        if normalize(message.body) in self._leaving:
            return Resolution(
                f"left the conversation at {step}", self._left, conversation=EndedConversation()
            )
        handler = self.steps.get(step)
        if handler is None:
            log.warning("no step is called %r any more: the conversation ends", step)
        if handler is None or self._interrupts(found):
            return self._outside(found, None, drops=True)
        conversation = Conversation(talk, self.customs.expires_after, step)
        action = HandlerResponder(handler, message.body.strip(), "", conversation, self.steps)
        return Resolution(f"step {step}", action, conversation=conversation)

    def without_redis(self, found: Resolution) -> Resolution:
        """Return what answers while no conversation can be read.

        Where a handler needs one, the person is asked to try again. So they are where no rule claims the
        text: it is probably the answer to a step's question.
        """
        action = found.action
        if found.unclaimed or (isinstance(action, HandlerResponder) and action.handler.needs_conversation):
            return Resolution(
                f"{found.rule}: Redis is away", TemplateResponder(StaticReply(self.try_again), "", "")
            )
        return self._outside(found, None)

    def _outside(
        self, found: Resolution, talk: StoredConversation | None, *, drops: bool = False
    ) -> Resolution:
        """Give a keyword's function a conversation; any other answer ends one that is dropped."""
        if isinstance(found.action, HandlerResponder):
            conversation = Conversation(talk, self.customs.expires_after, had=drops)
            action = replace(found.action, conversation=conversation, steps=self.steps)
            return replace(found, action=action, conversation=conversation)
        return replace(found, conversation=EndedConversation()) if drops else found

    def _interrupts(self, found: Resolution) -> bool:
        if found.unclaimed:
            return False
        keyword = (
            "" if not isinstance(found.action, TemplateResponder | HandlerResponder) else found.action.keyword
        )
        return self._all_interrupt or not self._interrupting.isdisjoint(
            (normalize(keyword), normalize(found.rule))
        )


def _reply(text: str) -> Reply:
    return Reply(text) if text else SILENCE
