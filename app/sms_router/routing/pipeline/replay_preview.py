"""What a replay would send: the rule, the sender and the text, as far as they are known without a handler."""

from __future__ import annotations

from typing import NamedTuple, cast

import redis

from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import preview_answer
from sms_router.senders.models import RecipientFacts, SenderConditions
from sms_router.senders.selection import select
from sms_router.store.keys import bucket_of
from sms_router.twilio.inbound import InboundMessage


class ReplayPreview(NamedTuple):
    """What one message would be answered now."""

    scope: str
    """Where the person's facts belong."""
    rule: str
    runs: str = ""
    """What would be run or asked to find the text; empty when the text is known."""
    texts: tuple[str, ...] = ()
    sender: str | None = None
    """None when nothing would leave."""
    against: str = ""
    """Why nothing would leave."""
    forbidden: ReplayCheck | None = None
    """Why it must not even be asked for."""


def preview_replay(
    message: InboundMessage,
    scope: str,
    facts: RecipientFacts,
    talk: StoredConversation | None,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
) -> ReplayPreview:
    """Say what the message would be answered now; nothing is run.

    ``facts`` and ``talk`` are the person's within ``scope``: what somebody is answered whom a step has
    asked something since, depends on that.
    """
    found = dispatcher.resolve(message).for_person(facts.opted_out)
    if found.heard is not None:
        word = ReplayCheck(ReplayStatus.OPT_OUT_WORD, "it is an opt-out word: see sms-router opt-outs")
        return ReplayPreview(scope, found.rule, against="it is an opt-out word", forbidden=word)
    if facts.opted_out:
        why = "the person has opted out"
        return ReplayPreview(
            scope, found.rule, against=why, forbidden=ReplayCheck(ReplayStatus.OPTED_OUT, why)
        )
    if dispatcher.conversations is not None:
        found = dispatcher.conversations.route(found, message, talk)
    answer = preview_answer(found, message)
    if answer.cause:
        return ReplayPreview(scope, found.rule, against=f"it would fail: {answer.cause}")
    reply = answer.reply
    if reply.silent:
        return ReplayPreview(scope, found.rule, against="its rule says nothing")
    decision = select(*composer.request(message, reply), facts, conditions)
    against = "" if decision.address else "no number can carry it"
    texts = () if answer.runs else (*reply.texts, *reply.media_urls)
    return ReplayPreview(scope, found.rule, answer.runs, texts, decision.address, against)


def read_talk(client: redis.Redis, scope: str, person: str, now: int) -> StoredConversation | None:
    """Return what is kept of a person's conversation; ``now`` is in milliseconds since the epoch."""
    key = bucket_of(person).conversation(scope, person)
    said, until = cast("list[bytes | None]", client.hmget(key, "said", "until"))
    return StoredConversation.read(said, int(until) - now if until else None)
