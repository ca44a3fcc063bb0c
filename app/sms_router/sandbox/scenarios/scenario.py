"""Scenario files, read and validated: their tables are pydantic models."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    Strict,
    ValidationInfo,
    field_validator,
)

from sms_router.sandbox.inbound.session import SessionOutcome
from sms_router.sandbox.state.ports import PortStatus
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.loader import PhoneTable, ServiceChanges, phones_by_number, strings_at
from sms_router.sandbox.world.numbers import NumberKind
from sms_router.sandbox.world.types import (
    E164,
    CarrierName,
    DefinedNames,
    OwnNumber,
    Seconds,
    TextSender,
    defined_names,
)
from sms_router.sandbox.world.world import Carrier, PhoneState, World
from sms_router.toml import StrictModel, read_toml, validate

MAX_MESSAGES = 200
"""A phone shows no more."""

_ACTIONS = (("texts", "media"), ("wait",), ("faults",), ("state", "carrier"), ("port",), ("command",))
"""Keys that make something happen; a step has those of one group at most."""

_Value = TypeVar("_Value")


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _expected_messages(value: object) -> object:
    """Read a list of texts and tables, or how many messages there must be."""
    if type(value) is int and 0 <= value <= MAX_MESSAGES:
        return ({},) * value
    if isinstance(value, list):
        return [{"equals": item} if isinstance(item, str) else item for item in value]
    raise ValueError(f"expected a list of texts and tables, or a number, got {value!r}")


def _arguments(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(shlex.split(value))
    raise ValueError('must be text in quotes, like "this"')


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"expected a path that begins with /, got {text!r}")
    return text


def _page(value: object) -> str | int:
    if isinstance(value, str) or (type(value) is int and 200 <= value <= 599):
        return value
    raise ValueError(f"expected TwiML, or a status from 200 to 599, got {value!r}")


class ExpectedMessage(StrictModel):
    """One message that a phone must receive; None and empty where anything will do."""

    sender: Annotated[str | None, Field(alias="from")] = None
    equals: str | None = None
    contains: Annotated[tuple[str, ...], BeforeValidator(_one_or_several)] = ()
    media: tuple[str, ...] | None = None
    status: str | None = None


class ExpectedFailure(StrictModel):
    """One message that must not reach a phone."""

    error: Annotated[int, Strict(), Field(ge=10000, le=99999)]
    sender: Annotated[str | None, Field(alias="from")] = None


class ChangePort(StrictModel):
    """The port-in request of a number is opened, and then changes its status."""

    number: E164
    status: PortStatus = PortStatus.IN_REVIEW
    reason: str | None = None
    """Why the losing carrier rejects it."""


class ScenarioStep(StrictModel):
    """``[[steps]]``: one thing that happens, and what must follow from it.

    A check that is None is left to a later step. ``load_scenario`` sets ``title``, and ``to`` of a text.
    """

    title: str = ""
    texts: str | None = None
    media: tuple[str, ...] = ()
    group: tuple[E164, ...] = ()
    wait: Seconds | None = None
    """Seconds that pass on the sandbox's clock."""
    faults: FaultSet | None = None
    """Without any: all faults are switched off."""
    state: PhoneState | None = None
    carrier: CarrierName | None = None
    port: ChangePort | None = None
    command: Annotated[tuple[str, ...] | None, PlainValidator(_arguments)] = None
    """Arguments of ``sms-router``, which an operator runs."""
    to: OwnNumber | None = None
    shows: Annotated[tuple[ExpectedMessage, ...] | None, BeforeValidator(_expected_messages)] = None
    undelivered: tuple[ExpectedFailure, ...] | None = None
    alerts: tuple[Annotated[int, Strict()], ...] | None = None
    webhook: SessionOutcome | None = None
    prints: Annotated[tuple[str, ...], BeforeValidator(_one_or_several)] = ()
    within: Annotated[Seconds, Field(le=60)] = 5.0
    """Seconds of real time."""
    # the last one: whether it may be missing depends on the others
    phone: Annotated[TextSender | None, Field(validate_default=True)] = None

    @property
    def is_text(self) -> bool:
        return self.texts is not None or bool(self.media)

    @field_validator("texts", "media")
    @classmethod
    def _number_exists(cls, value: _Value, info: ValidationInfo) -> _Value:
        if not defined_names(info).numbers:
            raise ValueError("the account has no short code or phone number that could be texted")
        return value

    @field_validator("wait", "faults", "state", "carrier", "port", "command")
    @classmethod
    def _one_action(cls, value: _Value, info: ValidationInfo) -> _Value:
        others = (key for keys in _ACTIONS if info.field_name not in keys for key in keys)
        if other := next((key for key in others if info.data.get(key) not in (None, ())), None):
            raise ValueError(f"a step does one thing, and {other} is another; write two steps")
        return value

    @field_validator("to", "webhook", "group")
    @classmethod
    def _belongs_to_a_text(cls, value: _Value, info: ValidationInfo) -> _Value:
        if info.data.get("texts", "") is None and not info.data.get("media", True):
            raise ValueError("goes with texts or media: nothing is texted here")
        return value

    @field_validator("prints")
    @classmethod
    def _belongs_to_a_command(cls, value: _Value, info: ValidationInfo) -> _Value:
        if info.data.get("command", "") is None:
            raise ValueError("goes with command: nothing prints here")
        return value

    @field_validator("phone")
    @classmethod
    def _needed(cls, phone: str | None, info: ValidationInfo) -> str | None:
        keys = ("texts", "media", "state", "carrier", "shows", "undelivered")
        if not phone and any(info.data.get(key) not in (None, ()) for key in keys):
            raise ValueError("is missing: whose phone is it?")
        return phone


class Application(StrictModel):
    """``[application]``: keywords and handlers that replace those of the configuration."""

    keywords: str = ""
    """The text of a ``keywords.toml``."""
    handlers: str = ""
    """The text of a Python module."""
    upstream: Mapping[Annotated[str, AfterValidator(_path)], Annotated[str | int, PlainValidator(_page)]] = {}
    """Pages of another application, by path: TwiML, or the status of an error."""


class ScenarioFile(StrictModel):
    """A scenario's file."""

    title: str
    story: str = ""
    steps: Annotated[tuple[ScenarioStep, ...], Field(min_length=1)]
    carriers: tuple[Carrier, ...] = ()
    phones: tuple[PhoneTable, ...] = ()
    faults: FaultSet = FaultSet()
    service: ServiceChanges | None = None
    application: Application | None = None
    router: dict[str, Any] | None = None
    conversations: dict[str, Any] | None = None
    loop_guard: dict[str, Any] | None = None


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
        has_commands = any(step.command is not None for step in self.steps)
        return self.application is not None or bool(self.settings) or has_commands


def load_scenario(path: str | Path, world: World) -> Scenario:
    """Read a scenario that plays in ``world``, with the phones, carriers and settings that it adds.

    Raises:
        ConfigurationError: with every mistake, named by its key.

    """
    document = read_toml(Path(path), required=True)
    names = DefinedNames(
        carriers=[*world.carriers, *strings_at(document, "carriers", "name")],
        numbers=[number.address for number in world.numbers],
    )
    file = validate(document, ScenarioFile, Path(path), names)
    tables = {"router": file.router, "conversations": file.conversations, "loop_guard": file.loop_guard}
    return Scenario(
        title=file.title,
        world=_changed_world(world, file),
        steps=tuple(_complete_step(step, world) for step in file.steps),
        settings={name: settings for name, settings in tables.items() if settings is not None},
        application=file.application,
    )


def _changed_world(world: World, file: ScenarioFile) -> World:
    carriers = {**world.carriers, **{carrier.name: carrier for carrier in file.carriers}}
    services = world.services
    if file.service is not None:
        services = (file.service.applied_to(services[0]), *services[1:])
    return replace(
        world,
        carriers=MappingProxyType(carriers),
        phones=MappingProxyType({**world.phones, **phones_by_number(file.phones, carriers)}),
        services=services,
        faults=file.faults,
    )


def _complete_step(step: ScenarioStep, world: World) -> ScenarioStep:
    """Add the number that is texted, which is the first short code, and a title where there is none."""
    if step.is_text and not step.to:
        short_codes = (number for number in world.numbers if number.kind is NumberKind.SHORT_CODE)
        step = step.model_copy(update={"to": next(short_codes, world.numbers[0]).address})
    return step.model_copy(update={"title": step.title or _describe(step)})


def _describe(step: ScenarioStep) -> str:
    """Describe what happens in one line."""
    if step.is_text:
        count = len(step.media)
        pictures = f"{count} picture{'s' if count > 1 else ''}" if count else ""
        return f"{step.phone} texts {step.to}: {' + '.join(filter(None, (step.texts, pictures)))}"
    if step.wait is not None:
        return f"{step.wait:g} s pass"
    if step.faults is not None:
        return f"faults are switched {'off' if step.faults == FaultSet() else 'on'}"
    if step.state or step.carrier:
        state = f"is {step.state.value}" if step.state else ""
        carrier = f"is with {step.carrier}" if step.carrier else ""
        return f"{step.phone} {' and '.join(filter(None, (state, carrier)))}"
    if step.port is not None:
        return f"the port of {step.port.number}: {step.port.status.value.replace('_', ' ')}"
    command = f"sms-router {shlex.join(step.command)}" if step.command is not None else ""
    return command or f"{step.phone or 'Twilio'} is looked at"
