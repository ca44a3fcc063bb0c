"""What a replay would send: the rule, the sender and the text, as far as they are known without a handler."""

from __future__ import annotations

from typing import NamedTuple, cast

import redis

from sms_router.routing.contacts.summary import ContactSummary, read_contact
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.explain import preview_answer
from sms_router.senders.error_table import ErrorTable
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
    failed_rule: str = ""
    """The rule that has failed, where another one would answer now."""
    is_default: bool = False
    """Whether no rule takes the text now."""

    @property
    def sends_default(self) -> bool:
        """Whether the contact would get the default, although a rule has failed."""
        return bool(self.failed_rule) and self.is_default


def preview_replay(
    message: InboundMessage,
    scope: str,
    facts: RecipientFacts,
    conversation: StoredConversation | None,
    dispatcher: Dispatcher,
    composer: Composer,
    conditions: SenderConditions,
    failed: str | None = None,
) -> ReplayPreview:
    """Return what a replay would send; nothing is run.

    The facts, the conversation and the conditions are those of now: a replayed message may be taken by a step
    that it did not know. ``failed`` is the rule that has failed; None where it is not known.
    """
    if (event := dispatcher.resolve_event(message)) is not None:
        return ReplayPreview(scope, event.rule, runs="the functions with @on are called")
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
        resolution = dispatcher.conversations.route(resolution, message, conversation, facts.profile)
        rule = resolution.rule
    other = failed if failed is not None and failed != rule else ""
    preview = ReplayPreview(scope, rule, failed_rule=other, is_default=resolution.is_default)
    answer = preview_answer(resolution, message, facts.profile)
    reply = answer.reply
    silence = "its rule has no reply" if reply.is_silent else composer.refusal(message)
    if against := f"it would fail: {answer.cause}" if answer.cause else silence:
        return preview._replace(against=against)
    decision = select(*composer.request(message, reply), facts, conditions)
    against = "" if decision.address else "no sender can carry it"
    texts = () if answer.runs else (*reply.texts, *reply.media_urls)
    return preview._replace(runs=answer.runs, texts=texts, sender=decision.address, against=against)


def read_stored_contact(
    client: redis.Redis, scope: str, number: str, table: ErrorTable, at: int
) -> tuple[ContactSummary, StoredConversation | None]:
    """Return what is stored of a contact at a time (milliseconds since the epoch), and their conversation."""
    key = bucket_of(number).conversation(scope, number)
    state, until = cast("list[bytes | None]", client.hmget(key, "state", "expires_at"))
    conversation = StoredConversation.parse(state, int(until) - at if until else None)
    return ContactSummary(read_contact(client, scope, number), table, at), conversation
