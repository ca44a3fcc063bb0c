"""The console's password: made for a first try, and what ``serve`` says of where the console is."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sms_router.config.settings import Settings
from sms_router.config.types import SHORTEST_PASSWORD

FILE = "console-password"
"""In the data folder; readable by its owner alone."""

HOW = "export CONSOLE_PASSWORD=..., or write password under [console] in router.toml"


def generate_password(settings: Settings) -> str | None:
    """Set a password when none is configured, the same one at each start; None when one is configured.

    For the offline mode alone: a console that guards real people has the password that its operators chose.
    """
    if settings.console.password.get_secret_value():
        return None
    file = settings.router.data_dir / FILE
    password = _kept(file)
    if len(password) < SHORTEST_PASSWORD:
        password = secrets.token_urlsafe(12)
        with contextlib.suppress(OSError):  # then the next start makes another one
            _keep(file, password)
    os.environ["CONSOLE_PASSWORD"] = password
    return password


def console_lines(settings: Settings, made: str | None) -> list[str]:
    """Say where the console is, with the password that was made for it; or how it is switched on."""
    if not settings.console.password.get_secret_value():
        return [f"\nThe console is off, since it has no password. Switch it on: {HOW}"]
    url = f"{settings.private_url}/console"
    return [f"\nSee what happens: {url}" + (f" (password: {made})" if made else "")]


def _kept(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _keep(file: Path, password: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{password}\n")
