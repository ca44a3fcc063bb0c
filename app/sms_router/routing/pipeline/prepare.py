"""The answer that is worked out before its message is claimed, where no handler is needed."""

from __future__ import annotations

import logging
from typing import NamedTuple

from sms_router.routing.contacts.contacts import People
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import Found
from sms_router.routing.dispatch.responders import Immediate
from sms_router.routing.handler.reply import Failed, Reply
from sms_router.routing.inbox.answer import Answer, MessageKey, Outcome
from sms_router.routing.inbox.claim import Ready
from sms_router.routing.inbox.loop_guard import LoopGuard
from sms_router.routing.pipeline.composed import Composed
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.context import Delivery
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.twiml import EMPTY

log = logging.getLogger("sms_router.pipeline")


class Foreseen(NamedTuple):
    """What a text that needs no handler leads to, before anything is known of the person."""

    said: Reply | Failed | None
    draft: Composed = Composed(EMPTY, "")
    ready: Ready | None = None
    """None where the answer has to wait for the claim."""


NOT_FORESEEN = Foreseen(None)


class Foresight:
    """The answers that a worker can work out without asking Redis."""

    def __init__(self, people: People, dispatcher: Dispatcher, composer: Composer, guard: LoopGuard) -> None:
        """Take the parts."""
        self._people = people
        self._dispatcher = dispatcher
        self._composer = composer
        self._guard = guard

    def foresee(self, key: MessageKey, delivery: Delivery, scope: str, found: Found) -> Foreseen:
        """Work out the answer to somebody unknown, where no handler or upstream is needed for it.

        Most people are such, and most texts are answered by a template: claimed and answered in one step,
        they cost one trip to Redis, and no crash can come in between.
        """
        if (
            not isinstance(found.action, Immediate)
            or found.heard is not None
            or delivery.fallback is not None
        ):
            return NOT_FORESEEN
        if self._dispatcher.conversations is not None or self._people.opted_out_lately(scope, key.person):
            return NOT_FORESEEN
        try:
            return self._drafted(
                found.action.reply(delivery.message), key, delivery.message, scope, found.rule
            )
        except Exception:
            log.exception("an answer could not be worked out before its message is claimed")
            return NOT_FORESEEN  # tried again once the message is journaled: nothing is lost of it

    def _drafted(
        self, said: Reply | Failed, key: MessageKey, message: InboundMessage, scope: str, rule: str
    ) -> Foreseen:
        if isinstance(said, Failed) or said.parts:
            return Foreseen(said)
        draft = self._composer.draft(message, said, rule)
        if draft.unsendable or self._composer.limited(draft):
            return Foreseen(said)
        answer = Answer(draft.document, Outcome.SILENT if draft.document is EMPTY else Outcome.REPLY)
        meter = self._guard.meter_of(scope, key.person, answer)
        return Foreseen(said, draft, Ready(answer, draft.story, meter))
