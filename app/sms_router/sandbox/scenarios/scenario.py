"""What a scenario says, once it has been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.world import Carrier, PhoneState, World


@dataclass(frozen=True, slots=True)
class Shows:
    """One message that a phone must show; None and empty where any will do."""

    sender: str | None = None
    equals: str | None = None
    contains: tuple[str, ...] = ()
    media: tuple[str, ...] | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Misses:
    """One message that must not reach a phone."""

    error: int
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold after a step, within so many seconds of real time; None is not looked at yet."""

    phone: str
    shows: tuple[Shows, ...] | None = None
    undelivered: tuple[Misses, ...] | None = None
    alerts: tuple[int, ...] | None = None
    outcome: SessionOutcome | None = None
    within: float = 5.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes on the sandbox's clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Break:
    """Faults are switched on; None switches all off."""

    faults: FaultSet | None


@dataclass(frozen=True, slots=True)
class Become:
    """A phone is switched off or on, or changes its carrier."""

    phone: str
    state: PhoneState | None
    carrier: Carrier | None


@dataclass(frozen=True, slots=True)
class Look:
    """Nothing happens; something is looked at."""


Action = IncomingText | Wait | Break | Become | Look


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """One thing that happens, and what must come of it."""

    title: str
    action: Action
    check: Check


@dataclass(frozen=True, slots=True)
class Application:
    """Keywords and handlers that a scenario brings along, in place of the configuration's."""

    keywords: str
    handlers: str
    upstream: Mapping[str, str | int] = field(default_factory=dict)
    """Pages of another application, by path: TwiML, or the status of an error."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One conversation. ``settings`` are laid over the tables of ``router.toml`` with the same names."""

    path: str
    title: str
    story: str
    world: World
    steps: tuple[ScenarioStep, ...]
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    application: Application | None = None

    @property
    def needs_own_router(self) -> bool:
        """True when a router that runs already cannot play it."""
        return self.application is not None or bool(self.settings)
