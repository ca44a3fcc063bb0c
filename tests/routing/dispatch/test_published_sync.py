"""Published rules: every worker uses them, on every kind of Redis, and while Redis is away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from sms_router.routing.dispatch.dispatcher import ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.published import (
    PublishedRules,
    PublishedRulesFile,
    PublishError,
    publish,
    read_current,
    read_files,
    read_history,
    read_version,
    read_workers,
)
from sms_router.routing.dispatch.published_sync import PublishedRulesSync
from sms_router.routing.dispatch.reloader import Reloader, ReloadResult
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.dispatch.ruleset import RuleSetReader
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.senders.error_table import ErrorTable
from sms_router.store.redis_py import async_client, sync_client
from tests.routing.messages import message
from tests.store.private_valkey import PrivateValkey, client_of
from tests.store.shared_stores import EVERY_KIND, SharedStores
from tests.waiting import wait_until

KEYWORDS = '[[keyword]]\nwords = ["HOURS"]\nreply = "9 to 5"\n'
BROKEN = '[[keyword]]\nwords = ["HOURS"]\nreply = "{{ nothing }}"\n'


def files(hours: str) -> dict[str, str]:
    return {
        "keywords.toml": '[[keyword]]\nwords = ["HOURS"]\ntemplate = "hours.txt"\n',
        "templates/hours.txt": f"{hours}\n",
    }


@dataclass
class Errors:
    table: ErrorTable = field(default_factory=lambda: ErrorTable({}))


@dataclass
class Worker:
    """The rules of one worker."""

    folder: Path
    file: PublishedRulesFile
    reloader: Reloader
    sync: PublishedRulesSync
    results: Counter[ReloadResult]

    def replies(self, text: str) -> Callable[[], Awaitable[bool]]:
        async def is_replied() -> bool:
            return self.reply() == text

        return is_replied

    def reply(self) -> str:
        responder = self.reloader.dispatcher.resolve(message("hours")).responder
        assert isinstance(responder, TemplateResponder)
        reply = responder.reply(message("hours"))
        assert isinstance(reply, Reply)
        return "".join(reply.texts)


StartWorker = Callable[..., Awaitable[Worker]]


@pytest.fixture(params=EVERY_KIND)
def url(request: pytest.FixtureRequest, stores: SharedStores) -> str:
    url = stores.url(request.param)
    with client_of(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def client(url: str) -> Any:
    with sync_client(url) as client:
        yield client


@pytest.fixture
async def start(tmp_path: Path) -> Any:
    """Start workers with files and a data directory of their own."""
    async with AsyncExitStack() as running:

        async def start(url: str, name: str = "one", keywords: str = KEYWORDS) -> Worker:
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            (folder / "keywords.toml").write_text(keywords)
            file, results = PublishedRulesFile(folder / "data"), Counter[ReloadResult]()
            reader = RuleSetReader(folder, HandlerRegistry([], []), frozenset(), ForwardConfig(), TimeZones())
            reloader = Reloader(
                reader, Errors(), lambda result: results.update([result]), 0.05, published=file.read()
            )
            connection: Redis = async_client(url, 1, retry=False)
            running.push_async_callback(connection.aclose)
            sync = PublishedRulesSync(connection, reloader, file, name, time.time)
            await sync.start()
            running.push_async_callback(sync.aclose)
            return Worker(folder, file, reloader, sync, results)

        yield start


def put(client: redis.Redis, content: dict[str, str], note: str = "") -> PublishedRules:
    return publish(client, read_current(client), content, "ada", note, time.time())


async def test_every_worker_uses_a_published_version(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    one, two = await start(url), await start(url, "two")
    assert one.reply() == two.reply() == "9 to 5"
    assert one.sync.notices() == []
    put(client, files("10 to 6"), "summer")
    for worker in (one, two):
        await wait_until(worker.replies("10 to 6"))
    await wait_until(lambda: len(one.sync.notices()) == 1)
    (notice,) = one.sync.notices()
    assert notice.startswith("the rules are version 1, published by ada on ")
    assert notice.endswith(" UTC: summer")
    put(client, files("11 to 7"))
    await wait_until(one.replies("11 to 7"))
    put(client, files("10 to 6"), "back to version 1")
    await wait_until(one.replies("10 to 6"))
    history = read_history(client)
    assert [(each.number, each.note) for each in history] == [
        (3, "back to version 1"),
        (2, ""),
        (1, "summer"),
    ]
    assert (await start(url, "three")).reply() == "10 to 6"


async def test_the_files_count_again_when_that_is_published(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    put(client, files("10 to 6"))
    worker = await start(url)
    assert worker.reply() == "10 to 6"
    put(client, {})
    await wait_until(worker.replies("9 to 5"))
    assert (await start(url)).reply() == "9 to 5"


async def test_a_changed_file_has_no_effect_while_a_version_is_published(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    put(client, files("10 to 6"))
    worker = await start(url)
    (worker.folder / "keywords.toml").write_text("[[keyword")
    assert await worker.reloader.reload() is ReloadResult.UNCHANGED
    (worker.folder / "keywords.toml").unlink()
    assert await worker.reloader.reload() is ReloadResult.UNCHANGED
    assert worker.reply() == "10 to 6"
    assert worker.reloader.errors() == []


async def test_a_worker_that_refuses_a_version_keeps_its_rules_and_is_named(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    put(client, files("10 to 6"))
    one = await start(url)
    put(client, {"keywords.toml": BROKEN})  # by a router of another release

    async def is_refused() -> bool:
        return bool(one.sync.errors())

    await wait_until(is_refused)
    assert one.reply() == "10 to 6"
    (error,) = one.sync.errors()
    assert error.startswith(
        "version 2 of the published rules is refused here: version 2 of keywords.toml:3:9: "
    )
    assert "nothing is unknown" in error
    assert one.results[ReloadResult.REFUSED] == 1
    put(client, files("11 to 7"))
    await wait_until(one.replies("11 to 7"))
    assert one.sync.errors() == []


async def test_workers_with_other_keywords_or_steps_are_named(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    now = time.time()
    for name, names, steps in (("old", "abc", '["day"]'), ("other", "abd", "[]"), ("same", "", "[]")):
        report = f'{{"identity": "", "at": {now}, "failure": "", "names": "{names}", "steps": {steps}}}'
        client.hset("sms-router:{rules}:workers", name, report)
    one = await start(url)
    assert one.sync.notices() == [
        "the worker old has other rules than this one: with the steps day",
        "the worker other has other rules than this one: other keywords",
    ]


async def test_a_worker_whose_files_have_other_texts_is_named_until_it_has_the_same(
    url: str, start: StartWorker
) -> None:
    one, two = await start(url), await start(url, "two", KEYWORDS.replace("9 to 5", "10 to 6"))
    difference = "the worker one has other rules than this one: other texts in its files"
    await wait_until(lambda: two.sync.notices() == [difference])
    await two.reloader.start()
    (two.folder / "keywords.toml").write_text(KEYWORDS)
    await wait_until(lambda: two.sync.notices() == one.sync.notices() == [])
    await two.reloader.aclose()


async def test_workers_with_other_rules_are_named(url: str, client: redis.Redis, start: StartWorker) -> None:
    put(client, files("10 to 6"))
    one = await start(url)
    now = time.time()
    client.hset("sms-router:{rules}:workers", "late", f'{{"identity": "", "at": {now}, "failure": ""}}')
    client.hset("sms-router:{rules}:workers", "ended", '{"identity": "", "at": 1, "failure": ""}')
    assert [worker.worker for worker in read_workers(client, now)] == ["late", "one"]
    two = await start(url, "two")
    assert two.sync.notices()[1:] == ["the worker late uses its files"]
    assert client.hexists("sms-router:{rules}:workers", "ended") is False
    await one.sync.aclose()
    assert client.hexists("sms-router:{rules}:workers", "one") is False


def test_two_publishers_do_not_overwrite_each_other(client: redis.Redis) -> None:
    first = put(client, files("10 to 6"))
    put(client, files("11 to 7"))
    with pytest.raises(PublishError, match="Another version was published meanwhile"):
        publish(client, first, files("12 to 8"), "bob", "", time.time())
    assert read_version(client, 2) == read_current(client)
    assert read_version(client, 3) is None


def test_old_versions_are_deleted(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sms_router.routing.dispatch.published.MAX_VERSIONS", 3)
    for number in range(5):
        put(client, files(str(number)))
    assert [version.number for version in read_history(client)] == [5, 4, 3]


async def test_the_last_version_is_used_while_redis_is_away_at_a_start(
    private_valkey: PrivateValkey, start: StartWorker
) -> None:
    with sync_client(private_valkey.url) as client:
        put(client, files("10 to 6"))
    worker = await start(private_valkey.url)
    assert worker.reply() == "10 to 6"
    await worker.sync.aclose()
    private_valkey.kill()
    assert (await start(private_valkey.url)).reply() == "10 to 6"


async def test_a_version_that_redis_has_lost_stays_in_use(
    url: str, client: redis.Redis, start: StartWorker
) -> None:
    put(client, files("10 to 6"))
    worker = await start(url)
    client.flushdb()
    again = await start(url)
    assert worker.reply() == again.reply() == "10 to 6"
    assert "Redis has lost the published rules" in again.sync.notices()[1]
    put(client, files("11 to 7"))
    await wait_until(again.replies("11 to 7"))
    assert "lost" not in "".join(again.sync.notices())


def test_a_folder_that_cannot_be_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"keywords\.toml: cannot be read: No such file"):
        read_files(tmp_path)
    (tmp_path / "keywords.toml").write_bytes(b"\xff")
    with pytest.raises(PublishError, match="is not UTF-8"):
        read_files(tmp_path)
    (tmp_path / "keywords.toml").write_text("x" * 2_000_000)
    with pytest.raises(PublishError, match="2000000 can be published"):
        read_files(tmp_path)
