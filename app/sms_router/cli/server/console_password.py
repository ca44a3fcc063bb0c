"""The console's password: generated beside the sandbox, and how ``serve`` announces the console."""

from __future__ import annotations

import os
import secrets

from sms_router.config.settings import Settings
from sms_router.config.types import MIN_PASSWORD_LENGTH
from sms_router.files import stored_secret

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
    password = stored_secret(file, lambda: secrets.token_urlsafe(12), MIN_PASSWORD_LENGTH)
    os.environ["CONSOLE_PASSWORD"] = password
    return password


def console_lines(settings: Settings, generated: str | None) -> list[str]:
    """Return the lines about the console: its URL and generated password, or how to enable it."""
    if not settings.console.password.get_secret_value():
        return [f"\nThe console is off, because it has no password. Enable it: {REMEDY}"]
    url = f"{settings.private_url}/console"
    return [f"\nConsole: {url}" + (f" (password: {generated})" if generated else "")]
