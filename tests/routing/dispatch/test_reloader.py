"""A changed configuration is applied as a whole, or refused with the list of its mistakes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from sms_router.errors import ConfigurationError
from sms_router.routing.dispatch.dispatcher import ForwardConfig
from sms_router.routing.dispatch.handler_loader import HandlerRegistry
from sms_router.routing.dispatch.last_good import LastGoodRuleSet
from sms_router.routing.dispatch.reloader import Reloader, ReloadResult
from sms_router.routing.dispatch.responders import TemplateResponder
from sms_router.routing.dispatch.ruleset import RuleSet, RuleSetReader
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.senders.error_table import ErrorTable
from tests.routing.messages import message

KEYWORDS = """
[[keyword]]
words = ["HOURS"]
reply = "9 to 5"

[[keyword]]
words = ["MENU"]
template = "menu.txt"

[[keyword]]
words = ["JOBS"]
match = "whole"
numbers = ["12345"]
reply = "None, {{ words[0] }}."

[default]
reply = "What?"
"""
SOUP = "Soup: 5{% include 'note.txt' %}"


@dataclass
class ErrorTableFixture:
    """Has the error table."""

    table: ErrorTable = field(default_factory=lambda: ErrorTable({}))


@dataclass
class ReloaderFixture:
    """A reloader and its results."""

    folder: Path
    reloader: Reloader
    errors: ErrorTableFixture
    results: Counter[ReloadResult]

    def write(self, content: str, file: str = "keywords.toml") -> None:
        """Replace a file as editors and deployments do: at once."""
        (self.folder / "new").write_text(content)
        (self.folder / "new").replace(self.folder / file)

    def reply_to(self, text: str) -> str:
        action = self.reloader.dispatcher.resolve(message(text)).responder
        assert isinstance(action, TemplateResponder)
        reply = action.reply(message(text))
        assert isinstance(reply, Reply)
        return "".join(reply.texts)


def reader(folder: Path) -> RuleSetReader:
    return RuleSetReader(folder, HandlerRegistry([], []), frozenset(), ForwardConfig(), TimeZones())


@pytest.fixture
def find_excess(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """Stands for the process in which rules are loaded first: `test_isolated_loading` starts it."""
    mock = AsyncMock(return_value=[])
    monkeypatch.setattr("sms_router.routing.dispatch.reloader.find_excess", mock)
    return mock


@pytest.fixture
async def running(tmp_path: Path, find_excess: AsyncMock) -> AsyncIterator[ReloaderFixture]:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "menu.txt").write_text(SOUP)
    (tmp_path / "templates" / "note.txt").write_text(" euros")
    (tmp_path / "keywords.toml").write_text(KEYWORDS)
    errors, results = ErrorTableFixture(), Counter[ReloadResult]()
    reloader = Reloader(reader(tmp_path), errors, lambda result: results.update([result]), interval=0.01)
    yield ReloaderFixture(tmp_path, reloader, errors, results)
    await reloader.aclose()


@pytest.mark.parametrize(
    ("file", "before", "after", "logged"),
    [
        ("keywords.toml", "", "", "nothing changed"),
        ("keywords.toml", "\n[[keyword]]\nwords", "\n# a comment\n[[keyword]]\nwords", "nothing changed"),
        ("keywords.toml", "9 to 5", "10 to 4", "changed HOURS"),
        ("keywords.toml", '"HOURS"]', '"HOURS", "OPEN"]', "changed HOURS"),
        ("keywords.toml", '"HOURS"', '"OPEN"', "added OPEN; removed HOURS"),
        ("keywords.toml", "None, {{", "Some, {{", "changed JOBS (whole) (number 12345)"),
        (
            "keywords.toml",
            '["12345"]',
            '["54321"]',
            "added JOBS (whole) (number 54321); removed JOBS (whole) (number 12345)",
        ),
        ("keywords.toml", "What?", "Pardon?", "changed default"),
        ("keywords.toml", '[default]\nreply = "What?"', "", "removed default"),
        ("keywords.toml", '"What?"', '"What?"\ndid_you_mean = "{{ keyword }}?"', "added did_you_mean"),
        ("templates/menu.txt", "5", "6", "changed MENU"),
        ("templates/note.txt", "euros", "crowns", "changed MENU"),
        ("opt-outs.toml", "", 'left_to_keywords = ["END"]', "changed left_to_keywords"),
        (
            "carriers.toml",
            "",
            '[[error]]\ncodes = [39999]\nclass = "sender"\nnote = "new"',
            "added error 39999",
        ),
    ],
)
async def test_a_change_is_applied_and_logged_by_name(
    running: ReloaderFixture,
    caplog: pytest.LogCaptureFixture,
    file: str,
    before: str,
    after: str,
    logged: str,
) -> None:
    caplog.set_level(logging.INFO, "sms_router.reload")
    path = running.folder / file
    content = path.read_text() if path.exists() else ""
    assert before in content
    running.write(content.replace(before, after, 1) if before else after or content, file)
    result = await running.reloader.reload()
    assert result is (ReloadResult.UNCHANGED if logged == "nothing changed" else ReloadResult.APPLIED)
    assert running.results == {result: 1}
    assert caplog.messages[-1] == f"the configuration was read again: {logged}"
    assert await running.reloader.reload() is ReloadResult.UNCHANGED


async def test_the_next_message_finds_the_new_rules_and_errors(running: ReloaderFixture) -> None:
    assert (running.reply_to("hours"), running.reply_to("menu")) == ("9 to 5", "Soup: 5 euros")
    assert running.errors.table.find(30006) is not None
    running.write(KEYWORDS.replace("9 to 5", "10 to 4"))
    running.write("Soup: 6", "templates/menu.txt")
    running.write('[[error]]\ncodes = [39999]\nclass = "sender"\nnote = "new"', "carriers.toml")
    assert (running.reply_to("hours"), running.reply_to("menu")) == ("9 to 5", "Soup: 5 euros"), "not yet"
    await running.reloader.reload()
    assert (running.reply_to("hours"), running.reply_to("menu")) == ("10 to 4", "Soup: 6")
    assert running.errors.table.find(39999) is not None


async def test_what_a_message_has_found_stays_as_it_was(running: ReloaderFixture) -> None:
    found = running.reloader.dispatcher.resolve(message("menu"))
    running.write(KEYWORDS.replace("MENU", "FOOD"))
    running.write("Bread", "templates/menu.txt")
    running.write(" pounds", "templates/note.txt")
    await running.reloader.reload()
    assert isinstance(found.responder, TemplateResponder)
    assert found.responder.reply(message("menu")) == Reply("Soup: 5 euros")
    assert (running.reply_to("menu"), running.reply_to("food")) == ("What?", "Bread")


async def test_all_mistakes_are_reported_and_the_old_rules_stay(
    running: ReloaderFixture, caplog: pytest.LogCaptureFixture
) -> None:
    running.write(KEYWORDS.replace("9 to 5", "10 to 4").replace("menu.txt", "none.txt"))
    running.write("language = 3", "opt-outs.toml")
    running.write("[[error]]\n[[error]]", "carriers.toml")
    assert await running.reloader.reload() is ReloadResult.REFUSED
    assert running.results == {ReloadResult.REFUSED: 1}
    for part in (
        "none.txt: there is no such file",
        "opt-outs.toml:1:12: language",
        "carriers.toml:1:1: error[1].codes",
    ):
        assert part in caplog.messages[-1]
    (reason,) = running.reloader.errors()
    assert reason.startswith("a changed configuration was refused, the old one stays: ")
    assert reason.endswith("; and 3 more")
    assert (running.reply_to("hours"), running.reply_to("menu")) == ("9 to 5", "Soup: 5 euros")


async def test_rules_that_take_too_much_are_refused(running: ReloaderFixture, find_excess: AsyncMock) -> None:
    find_excess.return_value = ["they take too much"]
    running.write(KEYWORDS.replace("9 to 5", "10 to 4"))
    assert await running.reloader.reload() is ReloadResult.REFUSED
    assert running.reply_to("hours") == "9 to 5"


async def test_a_corrected_file_ends_the_refusal(running: ReloaderFixture) -> None:
    running.write("[[keyword]")
    await running.reloader.reload()
    assert running.reloader.errors()
    running.write(KEYWORDS)
    assert await running.reloader.reload() is ReloadResult.UNCHANGED
    assert running.reloader.errors() == []


async def test_whatever_else_goes_wrong_is_a_refusal_too(
    running: ReloaderFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: RuleSetReader) -> None:
        raise MemoryError

    monkeypatch.setattr(RuleSetReader, "read", broken)
    assert await running.reloader.reload() is ReloadResult.REFUSED
    assert running.reply_to("hours") == "9 to 5"


async def test_a_changed_file_is_reloaded_without_a_request(running: ReloaderFixture) -> None:
    await running.reloader.start()
    for number in range(3):
        running.write(KEYWORDS.replace("9 to 5", f"{number} to 5"))
        async with asyncio.timeout(20):
            while running.reply_to("hours") != f"{number} to 5":
                await asyncio.sleep(0.005)
    (running.folder / "templates" / "new.txt").write_text("new")
    async with asyncio.timeout(20):
        while not running.results[ReloadResult.UNCHANGED]:
            await asyncio.sleep(0.005)


async def test_a_requested_reload_reads_files_that_have_not_changed(running: ReloaderFixture) -> None:
    await running.reloader.start()
    running.reloader.request_reload()
    async with asyncio.timeout(20):
        while not running.results:
            await asyncio.sleep(0.005)
    assert running.results == {ReloadResult.UNCHANGED: 1}


@pytest.mark.parametrize("file", ["keywords.toml", "opt-outs.toml", "carriers.toml"])
async def test_a_missing_file_changes_nothing_until_an_empty_one_is_put_there(
    running: ReloaderFixture, file: str
) -> None:
    if file != "keywords.toml":
        running.write("", file)
        assert await running.reloader.reload() is ReloadResult.UNCHANGED
    (running.folder / file).unlink()
    assert await running.reloader.reload() is ReloadResult.REFUSED
    assert running.reply_to("HOURS") == "9 to 5"
    (reason,) = running.reloader.errors()
    assert f"{running.folder / file}: is gone; put it back" in reason
    running.write("", file)
    applied = ReloadResult.APPLIED if file == "keywords.toml" else ReloadResult.UNCHANGED
    assert await running.reloader.reload() is applied
    assert running.reloader.errors() == []


def test_the_fingerprint_differs_after_every_kind_of_change(tmp_path: Path) -> None:
    file = tmp_path / "keywords.toml"
    (tmp_path / "templates").mkdir()
    seen = [reader(tmp_path).fingerprint()]
    for change in (
        lambda: file.write_text("a"),
        lambda: file.write_text("ab"),
        lambda: os.utime(file, ns=(1, 1)),
        lambda: (tmp_path / "templates" / "a.txt").write_text(""),
        lambda: (tmp_path / "templates" / "a.txt").replace(tmp_path / "templates" / "b.txt"),
        file.unlink,
    ):
        change()
        seen.append(reader(tmp_path).fingerprint())
    assert all(one != other for one, other in pairwise(seen))
    assert reader(tmp_path).fingerprint() == seen[-1]


def test_a_start_with_mistakes_is_none(tmp_path: Path) -> None:
    (tmp_path / "keywords.toml").write_text("[[keyword]")
    with pytest.raises(ConfigurationError):
        Reloader(reader(tmp_path), ErrorTableFixture(), lambda _: None)


# --- a worker that takes the place of another ---


@pytest.fixture
async def second(running: ReloaderFixture, tmp_path: Path) -> AsyncIterator[Callable[[], ReloaderFixture]]:
    """Start workers that copy their rules for the next one."""
    started: list[Reloader] = []

    def start() -> ReloaderFixture:
        errors, results = ErrorTableFixture(), Counter[ReloadResult]()
        last_good = LastGoodRuleSet(tmp_path / "data" / "rules.json")
        reloader = Reloader(
            reader(tmp_path), errors, lambda result: results.update([result]), 0.01, last_good
        )
        started.append(reloader)
        return ReloaderFixture(tmp_path, reloader, errors, results)

    yield start
    for each in started:
        await each.aclose()


async def test_a_worker_that_starts_on_a_broken_configuration_has_the_rules_of_the_others(
    second: Callable[[], ReloaderFixture],
) -> None:
    first = second()
    first.write(KEYWORDS.replace("9 to 5", "10 to 6"))
    assert await first.reloader.reload() is ReloadResult.APPLIED
    first.write("[[keyword")
    other = second()
    assert other.reply_to("hours") == first.reply_to("hours") == "10 to 6"
    assert other.reply_to("menu") == "Soup: 5 euros"
    assert "not valid TOML" in other.reloader.errors()[0]
    assert other.errors.table.entries == first.errors.table.entries
    other.write(KEYWORDS.replace("9 to 5", "11 to 7"))
    assert await other.reloader.reload() is ReloadResult.APPLIED
    assert (other.reply_to("hours"), other.reloader.errors()) == ("11 to 7", [])


async def test_a_worker_that_starts_while_a_file_is_missing_has_the_rules_of_the_others(
    second: Callable[[], ReloaderFixture],
) -> None:
    first = second()
    (first.folder / "keywords.toml").unlink()
    other = second()
    assert other.reply_to("hours") == "9 to 5"
    assert "keywords.toml: is gone" in other.reloader.errors()[0]
    assert await other.reloader.reload() is ReloadResult.REFUSED
    other.write(KEYWORDS)
    assert await other.reloader.reload() is ReloadResult.UNCHANGED
    assert other.reloader.errors() == []


async def test_the_first_worker_does_not_start_on_a_broken_configuration(
    second: Callable[[], ReloaderFixture], running: ReloaderFixture
) -> None:
    running.write("[[keyword")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        second()


class HastyReader(RuleSetReader):
    """Reads files that become invalid just afterwards."""

    def read(self) -> RuleSet:
        read = super().read()
        (self.folder / "keywords.toml").write_text("[[keyword")
        return read


async def test_files_that_break_just_after_they_were_read_are_not_copied(
    second: Callable[[], ReloaderFixture], tmp_path: Path
) -> None:
    first = second()
    last_good = LastGoodRuleSet(tmp_path / "data" / "rules.json")
    hasty = HastyReader(tmp_path, HandlerRegistry([], []), frozenset(), ForwardConfig(), TimeZones())
    starting = Reloader(hasty, ErrorTableFixture(), lambda _: None, 0.01, last_good)
    assert second().reply_to("hours") == "9 to 5"
    first.write(KEYWORDS.replace("9 to 5", "10 to 6"))
    assert await starting.reload() is ReloadResult.APPLIED
    assert second().reply_to("hours") == "9 to 5"


async def test_a_copy_that_is_no_longer_valid_is_not_used(
    second: Callable[[], ReloaderFixture], running: ReloaderFixture
) -> None:
    second()
    last_good = running.folder / "data" / "rules.json"
    running.write("[[keyword")
    for content in ("", "{", '{"keywords.toml": "[[keyword"}'):
        last_good.write_text(content)
        with pytest.raises(ConfigurationError, match="not valid TOML"):
            second()


def test_where_no_copy_can_be_written_nothing_is_left_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data" / "rules.json").mkdir(parents=True)
    LastGoodRuleSet(tmp_path / "data" / "rules.json").save(tmp_path, lambda: True)
    assert "the rules cannot be saved" in caplog.text
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["rules.json"]
