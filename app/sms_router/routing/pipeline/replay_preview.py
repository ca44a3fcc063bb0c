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
    """What a message would be answered now."""

    scope: str
    """Where the contact's facts belong."""
    rule: str
    runs: str = ""
    """What would be run or called to get the text; empty where the text is known."""
    texts: tuple[str, ...] = ()
    sender: str | None = None
    """None where nothing would be sent."""
    against: str = ""
    """Why nothing would be sent."""
    forbidden: ReplayCheck | None = None
    """Why a replay is refused."""


def preview_replay(
    message: InboundMessage,
    scope: str,
    facts: RecipientFacts,
    conversation: StoredConversation | None,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
) -> ReplayPreview:
    """Return what a replay would send; nothing is run.

    Args:
        message: what is replayed.
        scope: where the contact's facts belong.
        facts: what is known of the contact now.
        conversation: the contact's now; a replayed message may be taken by a step that it did not know.
        dispatcher: the rules.
        composer: selects the sender.
        conditions: those of the senders now.

    """
    resolution = dispatcher.resolve(message).for_contact(facts.opted_out)
    rule = resolution.rule
    if resolution.opt_out is not None:
        check = ReplayCheck(ReplayStatus.OPT_OUT_WORD, "it is an opt-out word: see sms-router opt-outs")
        return ReplayPreview(scope, rule, against="it is an opt-out word", forbidden=check)
    if facts.opted_out:
        reason = "the contact has opted out"
        check = ReplayCheck(ReplayStatus.OPTED_OUT, reason)
        return ReplayPreview(scope, rule, against=reason, forbidden=check)
    if dispatcher.conversations is not None:
        resolution = dispatcher.conversations.route(resolution, message, conversation)
        rule = resolution.rule
    answer = preview_answer(resolution, message)
    if answer.cause:
        return ReplayPreview(scope, rule, against=f"it would fail: {answer.cause}")
    reply = answer.reply
    if reply.is_silent:
        return ReplayPreview(scope, rule, against="its rule has no reply")
    decision = select(*composer.request(message, reply), facts, conditions)
    against = "" if decision.address else "no sender can carry it"
    texts = () if answer.runs else (*reply.texts, *reply.media_urls)
    return ReplayPreview(scope, rule, answer.runs, texts, decision.address, against)


def read_conversation(client: redis.Redis, scope: str, contact: str, now: int) -> StoredConversation | None:
    """Return a contact's conversation; ``now`` is in milliseconds since the epoch."""
    key = bucket_of(contact).conversation(scope, contact)
    said, until = cast("list[bytes | None]", client.hmget(key, "state", "expires_at"))
    return StoredConversation.parse(said, int(until) - now if until else None)
