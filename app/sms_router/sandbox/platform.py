"""The sandbox's composition root: the parts that its REST API, its own API and its scenarios share."""

from __future__ import annotations

import random

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock, SystemClock, TimeControl
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import StatusCallbacks
from sms_router.sandbox.sending.delivery import MessageDelivery
from sms_router.sandbox.sending.outbound import OutboundMessages
from sms_router.sandbox.sending.selection import PoolSelector
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.state.messages import MessageStore
from sms_router.sandbox.state.number_pairs import CookieJars, ReplyLimiter
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phones import Phonebook, PhoneInboxes
from sms_router.sandbox.state.ports import Ports
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.world import World

MAX_BACKGROUND_TASKS = 10_000
"""Messages, and likewise status callbacks, at a time."""


class Platform:
    """The parts of one sandbox."""

    def __init__(
        self,
        world: World,
        clock: Clock | None = None,
        seed: int | None = None,
        policy: ConnectionPolicy | None = None,
        client: WebhookClient | None = None,
    ) -> None:
        """None means the machine's clock, random identifiers, Twilio's timeouts, and HTTP."""
        self.world = world
        self.clock = clock = clock or SystemClock()
        self.identifiers = identifiers = Identifiers(seed)
        self.account = account = Account(world)
        self.ports = Ports(account, identifiers, clock)
        self.messages = MessageStore()
        self.inboxes = PhoneInboxes()
        self.phonebook = Phonebook(world)
        self.opt_outs = OptOuts(account)
        self.alerts = Alerts(clock, identifiers)
        self.faults = Faults(world.faults)
        self.cookies = CookieJars(clock)
        self.reply_limiter = ReplyLimiter(clock)
        self.client = client or WebhookClient(
            world.auth_token, identifiers, policy or ConnectionPolicy(), world.proxy
        )
        self.deliveries = BackgroundTasks(MAX_BACKGROUND_TASKS)
        self.callbacks = BackgroundTasks(MAX_BACKGROUND_TASKS)
        self.port_plays = BackgroundTasks(MAX_BACKGROUND_TASKS)
        """Ports that advance by themselves."""
        self.time_control = TimeControl(clock, (self.deliveries, self.callbacks, self.port_plays))
        status_callbacks = StatusCallbacks(
            account, self.alerts, self.client, self.callbacks, self.faults, clock
        )
        self.delivery = MessageDelivery(
            account,
            self.messages,
            self.inboxes,
            self.phonebook,
            self.opt_outs,
            status_callbacks,
            PoolSelector(account),
            identifiers,
            clock,
            random.Random(seed),  # noqa: S311 (which messages a carrier drops is no secret)
            self.deliveries,
        )
        self.outbound = OutboundMessages(account, self.opt_outs, self.delivery, identifiers, clock)
