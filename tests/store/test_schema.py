"""The version of the stored form, in the data directory and in Redis."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from sms_router.store import scripts
from sms_router.store.errors import StoreUnavailableError
from sms_router.store.schema import SchemaError, check_data_dir, check_redis
from sms_router.store.store import Store
from tests.store.shared_stores import EVERY_KIND, SharedStores

SCHEMA_KEY = "sms-router:schema"
OTHER_SCHEMA = (
    "Redis has data of schema 2, and this sms-router needs schema 1: run the version of sms-router that wrote"
    " it, or set another REDIS_URL."
)


@pytest.fixture(params=EVERY_KIND)
def shared_server(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    return stores.url(request.param)


def test_a_new_data_directory_gets_the_version(tmp_path: Path) -> None:
    check_data_dir(tmp_path / "data", create=True)
    assert (tmp_path / "data" / "schema").read_text() == "1\n"
    check_data_dir(tmp_path / "data", create=True)
    check_data_dir(tmp_path / "data", create=False)
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["schema"]


def test_an_empty_version_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "schema").touch()
    check_data_dir(tmp_path, create=False)
    check_data_dir(tmp_path, create=True)
    assert (tmp_path / "schema").read_text() == "1\n"


def test_a_command_beside_a_redis_server_writes_nothing(tmp_path: Path) -> None:
    check_data_dir(tmp_path / "data", create=False)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "found"), [(b"2\n", "2"), (b"\x1b[0m" + b"x" * 99, r"'\x1b[0mxxxxxxxxxxxxxxxx'")]
)
def test_the_data_of_another_version_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, found: str
) -> None:
    (tmp_path / "schema").write_bytes(content)
    for create in (True, False):
        with pytest.raises(SchemaError) as refused:
            check_data_dir(tmp_path, create=create)
        assert str(refused.value) == (
            f"{tmp_path} has data of schema {found}, and this sms-router needs schema 1: run the version of "
            "sms-router that wrote it, or set another data_dir in router.toml."
        )
    assert (tmp_path / "schema").read_bytes() == content


def test_a_directory_that_cannot_be_used_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(OSError):
            check_data_dir(path, create=True)


async def test_the_first_worker_writes_the_version_into_redis(store: Store, valkey: redis.Redis) -> None:
    check_redis(valkey)
    assert valkey.get(SCHEMA_KEY) is None, "a command writes nothing"
    for _ in range(2):
        await store.check_schema()
        assert valkey.get(SCHEMA_KEY) == b"1"
        assert valkey.ttl(SCHEMA_KEY) == -1
    check_redis(valkey)


async def test_redis_with_data_of_another_version_is_refused_in_one_sentence(
    store: Store, valkey: redis.Redis
) -> None:
    valkey.set(SCHEMA_KEY, "2")
    with pytest.raises(SchemaError) as by_command:
        check_redis(valkey)
    with pytest.raises(SchemaError) as by_worker:
        await store.check_schema()
    assert str(by_command.value) == str(by_worker.value) == OTHER_SCHEMA
    assert valkey.get(SCHEMA_KEY) == b"2"


async def test_no_script_runs_on_data_of_another_version_until_it_is_replaced(
    store: Store, valkey: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.set(SCHEMA_KEY, "2")
    for _ in range(3):
        with pytest.raises(SchemaError):
            await store.check_schema()
    assert store.error == OTHER_SCHEMA
    assert [record.getMessage() for record in caplog.records] == [OTHER_SCHEMA]
    with pytest.raises(StoreUnavailableError, match="has data of schema 2"):
        await store.run(scripts.get_contact(scope="MG", contact="+14155550100"), 1.0)
    valkey.delete(SCHEMA_KEY)
    await store.check_schema()
    assert store.error is None
    assert await store.run(scripts.get_contact(scope="MG", contact="+14155550100")) == []
