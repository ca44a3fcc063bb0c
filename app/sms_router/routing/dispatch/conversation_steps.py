"""Which step takes the next message of a contact, and how conversations are left, interrupted and expire."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sms_router.delivery.entry import TIMER, OutboxEntry
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.conversation import (
    UNCHANGED,
    Conversation,
    EndedConversation,
    StoredConversation,
)
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE, Reply
from sms_router.routing.inbox.inbox import ConversationUpdate
from sms_router.routing.keywords.normalize import normalize, normalize_answer
from sms_router.routing.keywords.own_replies import OwnReplies, OwnReply
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage

log = logging.getLogger("sms_router.conversations")

ALL_KEYWORDS = "all"

EXPIRED_TTL = 86_400_000
"""Milliseconds that an expired conversation is kept where contacts or handlers are told of it."""


@dataclass(frozen=True, slots=True)
class ConversationPolicy:
    """``[conversations]`` in router.toml."""

    expires_after: float = 900.0
    """Seconds from one message to the next."""
    leave_words: tuple[str, ...] = ("EXIT",)
    leave_reply: str = ""
    interrupted_by: tuple[str, ...] = (ALL_KEYWORDS,)
    """Keywords that end a conversation and are answered instead; ``all`` for every keyword."""
    expired_reply: str = ""
    try_again_reply: str = ""
    leave_hint: str = ""
    """A line below the first question of each conversation, like ``Text EXIT to stop.``"""


class ConversationManager:
    """Decides whether a step takes a message, or what takes it otherwise.

    ``steps`` are the handlers of all steps by their names, also by earlier ones. ``has_timers`` tells
    whether a handler takes the event of a conversation that expires.
    """

    def __init__(
        self, steps: Mapping[str, Handler], policy: ConversationPolicy, *, has_timers: bool = False
    ) -> None:
        self.steps = steps
        self.policy = policy
        self.has_timers = has_timers
        names: dict[int, str] = {}
        self._current_names = {name: names.setdefault(id(step), name) for name, step in steps.items()}
        self._leave_words = frozenset(map(normalize, policy.leave_words))
        self._interrupting = frozenset(map(normalize, policy.interrupted_by))
        self._all_interrupt = normalize(ALL_KEYWORDS) in self._interrupting
        self.replies = OwnReplies()
        self._leave_responder = self._responder("leave_reply", policy.leave_reply)
        self._expired_responder = self._responder("expired_reply", policy.expired_reply)
        self._try_again_responder = self._responder("try_again_reply", policy.try_again_reply)

    def _responder(self, name: str, text: str) -> TemplateResponder:
        return TemplateResponder(OwnReply(name, Reply(text) if text else SILENCE, self), "", "")

    def try_again(self, message: InboundMessage, profile: str) -> Reply:
        """Return the reply where a conversation cannot be read or stored."""
        return self._try_again_responder.template.reply(message, "", "", profile)

    def unknown_interruptions(self, words: Iterable[str]) -> list[str]:
        """Return a sentence for each word of ``interrupted_by`` that is not among the keywords."""
        if self._all_interrupt or not self._interrupting:
            return []
        keywords = set(map(normalize, words))
        return [
            f"conversations.interrupted_by: no rule has the keyword {word!r}"
            for word in self.policy.interrupted_by
            if normalize(word) not in keywords
        ]

    def update_for(self, scope: str, contact: str, conversation: Conversation | None) -> ConversationUpdate:
        """Return what is stored of a conversation with the answer of a message."""
        key = bucket_of(contact).conversation(scope, contact)
        if conversation is None:
            return ConversationUpdate(key, UNCHANGED, 0, 0)
        ttl = int(conversation.expires_after * 1000)
        is_told = self.has_timers or self.policy.expired_reply or self.replies.tables
        expired_ttl = ttl + (EXPIRED_TTL if is_told else 0)
        timer = OutboxEntry(TIMER, TIMER, scope, contact).line if self.has_timers else b""
        return ConversationUpdate(key, conversation.serialized, ttl, expired_ttl, timer)

    def needs_lock(self, resolution: Resolution) -> bool:
        """Return whether a message waits for earlier ones; opt-out keywords and reactions do not."""
        if resolution.is_reaction:
            return False
        return resolution.opt_out is None or resolution.unless_opted_out is not None

    def route(
        self,
        resolution: Resolution,
        message: InboundMessage,
        stored: StoredConversation | None,
        profile: str = "",
    ) -> Resolution:
        """Return what takes a message that is no opt-out keyword, given the contact's conversation.

        ``resolution`` is what takes it outside of any conversation; ``profile`` is what handlers have stored
        of the contact.
        """
        if resolution.is_reaction:
            return resolution
        if stored is not None and stored.step is not None:
            if not stored.is_expired:
                return self._in_conversation(resolution, message, stored, stored.step)
            expired = self._expired_responder.reply(message, profile)
            if resolution.is_default and expired != SILENCE:
                ended = EndedConversation()
                return Resolution("the conversation has expired", self._expired_responder, conversation=ended)
        has_expired = stored is not None and stored.is_expired
        return self._outside(resolution, None if has_expired else stored, ends=has_expired)

    def _in_conversation(
        self, resolution: Resolution, message: InboundMessage, stored: StoredConversation, step: str
    ) -> Resolution:
        """Return what takes the answer to a step's question."""
        if not self._leave_words.isdisjoint((normalize(message.body), normalize_answer(message.body))):
            rule, ended = f"left the conversation at {step}", EndedConversation()
            return Resolution(rule, self._leave_responder, conversation=ended)
        handler, step = self.steps.get(step), self._current_names.get(step, step)
        if self._interrupts(resolution):
            return self._outside(resolution, None, ends=True)
        if handler is None:  # while a new version replaces another one, only some workers know the step
            log.warning("there is no step %r here: the conversation stays as it is", step)
            return Resolution(f"unknown step {step}", self._try_again_responder)
        conversation, rule = Conversation(stored, self.policy.expires_after, step), f"step {step}"
        responder = HandlerResponder(handler, message.body.strip(), "", conversation, self.steps, rule)
        return Resolution(rule, responder, conversation=conversation)

    def without_redis(self, resolution: Resolution) -> Resolution:
        """Return what takes a message while conversations cannot be read.

        The contact is asked to try again where a handler needs the conversation, and where no rule takes the
        text, which is then probably the answer to a step's question.
        """
        if resolution.is_reaction:
            return resolution
        responder = resolution.responder
        if resolution.is_default or (
            isinstance(responder, HandlerResponder) and responder.handler.needs_conversation
        ):
            return Resolution(f"{resolution.rule}: Redis is away", self._try_again_responder)
        return self._outside(resolution, None)

    def _outside(
        self, resolution: Resolution, stored: StoredConversation | None, *, ends: bool = False
    ) -> Resolution:
        """Give a handler a conversation; any other responder ends the one that ``ends``."""
        if isinstance(resolution.responder, HandlerResponder):
            conversation = Conversation(stored, self.policy.expires_after, replaces_other=ends)
            hint = self.policy.leave_hint if conversation.begins else None
            responder = replace(
                resolution.responder, conversation=conversation, steps=self.steps, leave_hint=hint
            )
            return replace(resolution, responder=responder, conversation=conversation)
        return replace(resolution, conversation=EndedConversation()) if ends else resolution

    def _interrupts(self, resolution: Resolution) -> bool:
        if resolution.is_default:
            return False
        responder = resolution.responder
        keyword = responder.keyword if isinstance(responder, TemplateResponder | HandlerResponder) else ""
        return self._all_interrupt or not self._interrupting.isdisjoint(
            (normalize(keyword), normalize(resolution.rule))
        )
