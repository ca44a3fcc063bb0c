"""The project whose handlers are tested: its settings, its Twilio, and a Redis for its tests."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from sms_router.cli.context import sandbox_environment, sandbox_world
from sms_router.config.settings import DEMO_FOLDER, DEMO_HANDLERS, Settings, load_settings
from sms_router.sandbox.world.world import World
from sms_router.store.embedded import embedded
from sms_router.store.redis_py import sync_client


@dataclass(frozen=True, slots=True)
class Project:
    """Read once for all tests."""

    root: Path
    """The folder of the team's modules."""
    settings: Settings
    world: World
    client: redis.Redis
    """Of an embedded Valkey without persistent data; it listens on a socket in the file system only."""


@contextlib.contextmanager
def open_project(folder: Path | None, root: Path, data_dir: Path) -> Iterator[Project]:
    """Read a project, with its own environment: credentials and addresses of this machine are not used.

    Args:
        folder: the configuration folder; None to find it as ``serve`` does.
        root: the project's folder, from which handlers are imported.
        data_dir: an empty folder.

    Raises:
        ConfigurationError: with every mistake in the configuration.

    """
    folder = (folder or Path(os.environ.get("SMS_ROUTER_CONFIG") or root / "config")).resolve()
    if not any((folder / name).is_file() for name in ("router.toml", "keywords.toml")):
        folder = DEMO_FOLDER
    for place in [str(DEMO_HANDLERS.parent)] if folder == DEMO_FOLDER else [str(root), str(Path.cwd())]:
        if place not in sys.path:
            sys.path.append(place)
    file = folder / "router.toml"
    secrets = re.findall(r'^[^#\n]*"env:(\w+)"', file.read_text("utf-8"), re.M) if file.is_file() else []
    environment = {name: f"test-{name.lower()}-0123456789" for name in secrets}
    environment |= {"SMS_ROUTER_CONFIG": str(folder), "REDIS_URL": "redis://127.0.0.1"}
    settings = load_settings(environment)
    world = sandbox_world(settings)
    if settings.is_offline:
        settings = load_settings({**environment, **sandbox_environment(world, settings)})
    with embedded(data_dir) as url, sync_client(url) as client:
        tables = {
            "redis": settings.redis.model_copy(update={"url": url}),
            "router": settings.router.model_copy(update={"data_dir": data_dir}),
            "loop_guard": settings.loop_guard.model_copy(update={"replies": 0}),
        }
        yield Project(root, settings.model_copy(update=tables), world, client)
