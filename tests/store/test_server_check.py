"""Each reason why a Redis cannot be used, or cannot keep what is stored, has its own remedy: on real servers.

``VALKEY_SERVER=/path/to/redis-server`` runs them on another server, 6.2 or later.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from sms_router.store.keys import ANSWERED_CHANNEL
from sms_router.store.redis_py import async_client, subscribed
from sms_router.store.server_check import StoreMonitor, check_info, find_directory_problem, find_problems
from tests.store.private_sentinels import PrivateSentinels
from tests.store.processes import ServerProcess
from tests.store.shared_stores import SharedStores

GOOD = {"redis_version": "7.2.4", "role": "master", "aof_enabled": "1", "maxmemory": "0"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("server"), "appendonly yes\n")
    process.start()
    yield process
    process.kill()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[redis.Redis]:
    with server.client() as client:
        yield client
        for name, value in (("appendonly", "yes"), ("maxmemory", "0"), ("maxmemory-policy", "noeviction")):
            client.config_set(name, value)


def one(url: str) -> tuple[bool, str, str]:
    """Return the only problem: whether it is an error, the sentence, and the remedy."""
    (problem,) = find_problems(url)
    return problem


@pytest.mark.parametrize(
    ("url", "sentence", "remedy"),
    [
        ("redis://ADDRESS/77", "ADDRESS has no database 77", "Use one from 0 to 15 at the end of REDIS_URL."),
        ("rediss://ADDRESS/0", "ADDRESS does not accept TLS", "Write redis:// in place of rediss://"),
        (
            "redis+cluster://ADDRESS",
            "ADDRESS is a single server, and REDIS_URL names it as a node",
            "REDIS_URL=redis://ADDRESS/0",
        ),
        (
            "redis+sentinel://ADDRESS/mymaster",
            "ADDRESS is a server, and REDIS_URL names it as a Sentinel.",
            "Name the Sentinels, whose port is 26379 as a rule, or the server: REDIS_URL=redis://ADDRESS/0",
        ),
        ("redis://nobody:pw@ADDRESS/0", "Redis refuses the login", "Put its password into REDIS_URL"),
        (
            "redis://127.0.0.1:1/0",
            "Redis does not respond: 127.0.0.1:1: Connection refused.",
            "Set REDIS_URL, or start Redis.",
        ),
        (
            "redis+sentinel://127.0.0.1:1,127.0.0.1:2/mine",
            "Redis does not respond: the Sentinel 127.0.0.1:1 (Connection refused), the Sentinel 127.0.0.1:2",
            "Name others in REDIS_URL, or start them.",
        ),
    ],
)
def test_a_url_that_does_not_fit(server: ServerProcess, url: str, sentence: str, remedy: str) -> None:
    is_error, found, how = one(url.replace("ADDRESS", server.address))
    assert is_error
    assert found.startswith(sentence.replace("ADDRESS", server.address))
    assert how.startswith(remedy.replace("ADDRESS", server.address))


def test_a_durable_server_has_no_problems(server: ServerProcess) -> None:
    assert find_problems(f"redis://{server.address}/0") == []


@pytest.mark.parametrize(
    ("rights", "sentence", "remedy"),
    [
        ("~* resetchannels +@all", "use the router's channels", "ACL SETUSER ours &sms-router:*"),
        ("~* &* +@all -publish", "run PUBLISH", "ACL SETUSER ours +publish"),
        ("~* &* +@all -subscribe", "run SUBSCRIBE", "ACL SETUSER ours +subscribe"),
        ("~* &* +@all -eval", "run EVAL", "ACL SETUSER ours +eval"),
        ("~* &* +@all -evalsha", "run EVALSHA", "ACL SETUSER ours +evalsha"),
        (
            "~* &* +@all -xadd -zadd",
            "run xadd, zadd, which the scripts use",
            "ACL SETUSER ours +xadd +zadd",
        ),
        (
            "~other:* &* +@all",
            "use the router's keys",
            "ACL SETUSER ours ~sms-router:* ~{sms-router:*",
        ),
    ],
)
def test_each_missing_right(
    server: ServerProcess, client: redis.Redis, rights: str, sentence: str, remedy: str
) -> None:
    client.execute_command("ACL", "SETUSER", "ours", "reset", "on", ">pw", *rights.split())
    is_error, found, how = one(f"redis://ours:pw@{server.address}/0")
    assert is_error
    assert found.startswith(f"Redis does not let ours {sentence}")
    assert how == remedy


def test_the_documented_rights_are_enough(server: ServerProcess, client: redis.Redis) -> None:
    page = Path(__file__).parents[2].joinpath("docs/operating.md").read_text("utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("ACL SETUSER router")]
    client.execute_command("ACL", "SETUSER", "ours", "reset", *line.split()[3:])
    assert find_problems(f"redis://ours:PASSWORD@{server.address}/0") == []


@pytest.mark.parametrize(
    ("changes", "save", "is_error", "sentence", "remedy"),
    [
        ({"redis_version": "5.0.14"}, None, True, "Redis 5.0.14 is too old", "Upgrade the server"),
        ({"redis_version": "6.0.9"}, None, True, "Redis 6.0.9 is too old", "Upgrade the server"),
        ({"role": "slave"}, None, True, "Redis is a replica", "Name the master in REDIS_URL"),
        ({"aof_enabled": "0"}, "", False, "Redis keeps nothing on disk", "CONFIG SET appendonly yes"),
        (
            {"maxmemory": "1", "maxmemory_policy": "allkeys-lru"},
            None,
            True,
            "Redis evicts opt-outs and answers",
            "CONFIG SET maxmemory-policy noeviction",
        ),
        ({"aof_enabled": "0"}, "3600 1", None, "", ""),
        ({"aof_enabled": "0"}, None, None, "", ""),
        ({"redis_version": "6.2.0"}, None, None, "", ""),
    ],
)
def test_settings_that_lose_data_are_problems(
    changes: dict[str, str], save: str | None, is_error: bool | None, sentence: str, remedy: str
) -> None:
    found = list(check_info({**GOOD, **changes}, save))
    assert [problem.is_error for problem in found] == ([] if is_error is None else [is_error])
    assert all(problem.sentence.startswith(sentence) for problem in found)
    assert all(problem.remedy.startswith(remedy) for problem in found)


@pytest.mark.slow
def test_sentinels_and_their_masters(tmp_path: Path) -> None:
    with PrivateSentinels(tmp_path) as sentinels:
        sentinel = sentinels.sentinels[0].address
        is_error, sentence, remedy = one(f"redis+sentinel://{sentinel}/mymaster")
        assert (is_error, sentence) == (True, f"The Sentinel {sentinel} has no master 'mymaster'.")
        assert remedy == "Put one of its masters at the end of REDIS_URL: pools"
        for url in (f"redis://{sentinel}/0", f"redis://{sentinel}/3", f"redis+cluster://{sentinel}"):
            assert one(url)[1:] == (
                f"{sentinel} is a Sentinel, and REDIS_URL names it as a server.",
                f"REDIS_URL=redis+sentinel://{sentinel}/pools",
            )
        assert not any(problem.is_error for problem in find_problems(sentinels.url))


@pytest.mark.slow
def test_a_node_of_a_cluster_as_a_single_server(stores: SharedStores) -> None:
    url = stores.url("cluster")
    node = url.partition("//")[2].split(",")[0]
    sentence = f"{node} is a node of a Redis Cluster, and REDIS_URL names it as a single server."
    assert one(f"redis://{node}/0") == (True, sentence, f"REDIS_URL=redis+cluster://{node}")
    assert not any(problem.is_error for problem in find_problems(url))


async def test_a_tls_port_without_tls_and_a_certificate_that_is_not_trusted(
    server: ServerProcess, tmp_path: Path
) -> None:
    async with tls_in_front_of(server.port, tmp_path) as port:
        assert (await asyncio.to_thread(one, f"redis://127.0.0.1:{port}/0"))[1:] == (
            f"127.0.0.1:{port} accepts TLS only, and REDIS_URL does not use it.",
            "Write rediss:// in place of redis://, or name the server's port without TLS.",
        )
        url = f"rediss://localhost:{port}/0"
        _, sentence, remedy = await asyncio.to_thread(one, url)
        assert sentence.startswith(f"Redis does not respond: the certificate of localhost:{port} is not")
        assert remedy.endswith("?ssl_ca_certs=/path/to/ca.pem")
        trusting = f"{url}?ssl_ca_certs={tmp_path / 'certificate.pem'}"
        assert await asyncio.to_thread(find_problems, trusting) == []


@contextlib.asynccontextmanager
async def tls_in_front_of(port: int, folder: Path) -> AsyncIterator[int]:
    """Accept TLS on a port, and pass it on to a server."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    await asyncio.to_thread(subprocess.run, command.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(65536):
                writer.write(received)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, behind_writer), pump(behind_reader, writer))

    async with await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context) as listener:
        yield listener.sockets[0].getsockname()[1]


def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert list(find_directory_problem(tmp_path / "new" / "folder")) == []
    (problem,) = find_directory_problem(tmp_path / "file")
    assert problem.sentence.startswith(f"The data directory {tmp_path / 'file'} cannot be written (it is not")
    (problem,) = find_directory_problem(Path("/proc/data"))
    assert problem.is_error


async def test_a_monitor_reports_what_is_new_and_no_outage(
    server: ServerProcess, client: redis.Redis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.config_set("appendonly", "no")
    client.config_set("save", "")
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    is_away = False
    monitor, of_other_worker = (
        StoreMonitor(f"redis://{server.address}/0", tmp_path, lambda: is_away) for _ in range(2)
    )
    await monitor.check()
    await monitor.check()
    await of_other_worker.check()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert of_other_worker.problems == monitor.problems
    (evicting,), (forgetting,) = monitor.sentences(errors=True), monitor.sentences(errors=False)
    assert evicting.startswith("Redis evicts opt-outs and answers")
    assert forgetting.endswith("CONFIG SET appendonly yes, and the same in its configuration file")
    client.config_set("maxmemory-policy", "noeviction")
    await monitor.check()
    assert monitor.sentences(errors=True) == []
    await monitor.aclose()
    away = StoreMonitor("redis://127.0.0.1:1/0", tmp_path, lambda: True)
    await away.check()
    assert away.problems == []
    await away.aclose()


async def test_a_refused_subscription_is_polled(
    server: ServerProcess, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.store.redis_py.POLL_INTERVAL", 0.01)
    client.execute_command("ACL", "SETUSER", "ours", "reset", "on", ">pw", "~*", "resetchannels", "+@all")
    async with async_client(f"redis://ours:pw@{server.address}/0", connect_within=2) as refused:
        async with subscribed(refused, ANSWERED_CHANNEL) as channel:
            assert [message async for message in channel.listen()] == []
        client.execute_command("ACL", "SETUSER", "ours", "&sms-router:*")
        async with subscribed(refused, ANSWERED_CHANNEL) as channel:
            client.publish(ANSWERED_CHANNEL, "reference")
            assert (await anext(channel.listen()))["data"] == b"reference"
