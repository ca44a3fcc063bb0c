"""The commands that publish rules, beside a running router with two workers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, CommandResult, Serving, write_folder
from tests.waiting import wait_until_blocking


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A router whose rules no other test uses."""
    router = Serving.start(write_folder(tmp_path_factory.mktemp("published")), WORKERS="2")
    yield router
    router.stop()


@pytest.mark.slow
def test_rules_are_published_compared_and_rolled_back(cli: Cli, own: Serving) -> None:
    def run(*words: str) -> CommandResult:
        return cli(*words, inside=own.folder, **own.environment)

    def is_replied(text: str) -> bool:
        return text in run("text", "hours").out

    keywords = own.folder / "config" / "keywords.toml"
    old = keywords.read_text()
    none = run("keywords", "history")
    assert (none.code, none.out) == (1, "No version was published; every router uses its own files.\n")
    assert run("keywords", "diff").code == 1
    assert run("keywords", "rollback").code == 1

    published = run("keywords", "publish", "--note", "first")
    assert published.code == 0
    # a worker may still be starting, and a busy one may take longer than the report waits
    assert re.match(r"Published version 1\.\n\d of [12] running workers use it\.\n", published.out)
    assert run("keywords", "diff").code == 0
    assert "Nothing has changed since version 1." in run("keywords", "publish").out
    first = run("keywords", "rollback")
    assert (first.code, first.err.splitlines()[0]) == (1, "Version 1 is the first one.")

    keywords.write_text(old.replace("9 to 5", "10 to 4"))
    difference = run("keywords", "diff")
    assert difference.code == 1
    assert '-reply = "We are open 9 to 5' in difference.out
    assert '+reply = "We are open 10 to 4' in difference.out
    assert "keywords.toml or its templates differ from version 1" in run("check").out
    assert is_replied("9 to 5")
    shown = json.loads(run("keywords", "publish", "--note", "summer hours", "--json").out)
    assert (shown["version"], shown["note"]) == (2, "summer hours")
    assert shown["workers"] + len(shown["differing"]) == 2
    wait_until_blocking(lambda: is_replied("10 to 4"))
    check = run("check").out
    assert "The rules are version 2, published by " in check

    keywords.write_text(old.replace("9 to 5", "{{ nothing }}"))
    refused = run("keywords", "publish")
    assert refused.code == 1
    assert "keywords.toml:4:9: keyword 1 (HOURS): nothing is unknown" in refused.err
    assert len(json.loads(run("keywords", "history", "--json").out)) == 2

    assert run("keywords", "rollback").out.startswith("Published version 3: back to version 1.\n")
    wait_until_blocking(lambda: is_replied("9 to 5"))
    assert run("keywords", "rollback", "9").code == 1
    assert run("keywords", "rollback", "1", "--to-files").code == 2
    keywords.write_text(old.replace("9 to 5", "noon to 1"))
    assert "HOURS" in run("keywords", "test", "hours").out
    assert run("keywords", "rollback", "--to-files").code == 0
    wait_until_blocking(lambda: is_replied("noon to 1"))
    history = json.loads(run("keywords", "history", "--json").out)
    assert [(each["version"], each["in_use"], each["note"]) for each in history] == [
        (4, True, "back to the files"),
        (3, False, "back to version 1"),
        (2, False, "summer hours"),
        (1, False, "first"),
    ]


def test_rules_with_mistakes_are_not_published(cli: Cli, folder: Path) -> None:
    (folder / "config" / "keywords.toml").write_text("[[keyword")
    refused = cli("keywords", "publish")
    assert refused.code == 1
    assert "config/keywords.toml:1:10: not valid TOML" in refused.err
