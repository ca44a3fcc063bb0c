"""A scenario's file -> Scenario, or a list of what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from sms_router.sandbox.scenarios.scenario import Application, Scenario
from sms_router.sandbox.scenarios.steps_config import read_step
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.faults_config import read_faults
from sms_router.sandbox.world.loader import read_document
from sms_router.sandbox.world.phones_config import read_carriers, read_phones
from sms_router.sandbox.world.services_config import lay_over
from sms_router.sandbox.world.toml_table import Table, WorldError
from sms_router.sandbox.world.world import World

_STATUSES = range(200, 600)
"""What an upstream may answer in place of TwiML."""


OF_THE_ROUTER = ("router", "conversations", "loop_guard")
"""Tables that are laid over those of ``router.toml``."""


def read_scenario(path: str | Path, world: World) -> Scenario:
    """Read a scenario that plays in ``world``, with the people and settings that it adds.

    Raises:
        WorldError: with every mistake, named by its key.

    """
    mistakes: list[str] = []
    root = read_document(path, mistakes)
    world = _laid_over(root, world)
    scenario = Scenario(
        path=str(path),
        title=root.text("title"),
        story=root.text("story", ""),
        world=world,
        steps=tuple(read_step(row, world) for row in root.tables("steps")),
        settings={name: root.items(name) for name in OF_THE_ROUTER if root.has(name)},
        application=_application(root.table("application")) if root.has("application") else None,
    )
    if not scenario.steps:
        root.refuse("steps", "there must be one at least")
    root.know("application", "service", "faults", *OF_THE_ROUTER)
    root.finish()
    if mistakes:
        raise WorldError(str(path), mistakes)
    return scenario


def _laid_over(root: Table, world: World) -> World:
    carriers = {**world.carriers, **read_carriers(root)}
    services = world.services
    if root.has("service"):
        table = root.table("service")
        services = (lay_over(table, services[0]), *services[1:])
        table.finish()
    return replace(
        world,
        carriers=MappingProxyType(carriers),
        phones=MappingProxyType({**world.phones, **read_phones(root, carriers)}),
        services=services,
        faults=read_faults(root.table("faults")) if root.has("faults") else FaultSet(),
    )


def _application(table: Table) -> Application:
    pages = table.items("upstream")
    for path, page in pages.items():
        if not path.startswith("/") or not (isinstance(page, str) or page in _STATUSES):
            table.refuse("upstream", f"expected a path and its TwiML or status, got {path!r} = {page!r}")
    told = {path: page for path, page in pages.items() if isinstance(page, str | int)}
    application = Application(table.text("keywords", ""), table.text("handlers", ""), told)
    table.finish()
    return application
