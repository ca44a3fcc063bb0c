"""``config/sandbox.toml`` -> World, or a list of what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import MappingProxyType

from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.faults_config import read_faults
from sms_router.sandbox.world.numbers_config import read_countries, read_numbers, read_sid
from sms_router.sandbox.world.phones_config import read_carrier, read_carriers, read_phones
from sms_router.sandbox.world.services_config import read_service
from sms_router.sandbox.world.toml_table import Table, WorldError
from sms_router.sandbox.world.world import World


def load_world(path: str | Path, router_url: str | None = None) -> World:
    """Read the world that the sandbox starts from.

    ``router_url`` (such as ``http://127.0.0.1:8123``) replaces scheme, host and port of the
    Services' inbound, fallback and status URLs, so that a router on another port is called; a path
    in it is put before theirs.

    Raises:
        WorldError: with every mistake, named by its key.

    """
    mistakes: list[str] = []
    world = _world(read_document(path, mistakes), router_url)
    if mistakes:
        raise WorldError(str(path), mistakes)
    return world


def read_document(path: str | Path, mistakes: list[str]) -> Table:
    """Return a TOML file as a table whose mistakes go into the list.

    Raises:
        WorldError: when there is no such file, or it is not TOML.

    """
    try:
        return Table(tomllib.loads(Path(path).read_text("utf-8")), "", mistakes)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WorldError(str(path), [str(error)]) from error


def _world(root: Table, router_url: str | None) -> World:
    account = root.table("account")
    carriers = read_carriers(root)
    numbers = read_numbers(root)
    world = World(
        account_sid=read_sid(account, "AC"),
        auth_token=account.text("auth_token"),
        services=tuple(read_service(row, numbers, router_url) for row in root.tables("services")),
        numbers=tuple(numbers.values()),
        carriers=MappingProxyType(carriers),
        phones=MappingProxyType(read_phones(root, carriers)),
        default_carrier=read_carrier(root, "default_carrier", carriers),
        permitted_countries=read_countries(account, "permitted_countries"),
        faults=read_faults(root.table("faults")) if root.has("faults") else FaultSet(),
    )
    if not world.auth_token:
        account.refuse("auth_token", "must not be empty: anybody could sign with it")
    account.finish()
    root.know("faults")
    root.finish()
    return world
