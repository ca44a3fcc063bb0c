"""The opt-out list on this machine's disk, for workers that start while Redis is away."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import mkstemp

from app.routing.opt_out_copy import OptOutCopy

log = logging.getLogger("sms_router.opt_outs")

KEEP_EVERY = 2.0
"""Seconds between two looks at whether the list has changed."""

AT_ONCE = 500
"""Entries that are taken over in one turn of the event loop."""


class OptOutsOnDisk:
    """One file, which each worker of the machine writes: without Redis, the others read what one has heard.

    Who comes back then is answered by a worker that has not heard of the opt-out from another one, by the
    others once Redis serves: the list errs on the side of silence.
    """

    def __init__(self, path: Path, copy: OptOutCopy, away: Callable[[], bool]) -> None:
        """Take where the file is, whose entries are kept in it, and who knows whether Redis is away."""
        self._path = path
        self._copy = copy
        self._away = away
        self._kept = -1
        """At which change of the copy it was written; -1 where it has to be in any case."""
        self._seen: tuple[int, int] | None = None
        """Which file this worker has read or written last."""
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file where the list could not be read in Redis, and begin to keep it."""
        if not self._copy.whole:
            await self._learn()
        if not self._copy.whole:
            log.warning(
                "the opt-out list is neither in reach nor in %s: until Redis serves, people who have "
                "opted out may be answered", self._path,
            )  # fmt: skip
        self._keeper = asyncio.create_task(self._keep_on(), name="opt-outs-keeper")

    async def aclose(self) -> None:
        """Keep what has changed since, and stop."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            await self._keep()

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY)
            if self._away():
                await self._learn()
            await self._keep()

    async def _learn(self) -> None:
        """Remember who is in the file, if another worker has written it; nobody is forgotten."""
        try:
            text = await asyncio.to_thread(self._read)
        except (OSError, UnicodeDecodeError) as error:
            log.warning("the opt-out list in %s cannot be read: %s", self._path, error)
            return
        if text is None:
            return
        theirs = set[tuple[str, str]]()
        for number, line in enumerate(text.splitlines()):
            scope, _, person = line.partition(" ")
            theirs.add((scope, person))
            self._copy.remember(scope, person)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # messages are waiting meanwhile
        if not theirs.issuperset(self._copy):
            self._kept = -1  # it was written by somebody who does not know all that we do
        self._copy.whole = True

    async def _keep(self) -> None:
        """Write the list, if it is one and has changed."""
        if not self._copy.whole or self._copy.changes == self._kept:
            return
        changes, people = self._copy.changes, tuple(self._copy)
        try:
            await asyncio.to_thread(self._write, people)
        except OSError as error:
            log.warning("the opt-out list cannot be kept in %s: %s", self._path, error)
        self._kept = changes

    def _read(self) -> str | None:
        """Return what the file holds; None where it is not there, or known already."""
        try:
            found = _identity(self._path)
            if found == self._seen:
                return None
            text = self._path.read_text("utf-8")
        except FileNotFoundError:
            return None
        self._seen = found
        return text

    def _write(self, people: Iterable[tuple[str, str]]) -> None:
        """Put a whole file in the place of the old one."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = mkstemp(prefix=f"{self._path.name}.", dir=self._path.parent)
        new = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.writelines(f"{scope} {person}\n" for scope, person in people)
            written = _identity(new)
            new.replace(self._path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        self._seen = written


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells one file from the next in its place: two may be written in the same instant."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
