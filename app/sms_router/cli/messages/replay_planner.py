"""Planning replays from a terminal: with the rules of this configuration, and the store as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sms_router.cli.context import store_client
from sms_router.cli.keywords.contact import load_contact
from sms_router.cli.rules import rules_and_pools
from sms_router.cli.senders.conditions import load_conditions
from sms_router.cli.senders.pools import known_snapshots
from sms_router.config.settings import Settings
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.replay_preview import ReplayPreview, preview_replay, read_conversation
from sms_router.senders.models import SenderConditions
from sms_router.senders.pool import Pool, find_pool
from sms_router.twilio.inbound import InboundMessage


@dataclass(frozen=True, slots=True)
class Planner:
    """Knows the rules and the numbers, as this configuration and the store have them."""

    settings: Settings
    dispatcher: Dispatcher
    pools: Mapping[str, Pool]
    conditions: SenderConditions

    @classmethod
    def of(cls, settings: Settings) -> Planner:
        """Load the rules and look up the numbers.

        Raises:
            SettingsError: with every mistake in the configuration.
            CommandError: when no number is known.

        """
        found = known_snapshots(settings)
        dispatcher, pools = rules_and_pools(settings, found)
        return cls(settings, dispatcher, pools, load_conditions(settings, found).conditions)

    def scope_of(self, message: InboundMessage) -> str:
        """Return what the person's opt-outs and beliefs belong to, as the routers see it."""
        if message.service_sid is not None:
            return message.service_sid
        pool = find_pool(self.pools, None, message.recipient)
        return pool.service_sid if pool is not None else message.recipient

    def plan(self, message: InboundMessage) -> ReplayPreview:
        """Say what the message would be answered now; nothing is run."""
        scope, now = self.scope_of(message), int(time.time() * 1000)
        facts = load_contact(self.settings, scope, message.sender, now).facts
        composer = Composer(
            lambda service, texted: find_pool(self.pools, service, texted), self.settings.reply_from, ""
        )
        talk = self._talk(scope, message.sender, now)
        return preview_replay(message, scope, facts, talk, self.dispatcher, composer, self.conditions)

    def _talk(self, scope: str, person: str, now: int) -> StoredConversation | None:
        if self.dispatcher.conversations is None:
            return None
        with store_client(self.settings) as client:
            return read_conversation(client, scope, person, now)
