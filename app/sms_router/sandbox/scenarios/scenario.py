"""One scenario, read and validated."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict

from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.state.ports import PortStatus
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.types import E164
from sms_router.sandbox.world.world import Carrier, PhoneState, World
from sms_router.toml import StrictModel


def one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class ExpectedMessage(StrictModel):
    """One message that a phone must receive; None and empty where anything will do."""

    sender: Annotated[str | None, Field(alias="from")] = None
    equals: str | None = None
    contains: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = ()
    media: tuple[str, ...] | None = None
    status: str | None = None


class ExpectedFailure(StrictModel):
    """One message that must not reach a phone."""

    error: Annotated[int, Strict(), Field(ge=10000, le=99999)]
    sender: Annotated[str | None, Field(alias="from")] = None


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold after a step; what is None is left to a later step."""

    phone: str
    shows: tuple[ExpectedMessage, ...] | None = None
    undelivered: tuple[ExpectedFailure, ...] | None = None
    alerts: tuple[int, ...] | None = None
    outcome: SessionOutcome | None = None
    prints: tuple[str, ...] = ()
    """What the command of the step prints."""
    within: float = 5.0
    """Seconds of real time."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes on the sandbox's clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetFaults:
    """Faults are switched on; None switches all off."""

    faults: FaultSet | None


@dataclass(frozen=True, slots=True)
class ChangePhone:
    """A phone is switched off or on, or changes its carrier; None leaves it as it is."""

    phone: str
    state: PhoneState | None
    carrier: Carrier | None


class ChangePort(StrictModel):
    """The port-in request of a number is opened, and then changes its status."""

    number: E164
    status: PortStatus = PortStatus.IN_REVIEW
    reason: str | None = None
    """Why the losing carrier rejects it."""

    def __str__(self) -> str:
        return f"the port of {self.number}: {self.status.value.replace('_', ' ')}"


@dataclass(frozen=True, slots=True)
class RunCommand:
    """An operator runs ``sms-router`` with these arguments."""

    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"sms-router {shlex.join(self.arguments)}"


@dataclass(frozen=True, slots=True)
class CheckOnly:
    """Nothing happens."""


Action = IncomingText | Wait | SetFaults | ChangePhone | ChangePort | RunCommand | CheckOnly


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """One thing that happens, and what must follow from it."""

    title: str
    action: Action
    check: Check


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"expected a path that begins with /, got {text!r}")
    return text


def _page(value: object) -> str | int:
    if isinstance(value, str) or (type(value) is int and 200 <= value <= 599):
        return value
    raise ValueError(f"expected TwiML, or a status from 200 to 599, got {value!r}")


class Application(StrictModel):
    """``[application]``: keywords and handlers that replace those of the configuration."""

    keywords: str = ""
    """The text of a ``keywords.toml``."""
    handlers: str = ""
    """The text of a Python module."""
    upstream: Mapping[Annotated[str, AfterValidator(_path)], Annotated[str | int, PlainValidator(_page)]] = {}
    """Pages of another application, by path: TwiML, or the status of an error."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One conversation. ``settings`` replace those of ``router.toml`` in the tables with the same names."""

    title: str
    world: World
    steps: tuple[ScenarioStep, ...]
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    application: Application | None = None

    @property
    def needs_own_router(self) -> bool:
        """True when a router that is already running cannot play it."""
        has_commands = any(isinstance(step.action, RunCommand) for step in self.steps)
        return self.application is not None or bool(self.settings) or has_commands
