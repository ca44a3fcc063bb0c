"""Loads a scenario's file."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.scenarios.models import ScenarioFile, StepTable
from sms_router.sandbox.scenarios.scenario import (
    Action,
    ChangePhone,
    ChangePort,
    Check,
    CheckOnly,
    RunCommand,
    Scenario,
    ScenarioStep,
    SetFaults,
    Wait,
)
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.loader import phones_by_number, strings_at
from sms_router.sandbox.world.numbers import NumberKind
from sms_router.sandbox.world.types import DefinedNames
from sms_router.sandbox.world.world import World
from sms_router.toml import read_toml, validate


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
    world = _changed_world(world, file)
    tables = {"router": file.router, "conversations": file.conversations, "loop_guard": file.loop_guard}
    return Scenario(
        title=file.title,
        world=world,
        steps=tuple(_step(table, world) for table in file.steps),
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


def _step(table: StepTable, world: World) -> ScenarioStep:
    action = _action(table, world)
    check = Check(
        phone=table.phone or "",
        shows=table.shows,
        undelivered=table.undelivered,
        alerts=table.alerts,
        outcome=table.webhook,
        prints=table.prints,
        within=table.within,
    )
    return ScenarioStep(table.title or _title(action, check.phone), action, check)


def _action(table: StepTable, world: World) -> Action:
    phone = table.phone or ""
    if table.texts is not None or table.media:
        numbers = {number.address: number for number in world.numbers}
        short_codes = (number for number in world.numbers if number.kind is NumberKind.SHORT_CODE)
        number = numbers[table.to] if table.to else next(short_codes, world.numbers[0])
        return IncomingText(phone, number, table.texts or "", table.media, table.group)
    if table.wait is not None:
        return Wait(table.wait)
    if table.faults is not None:
        return SetFaults(table.faults if table.faults != FaultSet() else None)
    if table.state or table.carrier:
        return ChangePhone(phone, table.state, world.carriers[table.carrier] if table.carrier else None)
    if table.command is not None:
        return RunCommand(tuple(shlex.split(table.command)))
    return table.port or CheckOnly()


def _title(action: Action, phone: str) -> str:
    """Describe what happens in one line."""
    if isinstance(action, IncomingText):
        count = len(action.media)
        pictures = f"{count} picture{'s' if count > 1 else ''}" if count else ""
        return f"{phone} texts {action.number.address}: {' + '.join(filter(None, (action.body, pictures)))}"
    if isinstance(action, Wait):
        return f"{action.seconds:g} s pass"
    if isinstance(action, SetFaults):
        return "faults are switched on" if action.faults else "faults are switched off"
    if isinstance(action, ChangePhone):
        state = f"is {action.state.value}" if action.state else ""
        carrier = f"is with {action.carrier.name}" if action.carrier else ""
        return f"{phone} {' and '.join(filter(None, (state, carrier)))}"
    if isinstance(action, ChangePort | RunCommand):
        return str(action)
    return f"{phone or 'Twilio'} is looked at"
