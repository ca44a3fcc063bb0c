"""The stacks that are measured."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

UVICORN = (
    "uvicorn",
    *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    *("--http", "httptools", "--loop", "uvloop", "--lifespan", "off"),
    *("--no-access-log", "--log-level", "warning"),
)
GUNICORN = (
    "gunicorn",
    *("--bind", "127.0.0.1:{port}", "--workers", "1", "--worker-class", "gthread", "--threads", "4"),
    *("--keep-alive", "60", "--no-control-socket", "--log-level", "warning"),
)
EXPRESS = Path(__file__).resolve().parent / "apps" / "express"


@dataclass(frozen=True, slots=True)
class Stack:
    """One program that can be a Messaging Service's inbound URL.

    Attributes:
        module: the arguments after ``python -m``, with ``{port}`` for the port.
        checks: whether it verifies signatures and replies to the keyword.
        stores: whether it needs a Valkey.
        node: the folder of a Node.js package, which is started instead of Python.

    """

    name: str
    module: tuple[str, ...]
    checks: bool = True
    stores: bool = False
    node: Path | None = None

    def missing(self) -> str:
        """Return what this machine lacks to run this stack, with the remedy; empty if nothing."""
        if self.node is None:
            return ""
        if shutil.which("node") is None:
            return f"{self.name} is left out: node is not on the PATH"
        if not (self.node / "node_modules" / "twilio").is_dir():
            return f"{self.name} is left out: packages are missing; npm ci --prefix {_relative(self.node)}"
        return ""

    def command(self, port: int) -> list[str]:
        """Return the command that starts this stack on ``port``."""
        words = [word.format(port=port) for word in self.module]
        return ["node", *words] if self.node else [sys.executable, "-m", *words]


ROUTER = Stack("router", ("sms_router", "serve"), stores=True)
STACKS = (
    Stack("floor", (*UVICORN, "loadtests.bench.apps.floor:application"), checks=False),
    Stack("bare", (*UVICORN, "loadtests.bench.apps.bare:application"), stores=True),
    Stack("starlette", (*UVICORN, "loadtests.bench.apps.starlette_app:application")),
    Stack("fastapi", (*UVICORN, "loadtests.bench.apps.fastapi_app:application")),
    Stack("flask", (*GUNICORN, "loadtests.bench.apps.flask_app:application")),
    Stack("express", (str(EXPRESS / "server.js"),), node=EXPRESS),
    ROUTER,
)


class UnknownStackError(ValueError):
    """A name that no stack has."""


def select_stacks(names: str) -> tuple[Stack, ...]:
    """Return the stacks of a comma-separated list, in the order of `STACKS`; all if it is empty.

    Raises:
        UnknownStackError: with the existing names.

    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {stack.name for stack in STACKS}
    if unknown := sorted(wanted - known):
        raise UnknownStackError(
            f"unknown stack {', '.join(unknown)}; there are {', '.join(stack.name for stack in STACKS)}"
        )
    return tuple(stack for stack in STACKS if not wanted or stack.name in wanted)


def _relative(folder: Path) -> Path:
    return folder.relative_to(Path(__file__).resolve().parents[2])
