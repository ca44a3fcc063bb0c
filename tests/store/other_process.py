"""Another process that uses the same folders: ``python -m tests.store.other_process spool FOLDER COUNT``.

With ``flood`` in place of ``spool`` it writes entries until it is killed; with anything else it runs the
embedded Valkey. It prints "ready" when it uses the folder, and exits when its input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sms_router.store.embedded import embedded
from sms_router.store.spool.files import SpoolEntry
from sms_router.store.spool.spool import Spool


def entry(number: int) -> SpoolEntry:
    return SpoolEntry("note", (f"key{number}".encode(),), (str(number).encode(), bytes(range(256))))


@contextlib.contextmanager
def other_process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run this module in another process; yield it when it is ready, and kill it at the end."""
    command = [sys.executable, "-m", "tests.store.other_process", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def wait_until_input_closes() -> None:
    print("ready", flush=True)
    sys.stdin.read()


async def spool(folder: Path, count: int) -> None:
    spool = Spool(folder)
    for number in range(count):
        spool.add(entry(number))
    await spool.flush()
    await asyncio.to_thread(wait_until_input_closes)


async def flood(folder: Path, count: int) -> None:
    """Write until killed; "ready" comes when ``count`` entries are on the disk."""
    spool = Spool(folder)
    for number in itertools.count():
        spool.add(entry(number))
        await asyncio.sleep(0)
        if number == count - 1:
            await spool.flush()
            print("ready", flush=True)


def main(what: str, folder: str, count: str = "0") -> None:
    if what == "spool":
        asyncio.run(spool(Path(folder), int(count)))
    elif what == "flood":
        asyncio.run(flood(Path(folder), int(count)))
    else:
        with embedded(Path(folder)):
            wait_until_input_closes()


if __name__ == "__main__":
    main(*sys.argv[1:])
