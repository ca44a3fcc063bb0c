"""The answer that is worked out before its message is claimed, where no handler is needed."""

from __future__ import annotations

import logging
from typing import NamedTuple

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Resolution
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.inbox.answer import Answer, MessageKey, Outcome
from sms_router.routing.inbox.inbox import PreparedAnswer
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.pipeline.composed import RenderedReply
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import InboundRequest
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")


class Prepared(NamedTuple):
    """What a text that needs no handler leads to, before anything is known of the person."""

    said: Reply | ReplyFailed | None
    draft: RenderedReply = RenderedReply(EMPTY, "")
    ready: PreparedAnswer | None = None
    """None where the answer has to wait for the claim."""


NOT_PREPARED = Prepared(None)


class AnswerPreparer:
    """The answers that a worker can work out without asking Redis."""

    def __init__(
        self, people: Contacts, dispatcher: Dispatcher, composer: Composer, guard: LoopGuard
    ) -> None:
        """Take the parts."""
        self._people = people
        self._dispatcher = dispatcher
        self._composer = composer
        self._guard = guard

    def prepare(self, key: MessageKey, delivery: InboundRequest, scope: str, found: Resolution) -> Prepared:
        """Work out the answer to somebody unknown, where no handler or upstream is needed for it.

        Most people are such, and most texts are answered by a template: claimed and answered in one step,
        they cost one trip to Redis, and no crash can come in between.
        """
        if (
            not isinstance(found.action, TemplateResponder)
            or found.heard is not None
            or delivery.fallback is not None
        ):
            return NOT_PREPARED
        if self._dispatcher.conversations is not None or self._people.is_opted_out_cached(scope, key.contact):
            return NOT_PREPARED
        try:
            return self._drafted(
                found.action.reply(delivery.message), key, delivery.message, scope, found.rule
            )
        except Exception:
            log.exception("an answer could not be worked out before its message is claimed")
            return NOT_PREPARED  # tried again once the message is journaled: nothing is lost of it

    def _drafted(
        self, said: Reply | ReplyFailed, key: MessageKey, message: InboundMessage, scope: str, rule: str
    ) -> Prepared:
        if isinstance(said, ReplyFailed) or said.parts:
            return Prepared(said)
        draft = self._composer.compose_draft(message, said, rule)
        if draft.unsendable or self._composer.limited(draft):
            return Prepared(said)
        answer = Answer(draft.document, Outcome.SILENT if draft.document is EMPTY else Outcome.REPLY)
        meter = self._guard.counter_for(scope, key.contact, draft.document)
        return Prepared(said, draft, PreparedAnswer(answer, draft.trail_text, meter, draft.decision))
