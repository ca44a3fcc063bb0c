"""The spool: what the journal could not take goes to a file, and back when Redis returns.

One file per worker, one JSON line per script run; the scripts do not mind being run again. Writing
happens in a thread, so that a slow disk does not hold up the loop; the queue in front of it is
bounded, and what does not fit is counted and logged: answering people goes before remembering it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from base64 import b85decode, b85encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.store.scripts import Script
from app.store.wire import Argument

log = logging.getLogger("sms_router.spool")

MOST_QUEUED = 50_000
BATCH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One script run that Redis was not there for."""

    script: str
    keys: tuple[bytes, ...]
    arguments: tuple[bytes, ...]

    @classmethod
    def of(cls, script: Script, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Entry:
        """Keep what `Store.run` was called with."""
        return cls(script.name, tuple(keys), tuple(_bytes(argument) for argument in arguments))

    def to_line(self) -> bytes:
        """Return the entry as one line of the file."""
        keys, arguments = (
            [b85encode(part).decode() for part in parts] for parts in (self.keys, self.arguments)
        )
        return json.dumps([self.script, keys, arguments]).encode() + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Entry:
        """Read a line back.

        Raises:
            ValueError: when it is torn or not an entry.

        """
        try:
            script, keys, arguments = json.loads(line)
            return cls(str(script), tuple(map(b85decode, keys)), tuple(map(b85decode, arguments)))
        except (TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a spool entry: {error}") from error


def _text(parts: Sequence[bytes]) -> list[str]:
    return [b85encode(part).decode() for part in parts]


def _bytes(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


class Spool:
    """This worker's spool file, and the ones that dead workers left in the same folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is created before the first entry."""
        self._folder = folder
        self._queue: list[Entry] = []
        self._writing: asyncio.Task[None] | None = None
        self._file = folder / f"{os.getpid()}.jsonl"
        self.dropped = 0
        """Entries that could not be kept, by a full queue or a full disk."""
        self.kept = 0
        """Entries that wait to be replayed, as far as this worker knows."""

    def add(self, entry: Entry) -> None:
        """Keep an entry; it reaches the disk in a moment."""
        if len(self._queue) >= MOST_QUEUED:
            self._lose(1, "the spool's queue is full")
            return
        self.kept += 1
        self._queue.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="spool-writer")

    async def flush(self) -> None:
        """Wait until everything added is on disk."""
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})

    async def replay(self, restore: Callable[[Sequence[Entry]], Awaitable[None]]) -> int:
        """Hand every waiting entry to ``restore``, also what dead workers left; return how many.

        A file is removed once all of it was restored. Restoring is done again after a crash in
        between, so it must not mind entries that it has seen.
        """
        await self.flush()
        restored = 0
        for file in await asyncio.to_thread(self._take):
            for batch in await asyncio.to_thread(_read, file):
                await restore(batch)
                restored += len(batch)
            await asyncio.to_thread(file.unlink, missing_ok=True)
        self.kept = len(self._queue)
        return restored

    async def _write(self) -> None:
        while self._queue:
            entries, self._queue = self._queue, []
            try:
                await asyncio.to_thread(_append, self._file, [entry.to_line() for entry in entries])
            except OSError as error:
                self.kept -= len(entries)
                self._lose(len(entries), str(error))

    def _lose(self, count: int, why: str) -> None:
        if not self.dropped:
            log.error("journal entries are lost, answers still go out: %s", why)
        self.dropped += count

    def _take(self) -> list[Path]:
        """Move the files that are ours to replay out of the way of new entries."""
        taken = []
        for file in sorted(self._folder.glob("*.jsonl*")):
            owner = int(file.name.partition(".")[0]) if file.name.partition(".")[0].isdigit() else 0
            if owner != os.getpid() and _alive(owner):
                continue
            target = self._folder / f"{os.getpid()}.{time.time_ns()}.jsonl.taken"
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                file.rename(target)
                taken.append(target)
        return taken


def _append(file: Path, lines: Sequence[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as spool:
        spool.writelines(lines)
        spool.flush()
        os.fsync(spool.fileno())


def _read(file: Path) -> list[list[Entry]]:
    """Return a file's entries in batches; a torn last line (a crash, a full disk) is left out."""
    entries = []
    for line in file.read_bytes().splitlines():
        try:
            entries.append(Entry.of_line(line))
        except ValueError as error:
            log.error("a line of the spool is unreadable and left out: %s", error)
    return [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
