"""Loads rules first in a separate process, which has limits and can be stopped.

A thread cannot be stopped, so rules that take too much time or memory to load would block a worker. Here
they end their own process, and the worker keeps the rules that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import sys
from pathlib import Path

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.published import KEYWORDS, TEMPLATES, PublishedRules
from sms_router.routing.dispatch.rule_loader import load_rules

MAX_SECONDS = 20.0
"""Until rules are loaded; the process may wait for a processor meanwhile."""

MAX_CPU_SECONDS = 10
MAX_MEMORY_BYTES = 1_073_741_824

_MARKUP = re.compile(r"\{[{%#]")
_MAX_PLAIN_BYTES = 2_000_000
"""Of files without templates, up to which their cost is known to be small."""


async def find_excess(folder: Path, published: PublishedRules | None = None) -> list[str]:
    """Return a sentence where the rules take too much to be loaded, or nothing; mistakes are no concern here.

    A published version stands for the folder's keywords.toml and templates.
    """
    with contextlib.ExitStack() as stack:
        if published is not None:
            folder = stack.enter_context(published.unpacked())
        if not await asyncio.to_thread(_has_cost, folder):
            return []
        return await _load_isolated(folder)


async def _load_isolated(folder: Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        str(folder),
        str(MAX_CPU_SECONDS),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(MAX_SECONDS):
            code = await process.wait()
    except TimeoutError:
        return [f"{KEYWORDS} and its templates take more than {MAX_SECONDS:g} s to be loaded"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code == 0:
        return []
    limits = f"{MAX_CPU_SECONDS} s of processor time or {MAX_MEMORY_BYTES // 2**20} MB"
    return [f"{KEYWORDS} and its templates take more than {limits} to be loaded (exit code {code})"]


def _has_cost(folder: Path) -> bool:
    """Return whether there are templates, or very large files."""
    size = 0
    for path in (folder / KEYWORDS, *(folder / TEMPLATES).rglob("*")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        except OSError:
            continue
        size += len(text)
        if size > _MAX_PLAIN_BYTES or _MARKUP.search(text):
            return True
    return False


def main(folder: Path, cpu_seconds: int) -> None:
    """Load the rules of a folder with limits on this process; a mistake in them is a success here."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ConfigurationError):
        load_rules(folder / KEYWORDS, folder / TEMPLATES, HandlerRegistry([], []))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
