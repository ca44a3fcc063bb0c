"""The console's password: generated beside the sandbox, and how ``serve`` announces the console."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from sms_router.config.settings import Settings
from sms_router.config.types import MIN_PASSWORD_LENGTH

FILE = "console-password"
"""In the data folder, readable by its owner only."""

REMEDY = "export CONSOLE_PASSWORD=..., or write password under [console] in router.toml"


def generate_password(settings: Settings) -> str | None:
    """Set CONSOLE_PASSWORD to a generated password, the same at each start; None when one is configured.

    For the offline mode only: a console with data of real contacts needs a password that its operators chose.
    """
    if settings.console.password.get_secret_value():
        return None
    file = settings.router.data_dir / FILE
    password = _read(file)
    if len(password) < MIN_PASSWORD_LENGTH:
        password = secrets.token_urlsafe(12)
        with contextlib.suppress(OSError):  # the next start then generates another one
            _write(file, password)
    os.environ["CONSOLE_PASSWORD"] = password
    return password


def console_lines(settings: Settings, generated: str | None) -> list[str]:
    """Return the lines about the console: its URL and generated password, or how to enable it."""
    if not settings.console.password.get_secret_value():
        return [f"\nThe console is off, because it has no password. Enable it: {REMEDY}"]
    url = f"{settings.private_url}/console"
    return [f"\nConsole: {url}" + (f" (password: {generated})" if generated else "")]


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(file: Path, password: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{password}\n")
