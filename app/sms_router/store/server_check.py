"""What is wrong with a Redis, with the rights of its user, or with its URL: each reason with its own remedy.

It connects to each server separately, and blocks. docs/operating.md has the table of all reasons.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import hiredis

from sms_router.store import scripts
from sms_router.store.file_lock import try_lock
from sms_router.store.keys import (
    ALL_BUCKETS,
    ANSWERED_CHANNEL,
    CONSENTS_CHANNEL,
    POOLS_CHANNEL,
    RULES_CHANNEL,
)
from sms_router.store.url import Address, Command, RedisUrl, Topology, tls_context
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.store")

TIMEOUT = 0.9
"""Seconds for each response."""

MONITOR_INTERVAL = 60.0
"""Seconds between two looks of a worker."""

MIN_VERSION = (6, 2)
"""The first with exclusive ranges of streams, which the scripts use."""

_CHANNELS = (ANSWERED_CHANNEL, CONSENTS_CHANNEL, POOLS_CHANNEL, RULES_CHANNEL)
_OTHER_COMMANDS = {"EXISTS", "EXPIRE", "PTTL", "SET", "XLEN", "XREVRANGE", "ZSCAN"}
"""What the routers' user must be allowed, beside scripts, the commands in them and channels."""

_UNREACHABLE = "Redis does not respond"

FROZEN = (
    f"{_UNREACHABLE} in time: it is frozen or busy, or the network drops what is sent to it.",
    "Look at its process and its host (suspended, swapping, a full disk, a long script), and at firewalls in"
    " between; messages are answered meanwhile.",
)
"""What a timeout means, and the remedy."""


class StoreProblem(NamedTuple):
    """One reason why Redis cannot be used, or cannot keep what is stored."""

    is_error: bool
    """False where the router works, and the operator may have reasons."""
    sentence: str
    remedy: str


class _ProblemError(Exception):
    """A problem after which nothing else can be found out; ``reason`` is why there is no connection."""

    def __init__(self, sentence: str, remedy: str, reason: str = "") -> None:
        super().__init__(sentence)
        self.problem = StoreProblem(True, sentence, remedy)
        self.reason = reason


def find_problems(url: str) -> list[StoreProblem]:
    """Return what is wrong, the errors first.

    Args:
        url: a Redis URL that `RedisUrl.parse` accepts.

    """
    try:
        servers = _data_servers(RedisUrl.parse(url))
        problems = {problem.remedy: problem for server in servers for problem in _check(server)}
    except _ProblemError as error:
        return [error.problem]
    return sorted(problems.values(), key=lambda problem: not problem.is_error)


def find_directory_problem(data_dir: Path) -> Iterator[StoreProblem]:
    """Yield why a data directory cannot be used; one that does not exist yet is created by the router."""
    place = data_dir.absolute()
    try:
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")
        if not place.exists():
            place = next(parent for parent in place.parents if parent.exists())
        with tempfile.TemporaryFile(dir=place):
            return
    except OSError as error:
        reason = error.strerror or str(error)
    yield StoreProblem(
        True,
        f"The data directory {data_dir} cannot be written ({reason}): what is answered while Redis is away is"
        " not journaled, and there is no copy of the opt-out list.",
        "Let the router's user write it, or name another one: data_dir under [router] in router.toml",
    )


class StoreMonitor(PeriodicTask):
    """Looks for problems at the start and every `MONITOR_INTERVAL`, and logs the new ones.

    An outage is not among them: the store reports it. Of the workers with one data directory, one logs.

    Args:
        url: of Redis.
        data_dir: the data directory.
        is_away: tells whether Redis does not serve.

    """

    def __init__(self, url: str, data_dir: Path, is_away: Callable[[], bool]) -> None:
        super().__init__("store-monitor", MONITOR_INTERVAL, self.check)
        self._url = url
        self._data_dir = data_dir
        self._is_away = is_away
        self._has_served = False
        self._lock: FileIO | None = None
        """Of the worker that logs."""
        self.problems: list[StoreProblem] = []

    async def aclose(self) -> None:
        await super().aclose()
        if self._lock is not None:
            self._lock.close()

    async def check(self) -> None:
        if self._has_served and self._is_away():
            return
        problems = await asyncio.to_thread(
            lambda: [*find_directory_problem(self._data_dir), *find_problems(self._url)]
        )
        problems = [problem for problem in problems if not problem.sentence.startswith(_UNREACHABLE)]
        logs = await asyncio.to_thread(self._is_first)
        for problem in problems:
            if logs and problem not in self.problems:
                log.log(logging.ERROR if problem.is_error else logging.WARNING, "%s %s", *problem[1:])
        self.problems = problems
        self._has_served = self._has_served or not self._is_away()

    def _is_first(self) -> bool:
        """Return whether no other worker has the lock; each logs where there can be none."""
        try:
            self._lock = self._lock or try_lock(self._data_dir / "monitor", create=True)
        except OSError:
            return True
        return self._lock is not None

    def sentences(self, *, errors: bool) -> list[str]:
        """Return the errors, or what else an operator should know, each with its remedy."""
        return [
            f"{problem.sentence} {problem.remedy}" for problem in self.problems if problem.is_error is errors
        ]


def _data_servers(url: RedisUrl) -> list[Address]:
    """Return the servers with the data, or raise why the URL does not lead to them."""
    failures = []
    for seed in url.seeds:
        try:
            return _servers_by(url, seed)
        except _ProblemError as error:
            failures.append(error)
    reasons = [failure.reason for failure in failures]
    is_sentinel = url.topology is Topology.SENTINEL
    if not all(reasons) or (len(reasons) == 1 and not is_sentinel):
        raise next((failure for failure in failures if not failure.reason), failures[0])
    kind = "the Sentinel " if is_sentinel else ""
    servers = ", ".join(f"{kind}{seed} ({why})" for seed, why in zip(url.seeds, reasons, strict=True))
    raise _ProblemError(f"{_UNREACHABLE}: {servers}.", "Name others in REDIS_URL, or start them.")


def _servers_by(url: RedisUrl, seed: Address) -> list[Address]:
    info = _info(seed)
    mode = info.get("redis_mode") or info.get("server_mode", "")  # Valkey has the second
    if mode == "sentinel" and url.topology is not Topology.SENTINEL:
        names = _masters(seed)
        raise _ProblemError(
            f"{seed} is a Sentinel, and REDIS_URL names it as a server.",
            f"REDIS_URL={_scheme(seed)}+sentinel://{seed}/{names[0] if names else 'mymaster'}",
        )
    if url.topology is Topology.SENTINEL:
        return [_master(url, seed, mode)]
    if mode == "cluster":
        nodes = _cluster_masters(seed)
        if url.topology is Topology.SERVER and len(nodes) > 1:
            raise _ProblemError(
                f"{seed} is a node of a Redis Cluster, and REDIS_URL names it as a single server.",
                f"REDIS_URL={_scheme(seed)}+cluster://{seed}",
            )
        return nodes or [seed]
    if mode and url.topology is Topology.CLUSTER:
        raise _ProblemError(
            f"{seed} is a single server, and REDIS_URL names it as a node of a Redis Cluster.",
            f"REDIS_URL={_scheme(seed)}://{seed}/0",
        )
    return [seed]


def _master(url: RedisUrl, sentinel: Address, mode: str) -> Address:
    reply = _request(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.master))[0]
    if isinstance(reply, list):
        host, port = reply
        return replace(url.login, host=host.decode(), port=int(port))
    if mode and mode != "sentinel":
        raise _ProblemError(
            f"{sentinel} is a server, and REDIS_URL names it as a Sentinel.",
            f"Name the Sentinels, whose port is 26379 as a rule, or the server: REDIS_URL={_scheme(sentinel)}://"
            f"{sentinel}/0",
        )
    if isinstance(reply, hiredis.ReplyError):
        raise _ProblemError(f"The Sentinel {sentinel} refuses to name the master: {reply}", _RIGHTS)
    names = _masters(sentinel)
    raise _ProblemError(
        f"The Sentinel {sentinel} has no master {url.master!r}.",
        f"Put one of its masters at the end of REDIS_URL: {', '.join(names)}" if names else "It has none.",
    )


def _masters(sentinel: Address) -> list[str]:
    masters = _lists(_request(sentinel, ("SENTINEL", "MASTERS"))[0])
    return [dict(zip(fields[::2], fields[1::2], strict=False))[b"name"].decode() for fields in masters]


def _cluster_masters(seed: Address) -> list[Address]:
    slots = _request(seed, ("CLUSTER", "SLOTS"))[0]
    masters = {(host.decode() or seed.host, port) for _, _, (host, port, *_), *_ in _lists(slots)}
    return [replace(seed, host=host, port=port) for host, port in sorted(masters)]


def _lists(reply: Any) -> list[Any]:
    return reply if isinstance(reply, list) else []


def _check(server: Address) -> Iterator[StoreProblem]:
    (selected,) = _request(server, ("SELECT", server.database)) if server.database else ("OK",)
    if isinstance(selected, hiredis.ReplyError):
        count = _setting(server, "databases")
        raise _ProblemError(
            f"{server} has no database {server.database}: {selected}",
            f"Use one from 0 to {int(count) - 1} at the end of REDIS_URL." if count else "Use database 0.",
        )
    info = _info(server)
    yield from check_info(info, _setting(server, "save"))
    yield from _check_rights(server)


def check_info(info: dict[str, str], save: str | None) -> Iterator[StoreProblem]:
    """Yield what a server cannot keep.

    Args:
        info: what INFO returns.
        save: the setting of the same name; None where the user may not read it.

    """
    version = info.get("redis_version", "")
    if version and "valkey_version" not in info and _parse(version) < MIN_VERSION:
        sentence = f"Redis {version} is too old: the router needs 6.2 or later, or Valkey."
        yield StoreProblem(True, sentence, "Upgrade the server.")
    if info.get("role") == "slave":
        yield StoreProblem(
            True,
            "Redis is a replica, which refuses writes: messages are not journaled, and answered twice.",
            "Name the master in REDIS_URL, or the Sentinels: redis+sentinel://host:26379/MASTER",
        )
    if save == "" and info.get("aof_enabled") == "0":
        yield StoreProblem(
            False,
            "Redis keeps nothing on disk: a restart loses the journal, answers and late replies.",
            "CONFIG SET appendonly yes, and the same in its configuration file",
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        evicts_all = policy.startswith("allkeys")
        lost = "opt-outs and answers" if evicts_all else "answers, so that messages are answered twice"
        yield StoreProblem(
            True,
            f"Redis evicts {lost} when its memory is full: maxmemory-policy is {policy}.",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
        )


_INCOMPLETE = object()
_RIGHTS = "Allow its user what the router needs: docs/operating.md, section Redis"


def _commands() -> list[str]:
    """Return each command that the workers' user must be allowed."""
    calls = (re.findall(rb"redis\.p?call\('(\w+)'", script.source) for script in scripts.SCRIPTS.values())
    used = {command.decode().upper() for names in calls for command in names}
    return sorted((used | _OTHER_COMMANDS) - {"PUBLISH"})


def _check_rights(server: Address) -> Iterator[StoreProblem]:
    """Use what the routers need: the user may lack a command, the keys, or the channels."""
    script, keys, arguments = scripts.find_denied(probe=ALL_BUCKETS[0].probe, commands=_commands())
    user = _request(server, ("ACL", "WHOAMI"))[0]
    name = user.decode() if isinstance(user, bytes) else server.username or "default"
    commands: tuple[Command, ...] = (
        ("EVAL", *script.by_source[1:], *keys, *arguments),
        ("SCRIPT", "LOAD", "return 1"),
        ("EVALSHA", "0" * 40, 0),
        ("PUBLISH", ANSWERED_CHANNEL, ""),
        ("SUBSCRIBE", *_CHANNELS),
    )
    for command, reply in zip(commands, _request(server, *commands), strict=True):
        text = str(reply).removeprefix("NOPERM ").rstrip(".")
        if isinstance(reply, list) and command[0] == "EVAL" and reply:
            denied = [command.decode().lower() for command in reply]
            action, rights = f"run {', '.join(denied)}, which the scripts use", f"+{' +'.join(denied)}"
        elif not isinstance(reply, hiredis.ReplyError) or "NOPERM" not in str(reply):
            continue
        elif "channel" in text:
            effect = "workers do not see at once what others have answered or changed"
            action, rights = f"use the router's channels: {effect} ({command[0]}: {text})", "&sms-router:*"
        elif " key" in text:
            action, rights = f"use the router's keys: {text}", "~sms-router:* ~{sms-router:*"
        else:
            action, rights = f"run {command[0]}: {text}", f"+{str(command[0]).lower()}"
        yield StoreProblem(True, f"Redis does not let {name} {action}.", f"ACL SETUSER {name} {rights}")


def _info(server: Address) -> dict[str, str]:
    """Return what INFO returns; nothing where the user may not run it, which the routers do not need."""
    (reply,) = _request(server, ("INFO",))
    if not isinstance(reply, bytes):
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _setting(server: Address, name: str) -> str | None:
    (reply,) = _request(server, ("CONFIG", "GET", name))
    return reply[1].decode() if isinstance(reply, list) and len(reply) == 2 else None


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _scheme(server: Address) -> str:
    return "rediss" if server.tls is not None else "redis"


def _request(server: Address, *commands: Command) -> list[Any]:
    """Log in and run commands on a connection of its own; an error of Redis is a result.

    Raises:
        _ProblemError: when there is no connection, or the login fails.

    """
    login = replace(server, database=0).handshake()
    try:
        *logins, first = _exchange(server, server.tls, *login, ("PING",))
        # A Sentinel, or a user with few rights, may refuse PING: only the login matters.
        refusals = [reply for reply in (*logins, first) if isinstance(reply, hiredis.ReplyError)]
        if any(str(error).startswith(("NOAUTH", "WRONGPASS", "ERR invalid pass")) for error in refusals):
            raise _ProblemError(
                "Redis refuses the login: the password is missing or wrong.",
                "Put its password into REDIS_URL: redis://:password@host:6379/0, or redis://user:password@...",
            )
        return _exchange(server, server.tls, *login, *commands)[len(login) :]
    except (OSError, hiredis.ProtocolError) as error:
        raise _describe(server, error) from error


def _exchange(server: Address, tls: ssl.SSLContext | None, *commands: Command) -> list[Any]:
    with _open(server, tls) as connection:
        connection.sendall(b"".join(map(hiredis.pack_command, commands)))
        reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        replies: list[Any] = []
        while len(replies) < len(commands):
            while (reply := reader.gets()) is _INCOMPLETE:
                received = connection.recv(65536)
                if not received:
                    raise ConnectionResetError("it closed the connection")
                reader.feed(received)
            replies.append(reply)
        return replies


def _open(server: Address, tls: ssl.SSLContext | None) -> socket.socket:
    if server.path is not None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT)
        connection.connect(server.path)
        return connection
    connection = socket.create_connection((server.host, server.port), TIMEOUT)
    if tls is None:
        return connection
    try:
        return tls.wrap_socket(connection, server_hostname=server.host)
    except BaseException:
        connection.close()
        raise


def _describe(server: Address, error: Exception) -> _ProblemError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _ProblemError(
            f"{_UNREACHABLE}: the certificate of {server} is not trusted: {error.verify_message}.",
            "If its CA is your own, name it: REDIS_URL=rediss://host:6379/0?ssl_ca_certs=/path/to/ca.pem",
        )
    if server.tls is not None and _serves_redis(server, None):
        return _ProblemError(
            f"{server} does not accept TLS, and REDIS_URL requires it.",
            "Write redis:// in place of rediss://, or name the server's TLS port.",
        )
    any_certificate = tls_context({"ssl_cert_reqs": "none"})
    if (
        server.tls is None
        and not isinstance(error, ConnectionRefusedError)
        and _serves_redis(server, any_certificate)
    ):
        return _ProblemError(
            f"{server} accepts TLS only, and REDIS_URL does not use it.",
            "Write rediss:// in place of redis://, or name the server's port without TLS.",
        )
    if isinstance(error, TimeoutError):
        return _ProblemError(*FROZEN, "no response in time")
    if "CERTIFICATE_REQUIRED" in str(error):
        return _ProblemError(
            f"{server} requires a certificate of the client.",
            "REDIS_URL=rediss://host:6379/0?ssl_certfile=/path/to/client.pem&ssl_keyfile=/path/to/client.key",
        )
    reason = getattr(error, "strerror", None) or str(error)
    return _ProblemError(f"{_UNREACHABLE}: {server}: {reason}.", "Set REDIS_URL, or start Redis.", reason)


def _serves_redis(server: Address, tls: ssl.SSLContext | None) -> bool:
    """Return whether there is a Redis with TLS, or without it; one that requires a certificate counts."""
    try:
        _exchange(server, tls, ("PING",))
    except (OSError, hiredis.ProtocolError) as error:
        return "ALERT" in str(error).upper()
    return True
