"""The parts of the sandbox that every edge of it uses, put together once."""

from __future__ import annotations

from dataclasses import dataclass

from app.sandbox.account import Account
from app.sandbox.alerts import Alerts
from app.sandbox.callbacks import StatusCallbacks
from app.sandbox.clock import Clock, SystemClock
from app.sandbox.delivery import Delivery
from app.sandbox.faults import Faults
from app.sandbox.identifiers import Identifiers
from app.sandbox.messages import Handsets, MessageStore
from app.sandbox.outbound import Outbound
from app.sandbox.tasks import Tasks
from app.sandbox.webhook import ConnectionPolicy, WebhookClient
from app.sandbox.world import World

MOST_ON_THE_WAY = 10_000
"""Messages, and likewise status callbacks, at a time."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One running Twilio: what it knows, and what it does in the background."""

    world: World
    clock: Clock
    identifiers: Identifiers
    account: Account
    messages: MessageStore
    handsets: Handsets
    alerts: Alerts
    faults: Faults
    client: WebhookClient
    outbound: Outbound
    deliveries: Tasks
    callbacks: Tasks


def build_platform(
    world: World, clock: Clock | None, seed: int | None, policy: ConnectionPolicy | None
) -> Platform:
    """Put the parts together; None means the machine's clock, chance, and Twilio's own timeouts."""
    clock, identifiers = clock or SystemClock(), Identifiers(seed)
    account, messages, handsets = Account(world), MessageStore(), Handsets()
    alerts = Alerts(clock, identifiers)
    client = WebhookClient(world.auth_token, identifiers, policy or ConnectionPolicy())
    deliveries, callbacks = Tasks(MOST_ON_THE_WAY), Tasks(MOST_ON_THE_WAY)
    delivery = Delivery(
        world=world,
        account=account,
        messages=messages,
        handsets=handsets,
        callbacks=StatusCallbacks(account, alerts, client, callbacks),
        clock=clock,
        tasks=deliveries,
    )
    return Platform(
        world=world,
        clock=clock,
        identifiers=identifiers,
        account=account,
        messages=messages,
        handsets=handsets,
        alerts=alerts,
        faults=Faults(),
        client=client,
        outbound=Outbound(account, delivery, identifiers, clock),
        deliveries=deliveries,
        callbacks=callbacks,
    )
