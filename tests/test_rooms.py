"""Imports point downward: each room of the house knows those below it, and none above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parents[1] / "app"

MAY_IMPORT: dict[str, set[str]] = {
    "sandbox": {"twilio"},
    "twilio": set(),
    "store": set(),
    "senders": {"twilio"},
    "delivery": {"store", "twilio"},
    "membership": {"senders", "store", "twilio"},
    "onboarding": {"membership", "senders", "store", "twilio"},
    "routing": {"delivery", "senders", "store", "twilio"},
    "web": {"membership", "onboarding", "routing", "senders", "store", "twilio"},
    "handlers": set(),
}
MAY_IMPORT["cli"] = MAY_IMPORT.keys() - {"handlers"}
"""Which other rooms each one may import."""

COMPOSED = {"application", "start", "worker"}
"""What puts the rooms together; no room imports it, save the command line, which starts it."""


def imported(module: Path) -> Iterator[str]:
    """Yield what follows ``app.`` in each import of a module of ours."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        names = [f"{package}{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("app."))


def test_every_room_has_its_place() -> None:
    assert {path.parent.name for path in APP.glob("*/__init__.py")} == MAY_IMPORT.keys()


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_those_below_it(room: str) -> None:
    modules = sorted((APP / room).rglob("*.py"))
    forbidden = (MAY_IMPORT.keys() | COMPOSED) - MAY_IMPORT[room] - {room}
    if room == "cli":
        forbidden -= {"start"}
    found = {str(module): sorted(wrong) for module in modules if (wrong := {*imported(module)} & forbidden)}
    assert found == {}
