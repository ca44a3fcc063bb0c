"""The opt-out list on this machine's disk, for workers that start while Redis is away."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import mkstemp

from sms_router.routing.opt_outs.cache import OptOutCache
from sms_router.routing.opt_outs.consent_log import ConsentLog
from sms_router.store.local_database import DiskThread
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.opt_outs")

KEEP_EVERY = 2.0
"""Seconds between two looks at whether the list has changed."""

AT_ONCE = 500
"""Entries that are taken over in one turn of the event loop."""


class OptOutDiskCache:
    """One file, which each worker of the machine writes: without Redis, the others read what one has heard.

    Nobody in it is forgotten, since its writer may not know who has come back. What people say while Redis
    is away stands in a second file, in its order, and comes after what the first one says.
    """

    def __init__(self, path: Path, copy: OptOutCache, away: Callable[[], bool]) -> None:
        """Take the file's path, the list that is kept in it, and how to tell whether Redis is away."""
        self._path = path
        self._copy = copy
        self._away = away
        self._kept = -1
        """At which change of the copy it was written; -1 where it has to be in any case."""
        self._seen: tuple[int, int] | None = None
        """Which file this worker has read or written last."""
        self._log = ConsentLog(path.with_name(f"{path.name}.said"))
        self._telling: Sequence[str] = ()
        """What is being added to it."""
        self._disk = DiskThread("opt-outs")
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def start(self) -> None:
        """Read the file where the list could not be read in Redis, and begin to keep it."""
        if not self._copy.complete:
            await self._load()
        if not self._copy.complete:
            log.warning(
                "neither Redis nor %s has the opt-out list: until Redis serves, people who have "
                "opted out may be answered", self._path,
            )  # fmt: skip
        self._tasks = (
            asyncio.create_task(self._keep_on(), name="opt-outs-keeper"),
            asyncio.create_task(self._tell_on(), name="opt-outs-teller"),
        )

    async def aclose(self) -> None:
        """Keep what has changed since, and stop."""
        await cancel_and_wait(*self._tasks)
        if self._tasks:
            await self._keep()
        self._disk.close()

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY)
            if self._away():
                self._copy.changed.set()  # something may have been said before that was known
                await self._load()
            else:
                self._copy.said.clear()
                await self._forget()
            await self._keep()

    async def _tell_on(self) -> None:
        """Write down at once what people say while Redis is away: the order counts."""
        while True:
            await self._copy.changed.wait()
            self._copy.changed.clear()
            if self._away():
                await self._append()

    async def _append(self) -> None:
        self._telling = tuple(self._copy.said)
        self._copy.said.clear()
        try:
            if self._telling:
                await self._disk.run(self._log.add, self._telling)
        except OSError as error:
            log.warning("who has opted out or come back cannot be told to other workers: %s", error)
        self._telling = ()

    async def _forget(self) -> None:
        """Remove what people said while Redis was away: it has that now."""
        try:
            await self._disk.run(self._log.remove)
        except OSError as error:
            log.warning("what people said while Redis was away cannot be removed: %s", error)

    async def _load(self) -> None:
        """Take over what other workers know, if it is news: who is in the file, then what people said."""
        try:
            text = await self._disk.run(self._read)
            words = await self._disk.run(self._log.read_new, all_of_it=text is not None)
        except (OSError, UnicodeDecodeError) as error:
            log.warning("the opt-out list in %s cannot be read: %s", self._path, error)
            return
        if text is not None:
            await self._take_over(text, words)
        elif words:
            await self._hear(words)

    async def _take_over(self, text: str, words: Sequence[str]) -> None:
        theirs = set[tuple[str, str]]()
        for number, line in enumerate(text.splitlines()):
            scope, _, person = line.partition(" ")
            theirs.add((scope, person))
            self._copy.remember(scope, person)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # messages are waiting meanwhile
        await self._hear(words)
        # Where it differs, it was written by somebody who does not know all that we do.
        self._kept = self._copy.changes if theirs == set(self._copy) else -1
        self._copy.complete = True

    async def _hear(self, words: Sequence[str]) -> None:
        """Hear the last word of each person; what they tell this worker meanwhile comes after it."""
        last = {word.partition(" ")[2]: word for word in words}
        for number, word in enumerate(last.values()):
            self._copy.apply(word)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        for word in (*self._telling, *self._copy.said):
            self._copy.apply(word)

    async def _keep(self) -> None:
        """Write the list, if it is known in full and has changed."""
        if not self._copy.complete or self._copy.changes == self._kept:
            return
        changes, people = self._copy.changes, tuple(self._copy)
        try:
            await self._disk.run(self._write, people)
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
    """Return what tells a file from its successor: two may be written in the same instant."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
