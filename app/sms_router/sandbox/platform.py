"""The parts of the sandbox that every edge of it uses, put together once."""

from __future__ import annotations

import random
from dataclasses import dataclass

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock, SystemClock
from sms_router.sandbox.identifiers import Identifiers
from sms_router.sandbox.sending.callbacks import StatusCallbacks
from sms_router.sandbox.sending.delivery import Delivery
from sms_router.sandbox.sending.outbound import Outbound
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.alerts import Alerts
from sms_router.sandbox.state.cookies import Cookies
from sms_router.sandbox.state.faults import Faults
from sms_router.sandbox.state.messages import Handsets, MessageStore
from sms_router.sandbox.state.opt_outs import OptOuts
from sms_router.sandbox.state.phonebook import Phonebook
from sms_router.sandbox.state.ports import Ports
from sms_router.sandbox.state.reply_limiter import ReplyRate
from sms_router.sandbox.time_control import TimeControl
from sms_router.sandbox.webhooks.client import WebhookClient
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.world import World

MOST_ON_THE_WAY = 10_000
"""Messages, and likewise status callbacks, at a time."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One running Twilio: what it knows, and what it does in the background."""

    world: World
    clock: Clock
    pace: TimeControl
    identifiers: Identifiers
    account: Account
    ports: Ports
    messages: MessageStore
    handsets: Handsets
    phonebook: Phonebook
    opt_outs: OptOuts
    alerts: Alerts
    faults: Faults
    cookies: Cookies
    reply_rate: ReplyRate
    client: WebhookClient
    outbound: Outbound
    deliveries: BackgroundTasks
    callbacks: BackgroundTasks


def build_platform(
    world: World, clock: Clock | None, seed: int | None, policy: ConnectionPolicy | None
) -> Platform:
    """Put the parts together; None means the machine's clock, chance, and Twilio's own timeouts."""
    clock, identifiers = clock or SystemClock(), Identifiers(seed)
    account, messages, handsets, phonebook = Account(world), MessageStore(), Handsets(), Phonebook(world)
    alerts, faults, opt_outs = Alerts(clock, identifiers), Faults(world.faults), OptOuts(account)
    client = WebhookClient(world.auth_token, identifiers, policy or ConnectionPolicy(), world.proxy)
    deliveries, callbacks = BackgroundTasks(MOST_ON_THE_WAY), BackgroundTasks(MOST_ON_THE_WAY)
    delivery = Delivery(
        account=account,
        messages=messages,
        handsets=handsets,
        phonebook=phonebook,
        opt_outs=opt_outs,
        callbacks=StatusCallbacks(
            account=account, alerts=alerts, client=client, tasks=callbacks, faults=faults, clock=clock
        ),
        identifiers=identifiers,
        clock=clock,
        chance=random.Random(seed),  # noqa: S311 (which messages a carrier drops is no secret)
        tasks=deliveries,
    )
    return Platform(
        world=world,
        clock=clock,
        pace=TimeControl(clock, (deliveries, callbacks)),
        identifiers=identifiers,
        account=account,
        ports=Ports(account, identifiers, clock),
        messages=messages,
        handsets=handsets,
        phonebook=phonebook,
        opt_outs=opt_outs,
        alerts=alerts,
        faults=faults,
        cookies=Cookies(clock),
        reply_rate=ReplyRate(clock),
        client=client,
        outbound=Outbound(account, opt_outs, delivery, identifiers, clock),
        deliveries=deliveries,
        callbacks=callbacks,
    )
