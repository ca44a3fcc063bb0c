"""The sandbox's composition root: the parts that its REST API, its own API and its scenarios share."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock, SystemClock, TimeControl
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import StatusCallbacks
from sms_router.sandbox.sending.delivery import MessageDelivery
from sms_router.sandbox.sending.outbound import OutboundMessages
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts
from sms_router.sandbox.state.cookies import CookieJars
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.state.messages import MessageStore
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phones import Phonebook, PhoneInboxes
from sms_router.sandbox.state.ports import Ports
from sms_router.sandbox.state.reply_limiter import ReplyLimiter
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.world import World

MAX_BACKGROUND_TASKS = 10_000
"""Messages, and likewise status callbacks, at a time."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The parts of one sandbox."""

    world: World
    clock: Clock
    time_control: TimeControl
    identifiers: Identifiers
    account: Account
    ports: Ports
    messages: MessageStore
    inboxes: PhoneInboxes
    phonebook: Phonebook
    opt_outs: OptOuts
    alerts: Alerts
    faults: Faults
    cookies: CookieJars
    reply_limiter: ReplyLimiter
    client: WebhookClient
    outbound: OutboundMessages
    deliveries: BackgroundTasks
    callbacks: BackgroundTasks
    port_plays: BackgroundTasks
    """Ports that advance by themselves."""


def build_platform(
    world: World,
    clock: Clock | None,
    seed: int | None,
    policy: ConnectionPolicy | None,
    client: WebhookClient | None = None,
) -> Platform:
    """Build the parts; None means the machine's clock, random identifiers, Twilio's timeouts, and HTTP."""
    clock, identifiers = clock or SystemClock(), Identifiers(seed)
    account, messages, inboxes, phonebook = Account(world), MessageStore(), PhoneInboxes(), Phonebook(world)
    alerts, faults, opt_outs = Alerts(clock, identifiers), Faults(world.faults), OptOuts(account)
    policy = policy or ConnectionPolicy()
    client = client or WebhookClient(world.auth_token, identifiers, policy, world.proxy)
    deliveries, callbacks = BackgroundTasks(MAX_BACKGROUND_TASKS), BackgroundTasks(MAX_BACKGROUND_TASKS)
    port_plays = BackgroundTasks(MAX_BACKGROUND_TASKS)
    delivery = MessageDelivery(
        account=account,
        messages=messages,
        inboxes=inboxes,
        phonebook=phonebook,
        opt_outs=opt_outs,
        callbacks=StatusCallbacks(
            account=account, alerts=alerts, client=client, tasks=callbacks, faults=faults, clock=clock
        ),
        identifiers=identifiers,
        clock=clock,
        randomness=random.Random(seed),  # noqa: S311 (which messages a carrier drops is no secret)
        tasks=deliveries,
    )
    return Platform(
        world=world,
        clock=clock,
        time_control=TimeControl(clock, (deliveries, callbacks, port_plays)),
        identifiers=identifiers,
        account=account,
        ports=Ports(account, identifiers, clock),
        messages=messages,
        inboxes=inboxes,
        phonebook=phonebook,
        opt_outs=opt_outs,
        alerts=alerts,
        faults=faults,
        cookies=CookieJars(clock),
        reply_limiter=ReplyLimiter(clock),
        client=client,
        outbound=OutboundMessages(account, opt_outs, delivery, identifiers, clock),
        deliveries=deliveries,
        callbacks=callbacks,
        port_plays=port_plays,
    )
