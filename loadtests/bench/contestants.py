"""Who is measured: data, so that the next one is a few lines."""

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
class Contestant:
    """One program that can be a Messaging Service's inbound URL.

    ``module`` is what follows ``python -m``, with ``{port}`` where the port goes. ``checks``
    says that it proves signatures and answers the keyword's text; ``stores`` that it needs a
    Valkey beside it. ``node`` is the folder of a package for node, which is started in
    Python's place.
    """

    name: str
    module: tuple[str, ...]
    checks: bool = True
    stores: bool = False
    node: Path | None = None

    def missing(self) -> str:
        """Return what this machine lacks to run this contestant, and the remedy; empty when nothing."""
        if self.node is None:
            return ""
        if shutil.which("node") is None:
            return f"{self.name} is left out: there is no node on the PATH"
        if not (self.node / "node_modules" / "twilio").is_dir():
            return f"{self.name} is left out: its packages are missing; npm ci --prefix {_shown(self.node)}"
        return ""

    def command(self, port: int) -> list[str]:
        """Return the command line that starts this contestant on ``port``."""
        words = [word.format(port=port) for word in self.module]
        return ["node", *words] if self.node else [sys.executable, "-m", *words]


ROUTER = Contestant("router", ("sms_router", "serve"), stores=True)
CONTESTANTS = (
    Contestant("floor", (*UVICORN, "loadtests.bench.apps.floor:application"), checks=False),
    Contestant("bare", (*UVICORN, "loadtests.bench.apps.bare:application"), stores=True),
    Contestant("starlette", (*UVICORN, "loadtests.bench.apps.starlette_app:application")),
    Contestant("fastapi", (*UVICORN, "loadtests.bench.apps.fastapi_app:application")),
    Contestant("flask", (*GUNICORN, "loadtests.bench.apps.flask_app:application")),
    Contestant("express", (str(EXPRESS / "server.js"),), node=EXPRESS),
    ROUTER,
)


class UnknownContestantError(ValueError):
    """A name that nobody in the list has."""


def chosen(names: str) -> tuple[Contestant, ...]:
    """Return the contestants named in a comma-separated list, in the list's own order; all when empty.

    Raises:
        UnknownContestantError: with the names that there are.

    """
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {contestant.name for contestant in CONTESTANTS}
    if unknown := sorted(wanted - known):
        raise UnknownContestantError(
            f"nobody is called {', '.join(unknown)}; there are {', '.join(c.name for c in CONTESTANTS)}"
        )
    return tuple(contestant for contestant in CONTESTANTS if not wanted or contestant.name in wanted)


def _shown(folder: Path) -> Path:
    """Return a folder as somebody in the project's would write it."""
    return folder.relative_to(Path(__file__).resolve().parents[2])
