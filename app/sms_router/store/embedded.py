"""The embedded Valkey: used when no REDIS_URL is given, its data kept under ``.data/``."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import redis

from sms_router.store.errors import EmbeddedError
from sms_router.store.file_lock import try_lock
from sms_router.store.valkey_process import START_TIMEOUT, ValkeyProcess, client_at

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107, and a clone may lie deep."""

LET_GO = 3.0
"""Seconds that a router waits for a command that runs the server now; commands are short."""


def socket_path(data_dir: Path) -> Path:
    """Return where the embedded server of a data folder listens (a Unix socket, ours alone)."""
    path = data_dir.resolve() / "valkey" / "valkey.sock"
    if len(bytes(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sms-router-{digest}" / "valkey.sock"


def running_at(data_dir: Path) -> str | None:
    """Return the URL of the embedded server when it runs already, else None."""
    path = socket_path(data_dir)
    if not path.exists():
        return None
    with client_at(path) as client:
        try:
            client.ping()
        except (redis.exceptions.BusyLoadingError, redis.ResponseError):
            pass  # one with a full disk refuses even that, and still tells what it knows
        except redis.RedisError:
            return None
    return _url(data_dir)


def _url(data_dir: Path) -> str:
    return f"unix://{socket_path(data_dir)}"


@contextlib.contextmanager
def embedded(data_dir: Path, *, shared: bool = True) -> Iterator[str]:
    """Run the embedded Valkey, or use the one that already runs on this folder; give its URL.

    A command beside a running router shares its server. A router does not (``shared`` is False):
    a server that somebody else stops would leave it without its store. It starts its own again, should
    that die. A server whose router was killed is used as it is, and stopped by the process that found
    it, so that nothing stays behind.

    Raises:
        EmbeddedError: when it does not start, or belongs to another process and is not to be shared.

    """
    _make_private(data_dir)
    owner = data_dir / "valkey" / "owner"
    url, held = _found_or_ours(data_dir, owner) if shared else (_url(data_dir), _ours(data_dir, owner))
    if held is None:
        yield url
        return
    with held, contextlib.ExitStack() as running:
        held.truncate(0)
        held.write(b"%d\n" % os.getpid())  # for people; the lock is what counts
        running.callback(owner.unlink, missing_ok=True)
        process = ValkeyProcess(data_dir / "valkey", socket_path(data_dir))
        if running_at(data_dir) is None:
            process.start()
        running.callback(process.stop)
        if not shared:
            running.enter_context(process.kept_alive())
        yield url


def _make_private(data_dir: Path) -> None:
    """Make the folders of the data and of the socket, closed to everybody else.

    The folder for temporary files belongs to all users: one who came first with our folder's name
    would hold our socket, and could answer for Valkey.
    """
    folder, other = data_dir / "valkey", socket_path(data_dir).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    if other == folder.resolve():
        return
    other.mkdir(exist_ok=True, mode=0o700)
    found = other.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o777 != 0o700:
        raise EmbeddedError(f"{other} belongs to somebody else.\nRemove it, or set REDIS_URL.")


def _found_or_ours(data_dir: Path, owner: Path) -> tuple[str, FileIO | None]:
    """Return the server's URL, and the owner's file when running the server is left to us."""
    url = _url(data_dir)
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up:
        if (held := try_lock(owner, create=True)) is not None:
            return url, held
        if running_at(data_dir) is not None:
            return url, None
        time.sleep(0.05)  # its owner starts or stops it right now
    raise EmbeddedError(
        f"the process that holds {owner} does not start its Valkey.\nStop it, or set REDIS_URL."
    )


def _ours(data_dir: Path, owner: Path) -> FileIO:
    """Return the owner's file, held by us alone."""
    give_up = time.monotonic() + LET_GO
    while (held := try_lock(owner, create=True)) is None:
        if time.monotonic() > give_up:
            raise EmbeddedError(
                f"process {_pid_in(owner)} runs the Valkey of {data_dir.resolve()}, and would stop it at its "
                "end.\nStop that process, or give this router a store of its own: set REDIS_URL, or "
                "another data_dir in router.toml."
            )
        time.sleep(0.05)
    return held


def _pid_in(owner: Path) -> str:
    with contextlib.suppress(OSError):
        return owner.read_text().strip() or "?"
    return "?"
