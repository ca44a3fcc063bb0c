"""What a replay would send: the rule, the sender and the text, as far as they are known without a handler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from app.cli.known import get_acquainted
from app.cli.pools import known_snapshots
from app.cli.rules import rules_and_pools
from app.cli.situation import store_client
from app.cli.standing import standing
from app.routing.composing import Composer
from app.routing.conversation import Talk
from app.routing.dispatch import Dispatcher, Failed, Forwarding, Found, Immediate
from app.routing.replies import Reply
from app.senders.conditions import Conditions
from app.senders.pool import Pool, pool_among
from app.senders.selection import select
from app.settings import Settings
from app.store.keys import bucket_of
from app.twilio.inbound import InboundMessage


class Plan(NamedTuple):
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
    opt_out_word: bool = False


@dataclass(frozen=True, slots=True)
class Planner:
    """Knows the rules and the numbers, as this configuration and the store have them."""

    settings: Settings
    dispatcher: Dispatcher
    pools: Mapping[str, Pool]
    conditions: Conditions

    @classmethod
    def of(cls, settings: Settings) -> Planner:
        """Load the rules and look up the numbers.

        Raises:
            SettingsError: with every mistake in the configuration.
            CommandError: when no number is known.

        """
        found = known_snapshots(settings)
        dispatcher, pools = rules_and_pools(settings, found)
        return cls(settings, dispatcher, pools, standing(settings, found).conditions)

    def scope_of(self, message: InboundMessage) -> str:
        """Return what the person's opt-outs and beliefs belong to, as the routers see it."""
        if message.service_sid is not None:
            return message.service_sid
        pool = pool_among(self.pools, None, message.recipient)
        return pool.service_sid if pool is not None else message.recipient

    def plan(self, message: InboundMessage) -> Plan:
        """Say what the message would be answered now; nothing is run."""
        scope = self.scope_of(message)
        known = get_acquainted(self.settings, scope, message.sender, int(time.time() * 1000))
        found = self.dispatcher.find(message).for_person(known.facts.opted_out)
        if found.heard is not None:
            return Plan(scope, found.rule, opt_out_word=True, against="it is an opt-out word")
        if known.facts.opted_out:
            return Plan(scope, found.rule, against="the person has opted out")
        found = self._in_conversation(found, message, scope)
        reply, runs = _reply(found, message)
        if isinstance(reply, Failed):
            return Plan(scope, found.rule, against=f"it would fail: {reply.cause}")
        if reply.silent:
            return Plan(scope, found.rule, against="its rule says nothing")
        composer = Composer(
            lambda service, texted: pool_among(self.pools, service, texted), self.settings.reply_from, ""
        )
        decision = select(*composer.request(message, reply), known.facts, self.conditions)
        against = "" if decision.address else "no number can carry it"
        texts = () if runs else (*reply.texts, *reply.media_urls)
        return Plan(scope, found.rule, runs, texts, decision.address, against)

    def _in_conversation(self, found: Found, message: InboundMessage, scope: str) -> Found:
        """Return what answers somebody whom a step has asked something since."""
        conversations = self.dispatcher.conversations
        if conversations is None:
            return found
        key = bucket_of(message.sender).talk(scope, message.sender)
        with store_client(self.settings) as client:
            said, until = cast("list[bytes | None]", client.hmget(key, "said", "until"))
        left = int(until) - int(time.time() * 1000) if until else None
        return conversations.take(found, message, Talk.read(said, left))


def _reply(found: Found, message: InboundMessage) -> tuple[Reply | Failed, str]:
    """Return the reply, or one that stands for it and what would have to be run for it."""
    if isinstance(found.action, Immediate):
        return found.action.reply(message), ""
    if isinstance(found.action, Forwarding):
        return Reply("(unknown)"), f"{found.action.forward} would be asked"
    return Reply("(unknown)"), f"the function {found.action.handler.source} would run"
