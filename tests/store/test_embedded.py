from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Barrier

import pytest
import redis

from sms_router.store import embedded as embedded_module
from sms_router.store.embedded import embedded, running_at, socket_path
from sms_router.store.errors import EmbeddedError
from tests.store.other_process import other_process
from tests.store.private_valkey import client_of
from tests.waiting import wait_until_blocking


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, as most have."""
    with tempfile.TemporaryDirectory(prefix="data-") as name:
        yield Path(name)


def process_of(url: str) -> int:
    with client_of(url) as client:
        return int(client.info("server")["process_id"])


def owner_of(folder: Path) -> Path:
    return folder / "valkey" / "owner"


def test_the_server_runs_while_it_is_used(folder: Path) -> None:
    with embedded(folder) as url:
        assert url == f"unix://{socket_path(folder)}" == running_at(folder)
        assert owner_of(folder).read_text() == f"{os.getpid()}\n"
    assert running_at(folder) is None
    assert not owner_of(folder).exists()


def test_the_data_survive_a_restart(folder: Path) -> None:
    with embedded(folder) as url, client_of(url) as client:
        client.set("kept", "yes")
    with embedded(folder) as url, client_of(url) as client:
        assert client.get("kept") == b"yes"


def test_only_the_user_may_read_the_folder(folder: Path) -> None:
    (folder / "valkey").mkdir(mode=0o755)
    with embedded(folder):
        assert (folder / "valkey").stat().st_mode & 0o777 == 0o700
        assert socket_path(folder).stat().st_mode & 0o777 == 0o700


def test_a_second_process_shares_the_server_and_leaves_it_running(folder: Path) -> None:
    with embedded(folder) as url:
        server = process_of(url)
        with other_process("embedded", folder) as second:
            assert second.stdin is not None
            second.stdin.close()
            assert second.wait(timeout=20) == 0
        assert process_of(url) == server
        assert owner_of(folder).read_text() == f"{os.getpid()}\n"


def test_an_error_names_the_process_that_runs_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms_router.store.embedded.OWNER_TIMEOUT", 0.0)
    with other_process("embedded", folder) as owner:
        with pytest.raises(EmbeddedError) as refused, embedded(folder, shared=False):
            pass
        assert f"process {owner.pid} runs the Valkey of {folder.resolve()}" in str(refused.value)
        assert "REDIS_URL" in str(refused.value)
        assert "data_dir" in str(refused.value)
        assert running_at(folder) is not None
        assert owner.stdin is not None
        owner.stdin.close()  # let it stop its Valkey, which would outlive a kill
        assert owner.wait(timeout=20) == 0


def test_a_router_waits_for_a_command_that_runs_the_server(folder: Path) -> None:
    with ExitStack() as command, ThreadPoolExecutor(1) as threads:
        url = command.enter_context(embedded(folder))
        waiting = threads.submit(_entered_alone, folder)
        command.close()
        assert waiting.result(timeout=20) == url


def _entered_alone(folder: Path) -> str:
    with embedded(folder, shared=False) as url:
        assert running_at(folder) == url
        return url


def test_the_server_of_a_killed_owner_is_used_and_stopped(folder: Path) -> None:
    with other_process("embedded", folder) as owner:
        server = process_of(f"unix://{socket_path(folder)}")
        owner.kill()
        owner.wait()
    with embedded(folder) as url:
        assert process_of(url) == server
        assert owner_of(folder).read_text() == f"{os.getpid()}\n"
        with client_of(url) as client:
            client.set("kept", "yes")
    assert running_at(folder) is None
    assert not owner_of(folder).exists()
    with embedded(folder) as url, client_of(url) as client:
        assert client.get("kept") == b"yes"


def test_a_killed_owner_and_server_do_not_block_a_start(folder: Path) -> None:
    with other_process("embedded", folder) as owner:
        server = process_of(f"unix://{socket_path(folder)}")
        owner.kill()
        os.kill(server, 9)
    with embedded(folder) as url:
        assert process_of(url) != server


@pytest.mark.parametrize("left_behind", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_routers_dead_server_is_restarted_with_its_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch, left_behind: bool
) -> None:
    monkeypatch.setattr(embedded_module, "CHECK_INTERVAL", 0.05)
    if left_behind:
        with other_process("embedded", folder) as owner:
            owner.kill()
            owner.wait()
    with embedded(folder, shared=False) as url:
        for value in (b"1", b"2"):
            before = process_of(url)
            with client_of(url) as client:
                client.set("kept", value)
                client.waitaof(1, 0, 5000)
            os.kill(before, 9)
            wait_until_blocking(lambda: running_at(folder) is not None and process_of(url) != before)  # noqa: B023
            with client_of(url) as client:
                assert client.get("kept") == value
    assert running_at(folder) is None


def test_a_frozen_server_is_not_started_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_module, "CHECK_INTERVAL", 0.02)
    with embedded(folder, shared=False) as url:
        server = process_of(url)
        os.kill(server, signal.SIGSTOP)
        time.sleep(0.3)  # it is checked several times; a slow machine checks less often, and finds the same
        os.kill(server, signal.SIGCONT)
        assert process_of(url) == server


def test_a_server_that_refuses_writes_counts_as_running(folder: Path) -> None:
    """Valkey with a full disk refuses a PING (MISCONF)."""
    with embedded(folder) as url, client_of(url) as client:
        client.execute_command("ACL", "SETUSER", "default", "-ping")
        assert running_at(folder) == url


def test_a_failed_restart_is_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded_module, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(embedded_module, "RESTART_INTERVAL", 0.05)
    log = folder / "valkey" / "valkey.log"
    with embedded(folder, shared=False) as url:
        log.unlink()
        log.mkdir()
        os.kill(process_of(url), 9)
        wait_until_blocking(lambda: "did not start" in caplog.text)
        log.rmdir()
        wait_until_blocking(lambda: running_at(folder) is not None)


def test_of_concurrent_processes_one_starts_the_server(folder: Path) -> None:
    together = Barrier(4)

    def use(_: int) -> int:
        with embedded(folder) as url:
            process = process_of(url)
            together.wait(timeout=20)  # all have read it before the first one leaves
            return process

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(use, range(4)))) == 1
    assert running_at(folder) is None


def test_the_socket_of_a_deep_folder_is_elsewhere(folder: Path) -> None:
    deep = folder / ("deep" * 20) / "data"
    assert len(bytes(socket_path(deep))) <= 100
    assert socket_path(deep) != socket_path(folder / ("deep" * 20) / "other")
    try:
        with embedded(deep) as url:
            assert url == f"unix://{socket_path(deep)}" == running_at(deep)
            assert socket_path(deep).parent.stat().st_mode & 0o777 == 0o700
    finally:
        socket_path(deep).parent.rmdir()


def test_a_socket_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    deep = folder / ("deep" * 20)
    squatted = socket_path(deep).parent
    squatted.mkdir()
    squatted.chmod(0o777)
    try:
        with pytest.raises(EmbeddedError, match="another user"), embedded(deep):
            pass
    finally:
        squatted.rmdir()


def test_a_failed_start_names_the_log(folder: Path) -> None:
    (folder / "valkey" / "valkey.log").mkdir(parents=True)
    with pytest.raises(EmbeddedError, match=r"valkey\.log"), embedded(folder):
        pass
    assert not owner_of(folder).exists()


def overwrite(file: Path, damage: bytes) -> None:
    with file.open("r+b") as content:
        content.seek(file.stat().st_size // 2)
        content.write(damage)


def make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replace_folder(file: Path) -> None:
    shutil.rmtree(file.parent)
    file.parent.write_text("not a folder")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (partial(overwrite, damage=b"\0" * 3000), "Bad file format"),
        (partial(overwrite, damage=b"not a command at all"), "Bad file format"),
        (make_directory, "Is a directory"),
        (Path.unlink, "No such file or directory"),
        (replace_folder, "Not a directory"),
        (lambda file: make_directory(next(file.parent.glob("*.manifest"))), "AOF manifest"),
    ],
    ids=["zeros", "text", "a directory", "deleted", "no folder", "no manifest"],
)
def test_damaged_files_are_set_aside_and_the_server_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], reason: str
) -> None:
    damage(file_with_data(tmp_path))
    with embedded(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0
    (aside,) = (tmp_path / "valkey").glob("damaged-*")
    assert f"the files are kept in {aside}" in caplog.text
    assert reason in caplog.text


def test_the_loss_of_an_incomplete_file_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = file_with_data(tmp_path)
    os.truncate(file, file.stat().st_size - 20)
    with embedded(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.dbsize() == 99
    assert f"has lost its last writes: Truncating the AOF {file.name} at offset" in caplog.text


def file_with_data(data_dir: Path) -> Path:
    """Return the append-only file of a server that has stored something."""
    with embedded(data_dir) as url, redis.Redis.from_url(url) as client:
        for number in range(100):
            client.set(f"key {number}", "a value of some length " * 5)
    (file,) = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    return file
